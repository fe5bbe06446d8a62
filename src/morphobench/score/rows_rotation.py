"""Rows of the score table about rotated cells, whose many embeddings are read in batches."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.files.tables import embedding_matrix, read_batches
from morphobench.geometry.rotation import MATRIX_COLUMNS, about_z
from morphobench.metrics.invariance import (
    mean_cell_distance,
    rotation_invariance_error,
    rotation_invariance_error_legacy,
    rotation_rank,
)
from morphobench.score.rows import EmbeddedCells, Fold, Metric, ScoreRows, tested
from morphobench.score.rows_labels import Classes, add_rotated_classification

_LEGACY_DEGREES = (90, 180, 270)
_LEGACY_CELLS = 4001
_NO_ROTATIONS = "no embeddings of rotated cells"
_UNIT = "of the distance between cells"
# Takes a batch, its matrices (n, 3, 3) and rows in the cells; returns whether each fills a slot, (n, slots).
_Slots = Callable[[pd.DataFrame, np.ndarray, np.ndarray], np.ndarray]


def add_lattice(
    rows: ScoreRows,
    folds: Sequence[Fold],
    labels: Mapping[str, Classes],
    n_components: int,
    seed: int,
) -> None:
    """Add the rotation error under the cube's rotations, which resample no volume, and the published one.

    Classification as in `add_uniform`, each test cell rotated by one of the 23 that rotate.
    """
    metric, z_rotated = Metric("rotation_invariance_error_lattice"), None
    if "lattice" not in folds[0].tables:
        rows.add_absent(_NO_ROTATIONS, metric, metric.legacy, Metric("rotation_distance_lattice", unit=_UNIT))
    else:
        rng = seeds.generator(seed, rows.dataset, "score", "rotated lattice")
        errors, rotated = zip(*(_read_lattice(fold, rng) for fold in folds), strict=True)
        _add_errors(rows, "lattice", _together(errors))
        _add_legacy(rows, metric.legacy, folds, [z[:3] for z in rotated], n_components)
        z_rotated = [z[3] for z in rotated]
    for label, classes in labels.items():
        add_rotated_classification(rows, folds, label, classes, z_rotated, _NO_ROTATIONS, "rotated_lattice")


def _read_lattice(fold: Fold, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the cube's rotations (`_read_rotated`): the published ones about z, and one for each cell."""
    cells = fold.cells
    own = pd.Series(rng.integers(1, 24, len(cells.test)), index=cells.test)

    def slots(batch: pd.DataFrame, matrices: np.ndarray, batch_rows: np.ndarray) -> np.ndarray:
        slot = np.full((len(batch), 4), False)
        for number, degrees in enumerate(_LEGACY_DEGREES):
            slot[:, number] = _equal(matrices, about_z(degrees))
        slot[:, 3] = batch["rotation"].to_numpy() == own.reindex(batch_rows).to_numpy()
        return slot

    return _read_rotated(fold.tables["lattice"], cells, slots, 4)


def _together(errors: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(errors).sort_values("item", ignore_index=True, kind="stable")


def _add_legacy(
    rows: ScoreRows, metric: Metric, folds: Sequence[Fold], rotated: Sequence[np.ndarray], n_components: int
) -> None:
    values, items, groups = [], [], []
    for (cells, _), z in zip(folds, rotated, strict=True):
        absent = [d for d, own in zip(_LEGACY_DEGREES, z, strict=True) if len(own) and np.isnan(own).all()]
        if absent:
            reason = f"no rotation by {absent[0]} degrees about z among the lattice rotations"
            rows.add_missing(reason, metric)
            return
        chosen = cells.test[:_LEGACY_CELLS]
        legacy = rotation_invariance_error_legacy(cells.z[chosen], z[:, : len(chosen)], n_components)
        values.append(legacy.ravel())
        items += [f"{cell}/{degrees} deg" for degrees in (0, *_LEGACY_DEGREES) for cell in cells.ids[chosen]]
        groups.append(np.tile(cells.groups[chosen], 1 + len(_LEGACY_DEGREES)))
    rows.add_mean(metric, np.concatenate(values), items, np.concatenate(groups))


def add_uniform(rows: ScoreRows, folds: Sequence[Fold], labels: Mapping[str, Classes]) -> None:
    """Add rotation errors under uniform rotations, and classification of cells rotated by their first one.

    Rotations are each cell's own and the same for all models. Beside each stands what resampling alone does
    (`..._floor`): the cell rotated by its first rotation and back. `labels` holds the rules of the classes of
    each label.
    """
    z_rotated = z_back = None
    rank = Metric("rotation_rank_uniform", unit="of other cells")
    if "uniform" not in folds[0].tables:
        names = [f"rotation_invariance_error_uniform{end}" for end in ("", "_floor")]
        distances = [Metric(f"rotation_distance_uniform{end}", unit=_UNIT) for end in ("", "_floor")]
        rows.add_absent(_NO_ROTATIONS, *map(Metric, names), *distances, rank)
    else:
        parts, rotated = zip(*map(_read_uniform, folds), strict=True)
        errors, (z_rotated, z_back) = _together(parts), zip(*rotated, strict=True)
        _add_errors(rows, "uniform", errors[~errors["rotated_back"]])
        _add_errors(rows, "uniform", errors[errors["rotated_back"]], "_floor")
        both = zip(folds, z_rotated, strict=True)
        ranks = [rotation_rank(fold.cells.z[fold.cells.test], z) for fold, z in both]
        rows.add_mean(rank, np.concatenate(ranks), *tested(folds))
    for label, classes in labels.items():
        for ending, z in (("rotated", z_rotated), ("rotated_floor", z_back)):
            add_rotated_classification(rows, folds, label, classes, z, _NO_ROTATIONS, ending)


def _read_uniform(fold: Fold) -> tuple[pd.DataFrame, np.ndarray]:
    """Read uniform rotations (`_read_rotated`): each cell by its first one, and by this and back."""

    def slots(batch: pd.DataFrame, matrices: np.ndarray, batch_rows: np.ndarray) -> np.ndarray:
        first, back = batch["rotation"] == 0, batch["rotated_back"]
        return np.stack([first & ~back, first & back], axis=1)

    return _read_rotated(fold.tables["uniform"], fold.cells, slots, 2, ("rotated_back",))


def _add_errors(rows: ScoreRows, rotations: str, errors: pd.DataFrame, ending: str = "") -> None:
    """Add the relative distance of rotated cells, as published, and that in units of another cell's."""
    for column, name, unit in (("value", "invariance_error", ""), ("distance", "distance", _UNIT)):
        metric = Metric(f"rotation_{name}_{rotations}{ending}", unit=unit, compared=not ending)
        alike = "all test cells have one embedding" if np.isinf(errors["distance"]).any() else ""
        values = errors[column].replace(np.inf, np.nan)
        rows.add_mean(metric, values, errors["item"], errors["group"], alike if column == "distance" else "")


def _equal(matrices: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.isclose(matrices, matrix, atol=1e-6).all(axis=(1, 2))


def _read_rotated(
    path: FilePath, cells: EmbeddedCells, slots: _Slots, n_slots: int, columns: Sequence[str] = ()
) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the rotation error of every rotated cell, and the embeddings to which `slots` gives a slot.

    Returns
    -------
    errors
        Columns value, distance (in units of the mean distance between test cells; inf where they have one
        embedding), item, group and the table's `columns`, sorted by item; without the identity, whose error
        is 0 by definition and would only dilute the mean.
    rotated
        Shape (n_slots, n_test, D), NaN where the table has no such row.
    """
    place, unit = (
        pd.Series(np.arange(len(cells.test)), index=cells.test),
        mean_cell_distance(cells.z[cells.test]),
    )
    rotated, parts = np.full((n_slots, len(cells.test), cells.z.shape[1]), np.nan), []
    for batch in read_batches(path, ("CellId", "rotation", *columns, *MATRIX_COLUMNS)):
        batch_rows = cells.manifest.index.get_indexer(batch["CellId"])
        if (batch_rows < 0).any():
            stranger = batch["CellId"].iloc[int((batch_rows < 0).argmax())]
            raise InputError(f"{path}: cell {stranger} is not among the unrotated cells. Embed again.")
        z, own = embedding_matrix(batch), cells.z[batch_rows]
        matrices = batch[MATRIX_COLUMNS].to_numpy(np.float64).reshape(-1, 3, 3)
        errors = {
            "value": rotation_invariance_error(own, z),
            "distance": np.linalg.norm(z - own, axis=1) / unit if unit else np.inf,
            "item": batch["CellId"].to_numpy() + "/" + batch["rotation"].astype(str).to_numpy(),
            "group": cells.groups[batch_rows],
            **batch[list(columns)],
        }
        parts.append(pd.DataFrame(errors)[~_equal(matrices, np.eye(3))])
        for number, kept in enumerate(slots(batch, matrices, batch_rows).T):
            rotated[number, place.loc[batch_rows[kept]]] = z[kept]
    types = {"value": float, "distance": float, "item": str, "group": str, **dict.fromkeys(columns, bool)}
    table = pd.concat(parts) if parts else pd.DataFrame(columns=list(types)).astype(types)
    return table.sort_values("item", ignore_index=True), rotated
