"""Rows of the score table from embeddings and the shapes decoded from them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.files.tables import read_checked
from morphobench.metrics.interpolation import interpolation_distance, interpolation_distance_legacy
from morphobench.metrics.intrinsic_dimension import (
    intrinsic_dimension,
    intrinsic_dimension_legacy,
    participation_ratio,
)
from morphobench.metrics.reasons import join
from morphobench.score.intervals import bounds
from morphobench.score.rows import SHARE, EmbeddedCells, Fold, Metric, ScoreRows, tested

# Column of the table of errors -> metric: of clouds and cubes, and of shapes.
_CLOUD_ERRORS = {
    "reconstruction_sinkhorn_um": Metric("reconstruction", unit="um"),
    "reconstruction_sinkhorn_legacy": Metric("reconstruction", unit="model units").legacy,
    "reconstruction_chamfer_um": Metric("reconstruction_chamfer", unit="um"),
    **{
        f"{name}_{by}_um": Metric(f"{metric}_{name}", unit="um", compared=False)
        for name in ("sampling_distance", "other_cell", "mean_shape")
        for by, metric in (("sinkhorn", "reconstruction"), ("chamfer", "reconstruction_chamfer"))
    },
}
_SHAPE_ERRORS = {
    "reconstruction_iou": Metric("reconstruction", unit="1 - Jaccard"),
    "reconstruction_iou_legacy": Metric("reconstruction", unit="1 - Jaccard").legacy,
    "reconstruction_surface_um": Metric("reconstruction_surface", unit="um"),
    "noise_floor_iou": Metric("reconstruction_noise_floor", unit="1 - Jaccard", compared=False),
    "noise_floor_surface_um": Metric("reconstruction_surface_noise_floor", unit="um", compared=False),
    **{
        f"{name}_{by}": Metric(f"{metric}_{name}", unit=unit, compared=False)
        for name in ("other_cell", "mean_shape")
        for by, metric, unit in (
            ("iou", "reconstruction", "1 - Jaccard"),
            ("surface_um", "reconstruction_surface", "um"),
        )
    },
}
_SIDES = ("start", "end")
# Column of the table of interpolants -> metric.
_ENERGIES = {
    "energy": Metric("evolution_energy"),
    "energy_input": Metric("evolution_energy_input"),
    "energy_sampling": Metric("evolution_energy_sampling", compared=False),
    "energy_legacy": Metric("evolution_energy").legacy,
}


def add_reconstruction(rows: ScoreRows, folds: Sequence[Fold]) -> None:
    """Add the reconstruction errors of the test cells, from their tables."""
    tables = [fold.tables["reconstruction"] for fold in folds if "reconstruction" in fold.tables]
    read = [read_checked(path, ("CellId",)) for path in tables]
    table = pd.concat(read, ignore_index=True) if read else pd.DataFrame()
    kinds = [kind for kind in (_CLOUD_ERRORS, _SHAPE_ERRORS) if set(kind) & set(table)]
    if not kinds:
        reason = "no reconstruction error: the model has no decoder, or only its embeddings are known"
        rows.add_absent(reason, Metric("reconstruction"), Metric("reconstruction").legacy)
    items, groups = tested(folds)
    for column, metric in (entry for kind in kinds for entry in kind.items()):
        if column in table:
            own = table.set_index("CellId").reindex(items)
            rows.add_mean(metric, own[column], items, groups, _missing_reasons(own, column))
        else:
            rows.add_absent(f"the table of reconstruction errors has no column {column}", metric)
    errors = [
        column for kind in kinds for column, metric in kind.items() if metric.compared and column in table
    ]
    if errors:
        corrected = [column for column in errors if "legacy" not in column]
        without = table.set_index("CellId").reindex(items)[corrected].isna().any(axis=1)
        rows.add_mean(Metric("reconstruction_missing", within=SHARE), without.astype(float), items, groups)


def add_evolution(rows: ScoreRows, folds: Sequence[Fold], n_legacy: float) -> None:
    """Add evolution energies; pairs of the same units, see `draw_pairs`, are one unit."""
    paths = [fold.tables["evolution"] for fold in folds if "evolution" in fold.tables]
    if not paths:
        rows.add_absent("no interpolation: the model has no decoder here", *_ENERGIES.values())
        return
    table = _of_folds([_read_evolution(path) for path in paths])
    for column, metric in _ENERGIES.items():
        if column in table:
            part = table if metric.variant == "corrected" else table[table["pair"] < n_legacy]
            if column == "energy_sampling":
                # One for each pair.
                part = part[part["fraction"] == part["fraction"].min()]
            reason = _missing_reasons(part, column)
            if column == "energy" and (n_constant := int(part["constant"].sum())):
                stated = f"{n_constant} of {len(part)} interpolants are between ends that decode to one shape"
                reason = join(f"{stated}, or to none, and count with the energy stated for these", reason)
            _add_interpolants(rows, metric, part, part[column], reason)
        else:
            rows.add_absent(f"{Path(paths[0]).name} has no column {column}", metric)
    missing = (table["energy"].isna() | table["constant"]).astype(float)
    _add_interpolants(rows, Metric("evolution_energy_missing", within=SHARE), table, missing)


def _read_evolution(path: FilePath) -> pd.DataFrame:
    columns = ("pair", "group", "fraction", "energy", "constant")
    table = read_checked(path, columns).sort_values(["pair", "fraction"])
    if len(table) != table["pair"].nunique() * table["fraction"].nunique():
        raise InputError(f"{path}: not every pair has every fraction once. Run score_evolution again.")
    return table


def _of_folds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of interpolants, whose pairs and groups are numbered in each fold, in one."""
    if len(tables) == 1:
        return tables[0]
    named = [table.assign(group=f"fold {number}, " + table["group"]) for number, table in enumerate(tables)]
    return pd.concat([table.assign(fold=number) for number, table in enumerate(named)], ignore_index=True)


def _add_interpolants(
    rows: ScoreRows, metric: Metric, table: pd.DataFrame, values: Sequence[float], reason: str = ""
) -> None:
    """Add values of interpolants, whose columns fold, pair and fraction name them, and group their units."""
    items = table["pair"].astype(str) + "/" + table["fraction"].map("{:g}".format)
    if "fold" in table:
        items = table["fold"].astype(str) + "/" + items
    rows.add_mean(metric, values, items, table["group"], reason)


def _missing_reasons(table: pd.DataFrame, column: str) -> str:
    """Return what the table's column `reason` says about values that are missing."""
    if "reason" not in table:
        return ""
    reasons = table.loc[~np.isfinite(table[column].astype(float)), "reason"].dropna().astype(str)
    return ", ".join(sorted(set(reasons) - {""}))


def add_interpolation(
    rows: ScoreRows, folds: Sequence[Fold], n_fractions: int, n_legacy: float, n_components: int
) -> None:
    """Add the distance of linear interpolants from real embeddings; this takes no decoder."""
    corrected = Metric("interpolation_distance", unit="of the distance between cells")
    legacy = Metric("interpolation_distance", unit="embedding units").legacy
    if "pairs" not in folds[0].tables:
        rows.add_absent("no table of pairs", corrected, legacy)
        return
    fractions = np.arange(1, n_fractions + 1) / (n_fractions + 1)
    table = _of_folds([_interpolation_distances(fold, fractions, n_components) for fold in folds])
    if table.empty:
        rows.add_missing("no pairs of test cells", corrected, legacy)
        return
    _add_interpolants(rows, corrected, table, table["distance"])
    part = table[table["pair"] < n_legacy]
    _add_interpolants(rows, legacy, part, part["legacy"])


def _interpolation_distances(fold: Fold, fractions: np.ndarray, n_components: int) -> pd.DataFrame:
    """Return pair, group, fraction and both distances of the interpolants of one fold."""
    cells, pairs = fold.cells, fold.tables["pairs"]
    ends = files.read_csv(pairs, ["start", "end"])
    table = ends[["pair", "group"]].merge(pd.DataFrame({"fraction": fractions}), how="cross")
    if ends.empty:
        return table.assign(distance=np.nan, legacy=np.nan)
    rows_of_ends = np.stack([cells.manifest.index.get_indexer(ends[side]) for side in _SIDES], axis=1)
    if (rows_of_ends < 0).any():
        raise InputError(f"{pairs}: a pair names a cell without embedding. Embed again.")
    units = np.unique(cells.groups, return_inverse=True)[1]
    line = (*cells.z[rows_of_ends.T], fractions, cells.z)
    distance = interpolation_distance(*line, units, units[rows_of_ends]).ravel()
    return table.assign(distance=distance, legacy=interpolation_distance_legacy(*line, n_components).ravel())


def add_compactness(
    rows: ScoreRows, folds: Sequence[Fold], k: Sequence[int], n_cells: int, seed: int, n_components: int
) -> None:
    """Add the dimension of the test cells' embeddings; the published variant takes the training cells too.

    Of more than `n_cells` test cells as many are drawn, the same for every model: the value depends on their
    number. No direction is better. Of folds it is the mean: their embeddings share no axes.
    """
    rng = seeds.generator(seed, rows.dataset, "score", "compactness cells")
    drawn = [np.sort(rng.permutation(cells.test)[:n_cells]) for cells, _ in folds]
    metric = Metric("compactness", "none", "dimensions")
    both = list(zip((fold.cells for fold in folds), drawn, strict=True))
    found = [intrinsic_dimension(cells.z[own], k, cells.groups[own]) for cells, own in both]
    parts = zip(both, found, strict=True)
    n_units = sum(len(np.unique(cells.groups[own][one.rows])) for (cells, own), one in parts)
    n, reason = sum(len(one.rows) for one in found), join(*dict.fromkeys(one.reason for one in found))
    value = float(np.mean([one.value for one in found]))
    error = float(np.sqrt(np.sum([one.error**2 for one in found]))) / len(found)
    rows.add_value(metric, value, n, reason, bounds(value, error, n_units, n_units, metric.within), n_units)
    # A k that so few cells do not reach is no missing value: its own row says why there is none.
    per_k = np.mean([one.per_k for one in found], axis=0)
    reached = np.flatnonzero(np.isfinite(per_k))
    rows.add_items(metric, [f"k = {k[one]}" for one in reached], per_k[reached])
    for one, value in zip(k, per_k, strict=True):
        reason_of_k = "" if np.isfinite(value) else reason
        rows.add_value(metric._replace(name=f"compactness_k{one}"), float(value), n, reason_of_k)
    _add_other_dimensions(rows, metric, both, n_components)


def _add_other_dimensions(
    rows: ScoreRows, metric: Metric, folds: Sequence[tuple[EmbeddedCells, np.ndarray]], n_components: int
) -> None:
    """Add the published dimension of all cells, and the participation ratio of those drawn in each fold."""
    legacy = [intrinsic_dimension_legacy(cells.z, n_components) for cells, _ in folds]
    published = metric._replace(better="low").legacy
    value, per_k = (
        np.mean(part, axis=0) for part in zip(*((one.value, one.per_k) for one in legacy), strict=True)
    )
    rows.add_value(published, float(value), int(np.isfinite(per_k).sum()), legacy[0].reason)
    rows.add_items(published, [f"k = {one}" for one in legacy[0].k], per_k)
    ratio = float(np.mean([participation_ratio(cells.z[own]) for cells, own in folds]))
    reason = "" if np.isfinite(ratio) else "fewer than two test cells, or no variance"
    n = sum(len(own) for _, own in folds)
    rows.add_value(metric._replace(name="participation_ratio"), ratio, n, reason)
