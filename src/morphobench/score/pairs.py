"""Pairs of test cells to interpolate between, the same for every model."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.files import FilePath, write_table
from morphobench.files.tables import read_checked
from morphobench.log import logger


def draw_pairs(cell_ids: Sequence[str], n_pairs: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw disjoint pairs of cells: columns pair (int from 0), start, end (CellId).

    As many as there are with fewer than 2 n_pairs cells; order and repetition of `cell_ids` do not matter.
    """
    sorted_ids = np.array(sorted({str(cell) for cell in cell_ids}), dtype=object)
    n = min(n_pairs, len(sorted_ids) // 2)
    drawn = rng.permutation(sorted_ids)[: 2 * n].reshape(n, 2)
    return pd.DataFrame({"pair": np.arange(n), "start": drawn[:, 0], "end": drawn[:, 1]})


def run(manifest: FilePath, out: FilePath, *, n_pairs: int, seed: int, dataset: str) -> None:
    """Draw pairs among the sampled test cells of `manifest` and write them.

    With fewer than two such cells the table is empty, and a warning is logged.
    """
    cells = read_checked(manifest, ("CellId", "split", "success"))
    test = cells.loc[(cells["split"] == "test") & cells["success"].astype(bool), "CellId"]
    pairs = draw_pairs(test, n_pairs, seeds.generator(seed, dataset, "score", "pairs"))
    if pairs.empty:
        message = "%s has %d sampled test cells, no pair. Add cells, or raise the share of the test split."
        logger.warning(message, dataset, len(test))
    write_table(pairs, out)
