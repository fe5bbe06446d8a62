"""Rows of the score table from embeddings and the shapes decoded from them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

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
from morphobench.score.rows import EmbeddedCells, Metric, ScoreRows

# Column of the table of errors -> metric: of clouds and cubes, and of shapes.
_CLOUD_ERRORS = {
    "reconstruction_sinkhorn_um": Metric("reconstruction", unit="um"),
    "reconstruction_sinkhorn_legacy": Metric("reconstruction", unit="model units").legacy,
    "reconstruction_chamfer_um": Metric("reconstruction_chamfer", unit="um"),
    "noise_floor_sinkhorn_um": Metric("reconstruction_noise_floor", unit="um"),
    "noise_floor_chamfer_um": Metric("reconstruction_chamfer_noise_floor", unit="um"),
}
_SHAPE_ERRORS = {
    "reconstruction_iou": Metric("reconstruction", unit="1 - Jaccard"),
    "reconstruction_iou_legacy": Metric("reconstruction", unit="1 - Jaccard").legacy,
    "reconstruction_surface_um": Metric("reconstruction_surface", unit="um"),
    "noise_floor_iou": Metric("reconstruction_noise_floor", unit="1 - Jaccard"),
    "noise_floor_surface_um": Metric("reconstruction_surface_noise_floor", unit="um"),
}
# Column of the table of interpolants -> metric.
_ENERGIES = {
    "energy": Metric("evolution_energy"),
    "energy_input": Metric("evolution_energy_input"),
    "energy_sampling": Metric("evolution_energy_sampling"),
    "energy_legacy": Metric("evolution_energy").legacy,
}


def add_reconstruction(rows: ScoreRows, cells: EmbeddedCells, reconstruction: FilePath | None) -> None:
    """Add the reconstruction errors of the test cells, from their table."""
    table = pd.DataFrame() if reconstruction is None else read_checked(reconstruction, ("CellId",))
    kinds = [kind for kind in (_CLOUD_ERRORS, _SHAPE_ERRORS) if set(kind) & set(table)]
    if not kinds:
        reason = "no reconstruction error: the model has no decoder, or only its embeddings are known"
        rows.add_absent(reason, Metric("reconstruction"), Metric("reconstruction").legacy)
    items, groups = cells.ids[cells.test], cells.groups[cells.test]
    for column, metric in (entry for kind in kinds for entry in kind.items()):
        if column in table:
            tested = table.set_index("CellId").reindex(items)
            rows.add_mean(metric, tested[column], items, groups, _missing_reasons(tested, column))
        else:
            rows.add_absent(f"the table of reconstruction errors has no column {column}", metric)


def add_evolution(rows: ScoreRows, evolution: FilePath | None, n_legacy: float) -> None:
    """Add evolution energies; the fractions of one pair are one cluster."""
    if evolution is None:
        rows.add_absent("no interpolation: the model has no decoder here", *_ENERGIES.values())
        return
    table = read_checked(evolution, ("pair", "fraction", "energy", "constant")).sort_values(
        ["pair", "fraction"]
    )
    if len(table) != table["pair"].nunique() * table["fraction"].nunique():
        raise InputError(f"{evolution}: not every pair has every fraction once. Run score_evolution again.")
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
            rows.add_absent(f"{Path(evolution).name} has no column {column}", metric)


def _add_interpolants(
    rows: ScoreRows, metric: Metric, table: pd.DataFrame, values: Sequence[float], reason: str = ""
) -> None:
    """Add values of interpolants, whose columns pair and fraction name them."""
    pairs = table["pair"].astype(str)
    rows.add_mean(metric, values, pairs + "/" + table["fraction"].map("{:g}".format), pairs, reason)


def _missing_reasons(table: pd.DataFrame, column: str) -> str:
    """Return what the table's column `reason` says about values that are missing."""
    if "reason" not in table:
        return ""
    reasons = table.loc[~np.isfinite(table[column].astype(float)), "reason"].dropna().astype(str)
    return ", ".join(sorted(set(reasons) - {""}))


def add_interpolation(
    rows: ScoreRows,
    cells: EmbeddedCells,
    pairs: FilePath | None,
    n_fractions: int,
    n_legacy: float,
    n_components: int,
) -> None:
    """Add the distance of linear interpolants from real embeddings; this takes no decoder."""
    corrected = Metric("interpolation_distance", unit="of the pair's distance")
    legacy = Metric("interpolation_distance", unit="embedding units").legacy
    ends = None if pairs is None else pd.read_csv(pairs, dtype={"start": str, "end": str})
    if ends is None:
        rows.add_absent("no table of pairs", corrected, legacy)
        return
    if ends.empty:
        rows.add_missing("no pairs of test cells", corrected, legacy)
        return
    exclude = np.stack([cells.manifest.index.get_indexer(ends[side]) for side in ("start", "end")], axis=1)
    if (exclude < 0).any():
        raise InputError(f"{pairs}: a pair names a cell without embedding. Embed again.")
    fractions = np.arange(1, n_fractions + 1) / (n_fractions + 1)
    table = ends[["pair"]].merge(pd.DataFrame({"fraction": fractions}), how="cross")
    line = (cells.z[exclude[:, 0]], cells.z[exclude[:, 1]], fractions, cells.z)
    _add_interpolants(rows, corrected, table, interpolation_distance(*line, exclude).ravel())
    distance = interpolation_distance_legacy(*line, n_components).ravel()
    part = table[table["pair"] < n_legacy]
    _add_interpolants(rows, legacy, part, distance[part.index])


def add_compactness(rows: ScoreRows, cells: EmbeddedCells, k: Sequence[int], n_components: int) -> None:
    """Add the dimension of the test cells' embeddings; the published variant takes the training cells too."""
    z_test, metric = cells.z[cells.test], Metric("compactness", unit="dimensions")
    dimension = intrinsic_dimension(z_test, k)
    if np.isfinite(dimension.value):
        groups = cells.groups[cells.test][dimension.rows]
        rows.add_statistic(
            metric, lambda w: w.sum(axis=1) / (w @ dimension.inverse), groups, dimension.reason
        )
    else:
        rows.add_missing(dimension.reason, metric)
    rows.add_items(metric, [f"k = {one}" for one in dimension.k], dimension.per_k)
    legacy = intrinsic_dimension_legacy(cells.z, n_components)
    rows.add_value(metric.legacy, legacy.value, int(np.isfinite(legacy.per_k).sum()), legacy.reason)
    rows.add_items(metric.legacy, [f"k = {one}" for one in legacy.k], legacy.per_k)
    ratio = participation_ratio(z_test)
    reason = "" if np.isfinite(ratio) else "fewer than two test cells, or no variance"
    rows.add_value(metric._replace(name="participation_ratio"), ratio, len(z_test), reason)
