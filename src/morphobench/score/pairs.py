"""Pairs of test cells to interpolate between, the same for every model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.files import write_table
from morphobench.files.tables import read_checked
from morphobench.log import logger


def evolution_pairs(cell_ids: Sequence[str], n_pairs: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw disjoint pairs of cells, the same for every model of a dataset.

    Parameters
    ----------
    cell_ids
        Ids of the cells to draw from; order and repetition do not matter.
    n_pairs
        Pairs wanted; with fewer than 2 n_pairs cells, as many as there are.
    rng
        Source of chance.

    Returns
    -------
    pd.DataFrame
        Columns pair (int from 0), start, end (CellId); no cell occurs twice. No row for fewer than two cells.
    """
    sorted_ids = np.array(sorted({str(cell) for cell in cell_ids}), dtype=object)
    n = min(n_pairs, len(sorted_ids) // 2)
    drawn = rng.permutation(sorted_ids)[: 2 * n].reshape(n, 2)
    return pd.DataFrame({"pair": np.arange(n), "start": drawn[:, 0], "end": drawn[:, 1]})


def write_pairs(manifest: str | Path, out: str | Path, *, n_pairs: int, seed: int, dataset: str) -> None:
    """Draw pairs among the sampled test cells of `manifest` and write them: pair, start, end.

    With fewer than two such cells the table is empty, and a warning is logged.
    """
    cells = read_checked(manifest, ("CellId", "split", "success"))
    test = cells.loc[(cells["split"] == "test") & cells["success"].astype(bool), "CellId"]
    pairs = evolution_pairs(test, n_pairs, seeds.generator(seed, dataset, "score", "pairs"))
    if pairs.empty:
        logger.warning(
            "%s has %d sampled test cells: no pair to interpolate between. Add cells, or raise the share of "
            "the test split.",
            dataset,
            len(test),
        )
    write_table(pairs, out)
