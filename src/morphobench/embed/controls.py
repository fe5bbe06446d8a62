"""Controls: embeddings that know nothing of a cell, or what scores ask for; they anchor every metric."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.log import logger


def random_values(
    cells: Sequence[str], rotations: str, n_rotations: int, *, n_values: int, dataset: str, seed: int
) -> np.ndarray:
    """Return standard normal numbers of each cell's own, anew for every rotation, shape (k, n, n_values)."""
    drawn = np.empty((n_rotations, len(cells), n_values))
    for number, cell in enumerate(cells):
        rng = seeds.generator(seed, dataset, "embed", f"random {rotations} {cell}")
        drawn[:, number] = rng.normal(size=(n_rotations, n_values))
    return drawn


def known_values(cells: pd.DataFrame, labels: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    """Return the answers as an embedding, shape (n, D): a column for each class, and standardised targets.

    A cell without a value has zeros there. Columns that the manifest lacks are left out, with a warning.
    """
    asked = [*labels, *targets]
    if absent := [name for name in asked if name not in cells]:
        logger.warning("the manifest has no column %s: the control does not know it", ", ".join(absent))
    classes = [
        pd.get_dummies(cells[name].astype(str).where(cells[name].notna())) for name in labels if name in cells
    ]
    values = cells[[name for name in targets if name in cells]].apply(pd.to_numeric, errors="coerce")
    scaled = (values - values.mean()) / values.std(ddof=0).replace(0, 1)
    table = pd.concat([*classes, scaled], axis=1).fillna(0)
    return table.to_numpy(np.float64) if table.shape[1] else np.zeros((len(cells), 1))
