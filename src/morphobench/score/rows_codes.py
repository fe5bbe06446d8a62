"""Rows of the score table about codes among each other and the shapes decoded from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files.tables import read_checked
from morphobench.score.metrics.interpolation import interpolation_distance, interpolation_distance_legacy
from morphobench.score.metrics.intrinsic_dimension import (
    intrinsic_dimension,
    intrinsic_dimension_legacy,
    participation_ratio,
)
from morphobench.score.rows import Codes, Sheet

# Metric, variant, unit, column of the table of errors: of clouds and cubes, and of shapes.
_CLOUD_ERRORS = (
    ("reconstruction", "corrected", "um", "reconstruction_sinkhorn_um"),
    ("reconstruction", "legacy", "model units", "reconstruction_sinkhorn_legacy"),
    ("reconstruction_chamfer", "corrected", "um", "reconstruction_chamfer_um"),
    ("reconstruction_noise_floor", "corrected", "um", "noise_floor_sinkhorn_um"),
    ("reconstruction_chamfer_noise_floor", "corrected", "um", "noise_floor_chamfer_um"),
)
_SHAPE_ERRORS = (
    ("reconstruction", "corrected", "1 - Jaccard", "reconstruction_iou"),
    ("reconstruction", "legacy", "1 - Jaccard", "reconstruction_iou_legacy"),
    ("reconstruction_surface", "corrected", "um", "reconstruction_surface_um"),
    ("reconstruction_noise_floor", "corrected", "1 - Jaccard", "noise_floor_iou"),
    ("reconstruction_surface_noise_floor", "corrected", "um", "noise_floor_surface_um"),
)
# Published: all pairs of neighbours in the test split of packings, 20 pairs of 40 cells drawn elsewhere.
_PUBLISHED_PAIRS = {"packing": None}
_PUBLISHED_PAIRS_ELSEWHERE = 20


def add_reconstruction(sheet: Sheet, codes: Codes, reconstruction: str | Path | None) -> None:
    """Add the reconstruction errors of the test cells, from their table."""
    table = pd.DataFrame() if reconstruction is None else read_checked(reconstruction, ("CellId",))
    kinds = [kind for kind in (_CLOUD_ERRORS, _SHAPE_ERRORS) if any(column in table for *_, column in kind)]
    if not kinds:
        reason = "no reconstruction error: the model has no decoder, or only its codes are known"
        for variant in ("corrected", "legacy"):
            sheet.add_missing("reconstruction", variant, "", "low", reason)
    for metric, variant, unit, column in (row for kind in kinds for row in kind):
        if column in table:
            items, groups = codes.ids[codes.test], codes.groups[codes.test]
            tested = table.set_index("CellId").reindex(items)
            reason = _why(tested, column)
            sheet.add_mean(metric, variant, unit, "low", tested[column], items, groups, reason)
        else:
            sheet.add_missing(metric, variant, unit, "low", f"the embedding has no column {column}")


def published_pairs(kind: str) -> int | None:
    """Return how many pairs were interpolated between as published, by kind of dataset; None for all."""
    return _PUBLISHED_PAIRS.get(kind, _PUBLISHED_PAIRS_ELSEWHERE)


def add_evolution(sheet: Sheet, evolution: str | Path | None, n_published: int | None) -> None:
    """Add evolution energies; the fractions of one pair are one cluster."""
    names = (
        ("evolution_energy", "corrected", "energy"),
        ("evolution_energy_input", "corrected", "energy_input"),
        ("evolution_energy", "legacy", "energy_legacy"),
    )
    if evolution is None:
        for metric, variant, _ in names:
            sheet.add_missing(metric, variant, "", "low", "no interpolation: the model has no decoder here")
        return
    rows = read_checked(evolution, ("pair", "fraction", "energy")).sort_values(["pair", "fraction"])
    if len(rows) != rows["pair"].nunique() * rows["fraction"].nunique():
        raise InputError(f"{evolution}: not every pair has every fraction once. Run score_evolution again.")
    for metric, variant, column in names:
        if column not in rows:
            sheet.add_missing(metric, variant, "", "low", f"{Path(evolution).name} has no column {column}")
            continue
        chosen = rows if variant == "corrected" or n_published is None else rows[rows["pair"] < n_published]
        items, pairs = _items_of(chosen), chosen["pair"].astype(str)
        sheet.add_mean(metric, variant, "", "low", chosen[column], items, pairs, _why(chosen, column))


def _items_of(rows: pd.DataFrame) -> pd.Series:
    return rows["pair"].astype(str) + "/" + rows["fraction"].map("{:g}".format)


def _why(rows: pd.DataFrame, column: str) -> str:
    """Return what the table's column `reason` gives for values that are missing."""
    if "reason" not in rows:
        return ""
    given = rows.loc[~np.isfinite(rows[column].astype(float)), "reason"].dropna().astype(str)
    return ", ".join(sorted(set(given) - {""}))


def add_interpolation(
    sheet: Sheet,
    codes: Codes,
    pairs: str | Path | None,
    n_fractions: int,
    n_published: int | None,
    n_components: int | None,
) -> None:
    """Add how far linear interpolants lie from real codes; this takes no decoder."""
    name, unit = "interpolation_distance", "of the pair's distance"
    ends = None if pairs is None else pd.read_csv(pairs, dtype={"start": str, "end": str})
    if ends is None or ends.empty:
        reason = "no pairs of test cells" if ends is not None else "no table of pairs"
        sheet.add_missing(name, "corrected", unit, "low", reason)
        sheet.add_missing(name, "legacy", "embedding units", "low", reason)
        return
    row_of = pd.Index(codes.ids)
    exclude = np.stack([row_of.get_indexer(ends[side]) for side in ("start", "end")], axis=1)
    if (exclude < 0).any():
        raise InputError(f"{pairs}: a pair names a cell without embedding. Embed again.")
    fractions = np.arange(1, n_fractions + 1) / (n_fractions + 1)
    rows = ends.loc[ends.index.repeat(n_fractions), ["pair"]]
    rows = rows.assign(fraction=np.tile(fractions, len(ends)))
    way = (codes.z[exclude[:, 0]], codes.z[exclude[:, 1]], fractions, codes.z)
    relative = interpolation_distance(*way, exclude).ravel()
    sheet.add_mean(name, "corrected", unit, "low", relative, _items_of(rows), rows["pair"].astype(str))
    absolute = interpolation_distance_legacy(*way, n_components).ravel()
    chosen = np.full(len(rows), True) if n_published is None else (rows["pair"] < n_published).to_numpy()
    rows = rows[chosen]
    sheet.add_mean(
        name, "legacy", "embedding units", "low", absolute[chosen], _items_of(rows), rows["pair"].astype(str)
    )


def add_compactness(sheet: Sheet, codes: Codes, k: Sequence[int], n_components: int | None) -> None:
    """Add the dimension of the test cells' codes; the published variant takes the training cells as well."""
    z_test, unit = codes.z[codes.test], "dimensions"
    found = intrinsic_dimension(z_test, k)
    if np.isfinite(found.value):
        groups = codes.groups[codes.test][found.rows]
        sheet.add_statistic(
            "compactness",
            unit,
            "low",
            lambda weights: weights.sum(axis=1) / (weights @ found.inverse),
            groups,
            found.reason,
        )
    else:
        sheet.add_missing("compactness", "corrected", unit, "low", found.reason)
    sheet.add_items("compactness", "corrected", [f"k = {one}" for one in found.k], found.per_k)
    published = intrinsic_dimension_legacy(codes.z, n_components)
    n = int(np.isfinite(published.per_k).sum())
    sheet.add_value("compactness", "legacy", unit, "low", published.value, n, published.reason)
    sheet.add_items("compactness", "legacy", [f"k = {one}" for one in published.k], published.per_k)
    ratio = participation_ratio(z_test)
    reason = "" if np.isfinite(ratio) else "fewer than two test cells, or no variance"
    sheet.add_value("participation_ratio", "corrected", unit, "low", ratio, len(z_test), reason)
