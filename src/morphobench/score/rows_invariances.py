"""Rows of the score table about mirrored, reordered, resampled and coarser cells."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files.tables import embedding_matrix, read_checked
from morphobench.metrics.invariance import mean_cell_distance
from morphobench.score.rows import Fold, Metric, ScoreRows

_NO_CHANGES = "no embeddings of changed cells"
_UNIT = "of the distance between cells"
# Change of stage embed -> its metric. No direction is better for a mirrored cell, which is another shape.
METRICS = {
    "reflection": Metric("invariance_reflection", "none", _UNIT),
    "reflection_floor": Metric("invariance_reflection_floor", "none", _UNIT, compared=False),
    "order": Metric("invariance_order", unit=_UNIT),
    "sampling": Metric("invariance_sampling", unit=_UNIT),
    "resolution": Metric("invariance_resolution", unit=_UNIT),
    "resolution_floor": Metric("invariance_resolution_floor", unit=_UNIT, compared=False),
}


def add_invariances(rows: ScoreRows, folds: Sequence[Fold]) -> None:
    """Add the distance of each changed test cell from the cell, over the mean distance between test cells."""
    if "invariances" not in folds[0].tables:
        rows.add_absent(_NO_CHANGES, *METRICS.values())
        return
    moved = pd.concat([_read_moved(fold) for fold in folds], ignore_index=True)
    for change, metric in METRICS.items():
        part = moved[moved["change"] == change]
        if len(part) and (part["reason"] != "").all():
            rows.add_absent(part["reason"].iloc[0], metric)
            continue
        alike = "all test cells have one embedding" if np.isinf(part["distance"]).any() else ""
        values = part["distance"].replace(np.inf, np.nan)
        rows.add_mean(metric, values, part["CellId"], part["group"], alike)


def _read_moved(fold: Fold) -> pd.DataFrame:
    """Return change, CellId, group, reason and distance (inf where cells have one embedding) of a fold."""
    cells, path = fold.cells, fold.tables["invariances"]
    table = read_checked(path, ("CellId", "change", "reason"))
    place = cells.manifest.index.get_indexer(table["CellId"])
    if (place < 0).any():
        stranger = table["CellId"].iloc[int((place < 0).argmax())]
        raise InputError(f"{path}: cell {stranger} is not among the unchanged cells. Embed again.")
    apart, unit = embedding_matrix(table) - cells.z[place], mean_cell_distance(cells.z[cells.test])
    distance = np.linalg.norm(apart, axis=1) / unit if unit else np.inf
    known = table[["change", "CellId", "reason"]].assign(group=cells.groups[place], distance=distance)
    return known.sort_values(["change", "CellId"])
