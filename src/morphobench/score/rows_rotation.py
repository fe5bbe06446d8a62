"""Rows of the score table about turned cells, read in batches: there are many codes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files.tables import embedding_matrix, read_batches
from morphobench.geometry.rotation import MATRIX_COLUMNS, about_z
from morphobench.score.metrics.invariance import rotation_invariance_error, rotation_invariance_error_legacy
from morphobench.score.rows import Codes, Sheet
from morphobench.score.rows_labels import add_turned_classification

_LEGACY_DEGREES = (90, 180, 270)
_PUBLISHED_CELLS = 4001
_NO_POSE = "no embeddings of turned cells"
# Takes a batch, its matrices (n, 3, 3) and its rows in the codes; returns the slot of each row, or -1.
_Choice = Callable[[pd.DataFrame, np.ndarray, np.ndarray], np.ndarray]


def add_lattice(sheet: Sheet, codes: Codes, path: str | Path | None, n_components: int | None) -> None:
    """Add the rotation error under the cube's rotations, and the published one about z."""
    metric = "rotation_invariance_error_lattice"
    if path is None:
        for variant in ("corrected", "legacy"):
            sheet.add_missing(metric, variant, "", "low", _NO_POSE)
        return
    cells = codes.test[:_PUBLISHED_CELLS]

    def about(batch: pd.DataFrame, matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
        slot = np.full(len(batch), -1)
        for number, degrees in enumerate(_LEGACY_DEGREES):
            slot[_is(matrices, about_z(degrees)) & np.isin(rows, cells)] = number
        return slot

    errors, turned = _read(path, codes, about, len(_LEGACY_DEGREES), cells)
    sheet.add_mean(metric, "corrected", "", "low", errors["value"], errors["item"], errors["group"])
    absent = [d for d, z in zip(_LEGACY_DEGREES, turned, strict=True) if len(z) and np.isnan(z).all()]
    if absent:
        reason = f"no rotation by {absent[0]} degrees about z among the lattice rotations"
        sheet.add_missing(metric, "legacy", "", "low", reason)
        return
    published = rotation_invariance_error_legacy(codes.z[cells], turned, n_components)
    items = [f"{cell}/{degrees} deg" for degrees in (0, *_LEGACY_DEGREES) for cell in codes.ids[cells]]
    groups = np.tile(codes.groups[cells], 1 + len(_LEGACY_DEGREES))
    sheet.add_mean(metric, "legacy", "", "low", published.ravel(), items, groups)


def add_uniform(
    sheet: Sheet, codes: Codes, path: str | Path | None, labels: Sequence[str], seed: int
) -> None:
    """Add the rotation error under uniform rotations, and classification of cells each turned by one of them.

    Every test cell takes one rotation at random, its own and the same for all models.
    """
    metric, turned = "rotation_invariance_error_uniform", None
    if path is None:
        sheet.add_missing(metric, "corrected", "", "low", _NO_POSE)
    else:
        rng = seeds.generator(seed, sheet.dataset, "score", "turned")
        pick = pd.Series(rng.integers(0, _count_rotations(path), len(codes.test)), index=codes.test)

        def own(batch: pd.DataFrame, matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return np.where(batch["rotation"].to_numpy() == pick.reindex(rows).to_numpy(), 0, -1)

        errors, kept = _read(path, codes, own, 1, codes.test)
        turned = kept[0]
        sheet.add_mean(metric, "corrected", "", "low", errors["value"], errors["item"], errors["group"])
    for label in labels:
        add_turned_classification(sheet, codes, label, turned, _NO_POSE)


def _count_rotations(path: str | Path) -> int:
    return 1 + max((int(batch["rotation"].max()) for batch in read_batches(path, ("rotation",))), default=0)


def _is(matrices: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.isclose(matrices, matrix, atol=1e-6).all(axis=(1, 2))


def _read(
    path: str | Path, codes: Codes, choose: _Choice, n_slots: int, cells: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """Measure the error of every turned cell; keep the codes that `choose` asks for.

    Returns
    -------
    errors
        Columns value, item, group; the unturned pose is left out: its error is 0 by definition and would only
        dilute the mean. Sorted by item.
    kept
        Shape (n_slots, len(cells), D), NaN where the table has no such row.
    """
    row_of, groups, place = pd.Index(codes.ids), codes.groups, pd.Series(np.arange(len(cells)), index=cells)
    kept, parts = np.full((n_slots, len(cells), codes.z.shape[1]), np.nan), []
    for batch in read_batches(path, ("CellId", "rotation", *MATRIX_COLUMNS)):
        rows = row_of.get_indexer(batch["CellId"])
        if (rows < 0).any():
            stranger = batch["CellId"].iloc[int((rows < 0).argmax())]
            raise InputError(f"{path}: cell {stranger} is not in pose identity. Embed again.")
        z_turned, matrices = (
            embedding_matrix(batch),
            batch[MATRIX_COLUMNS].to_numpy(np.float64).reshape(-1, 3, 3),
        )
        real = ~_is(matrices, np.eye(3))
        parts.append(
            pd.DataFrame(
                {
                    "value": rotation_invariance_error(codes.z[rows], z_turned),
                    "item": batch["CellId"].to_numpy() + "/" + batch["rotation"].astype(str).to_numpy(),
                    "group": groups[rows],
                }
            )[real]
        )
        slot = choose(batch, matrices, rows)
        wanted = slot >= 0
        kept[slot[wanted], place.loc[rows[wanted]]] = z_turned[wanted]
    errors = pd.concat(parts) if parts else pd.DataFrame(columns=["value", "item", "group"])
    return errors.sort_values("item", ignore_index=True), kept


def add_poses(
    sheet: Sheet,
    codes: Codes,
    embeddings: Mapping[str, str | Path | None],
    labels: Sequence[str],
    n_components: int | None,
    seed: int,
) -> None:
    """Add everything about turned cells."""
    add_lattice(sheet, codes, embeddings.get("lattice"), n_components)
    add_uniform(sheet, codes, embeddings.get("uniform"), labels, seed)
