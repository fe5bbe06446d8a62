"""Rows of the score table about rotated cells, whose many embeddings are read in batches."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.files.tables import embedding_matrix, read_batches
from morphobench.geometry.rotation import MATRIX_COLUMNS, about_z
from morphobench.metrics.invariance import rotation_invariance_error, rotation_invariance_error_legacy
from morphobench.score.rows import EmbeddedCells, Metric, ScoreRows
from morphobench.score.rows_labels import Classes, add_rotated_classification

_LEGACY_DEGREES = (90, 180, 270)
_LEGACY_CELLS = 4001
_NO_ROTATIONS = "no embeddings of rotated cells"
# Takes a batch, its matrices (n, 3, 3) and its rows in the cells; returns the slot of each row, or -1.
_Slots = Callable[[pd.DataFrame, np.ndarray, np.ndarray], np.ndarray]


def add_lattice(rows: ScoreRows, cells: EmbeddedCells, path: FilePath | None, n_components: int) -> None:
    """Add the rotation error under the cube's rotations, and the published one about z."""
    metric = Metric("rotation_invariance_error_lattice")
    if path is None:
        rows.add_missing(_NO_ROTATIONS, metric, metric.legacy)
        return
    chosen = cells.test[:_LEGACY_CELLS]

    def slots(batch: pd.DataFrame, matrices: np.ndarray, batch_rows: np.ndarray) -> np.ndarray:
        slot = np.full(len(batch), -1)
        for number, degrees in enumerate(_LEGACY_DEGREES):
            slot[_equal(matrices, about_z(degrees)) & np.isin(batch_rows, chosen)] = number
        return slot

    errors, rotated = _read_rotated(path, cells, slots, len(_LEGACY_DEGREES), chosen)
    rows.add_mean(metric, errors["value"], errors["item"], errors["group"])
    absent = [d for d, z in zip(_LEGACY_DEGREES, rotated, strict=True) if len(z) and np.isnan(z).all()]
    if absent:
        reason = f"no rotation by {absent[0]} degrees about z among the lattice rotations"
        rows.add_missing(reason, metric.legacy)
        return
    legacy = rotation_invariance_error_legacy(cells.z[chosen], rotated, n_components)
    items = [f"{cell}/{degrees} deg" for degrees in (0, *_LEGACY_DEGREES) for cell in cells.ids[chosen]]
    groups = np.tile(cells.groups[chosen], 1 + len(_LEGACY_DEGREES))
    rows.add_mean(metric.legacy, legacy.ravel(), items, groups)


def add_uniform(
    rows: ScoreRows, cells: EmbeddedCells, path: FilePath | None, labels: Mapping[str, Classes], seed: int
) -> None:
    """Add the rotation error under uniform rotations, and classification of cells rotated by one of them.

    Every test cell takes one rotation at random, its own and the same for all models. `labels` holds the
    rules of the classes of each label.
    """
    metric, z_rotated = Metric("rotation_invariance_error_uniform"), None
    if path is None:
        rows.add_missing(_NO_ROTATIONS, metric)
    else:
        # The last key is part of the seed: another one draws other rotations.
        rng = seeds.generator(seed, rows.dataset, "score", "turned")
        last = max((int(batch["rotation"].max()) for batch in read_batches(path, ("rotation",))), default=0)
        own = pd.Series(rng.integers(0, 1 + last, len(cells.test)), index=cells.test)

        def slots(batch: pd.DataFrame, matrices: np.ndarray, batch_rows: np.ndarray) -> np.ndarray:
            return np.where(batch["rotation"].to_numpy() == own.reindex(batch_rows).to_numpy(), 0, -1)

        errors, (z_rotated,) = _read_rotated(path, cells, slots, 1, cells.test)
        rows.add_mean(metric, errors["value"], errors["item"], errors["group"])
    for label, classes in labels.items():
        add_rotated_classification(rows, cells, label, classes, z_rotated, _NO_ROTATIONS)


def _equal(matrices: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.isclose(matrices, matrix, atol=1e-6).all(axis=(1, 2))


def _read_rotated(
    path: FilePath, cells: EmbeddedCells, slots: _Slots, n_slots: int, chosen: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the rotation error of every rotated cell, and the embeddings to which `slots` gives a slot.

    Returns
    -------
    errors
        Columns value, item, group, sorted by item; without the identity, whose error is 0 by definition and
        would only dilute the mean.
    rotated
        Shape (n_slots, len(chosen), D), NaN where the table has no such row.
    """
    place = pd.Series(np.arange(len(chosen)), index=chosen)
    rotated, parts = np.full((n_slots, len(chosen), cells.z.shape[1]), np.nan), []
    for batch in read_batches(path, ("CellId", "rotation", *MATRIX_COLUMNS)):
        batch_rows = cells.manifest.index.get_indexer(batch["CellId"])
        if (batch_rows < 0).any():
            stranger = batch["CellId"].iloc[int((batch_rows < 0).argmax())]
            raise InputError(f"{path}: cell {stranger} is not among the unrotated cells. Embed again.")
        z = embedding_matrix(batch)
        matrices = batch[MATRIX_COLUMNS].to_numpy(np.float64).reshape(-1, 3, 3)
        errors = {
            "value": rotation_invariance_error(cells.z[batch_rows], z),
            "item": batch["CellId"].to_numpy() + "/" + batch["rotation"].astype(str).to_numpy(),
            "group": cells.groups[batch_rows],
        }
        parts.append(pd.DataFrame(errors)[~_equal(matrices, np.eye(3))])
        slot = slots(batch, matrices, batch_rows)
        kept = slot >= 0
        rotated[slot[kept], place.loc[batch_rows[kept]]] = z[kept]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=["value", "item", "group"])
    return table.sort_values("item", ignore_index=True), rotated
