"""The score stage: read what the stages before wrote, write one row per metric and the values behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import read_table, write_table
from morphobench.rotation import about_z
from morphobench.score.classification import SCORES, classification_scores, classification_scores_legacy
from morphobench.score.dimension import intrinsic_dimension, intrinsic_dimension_legacy, participation_ratio
from morphobench.score.interpolation import interpolation_distance, interpolation_distance_legacy
from morphobench.score.invariance import rotation_invariance_error
from morphobench.score.sheet import Sheet
from morphobench.score.summary import table
from morphobench.tables import describe_cells, embedding_matrix, read_checked

_MATRIX = [f"r_{row}{column}" for row in range(3) for column in range(3)]
_LEGACY_DEGREES = (90, 180, 270)
_RECONSTRUCTION = {
    "reconstruction": "sinkhorn_um",
    "reconstruction_chamfer": "reconstruction_um",
    "reconstruction_noise_floor": "noise_floor_um",
}
# Tables that runs from published embeddings do not have.
_ABSENT = "not known: only published embeddings were at hand"
_COST = ("parameters", "encode_s", "decode_s", "train_s", "emissions_kg")


def run(
    *,
    manifest: str | Path,
    embeddings: Mapping[str, str | Path | None],
    evolution: str | Path | None,
    cost: str | Path | None,
    dataset: str,
    model: str,
    model_seed: int,
    labels: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
    scores_out: str | Path,
    items_out: str | Path,
) -> None:
    """Score one trained model and write its score table and the values behind it.

    Parameters
    ----------
    manifest
        Table of all cells: CellId, group, split and the columns named in `labels`.
    embeddings
        Pose -> embedding table. "identity" holds every cell once, with reconstruction errors in micrometres;
        "lattice" and "uniform" hold the test cells once per rotation; None where they were not embedded.
    evolution
        Table of interpolants: pair, start, end, fraction, energy, energy_legacy; or None.
    cost
        JSON with parameters, encode_s, decode_s, train_s and emissions_kg; or None. What is not known gets
        rows without a value, with the reason.
    dataset, model, model_seed
        Names for the rows; `model_seed` is the seed of the training.
    labels
        Manifest columns to classify.
    settings
        n_bootstrap (resamples) and k_neighbours (list of k of the intrinsic dimension).
    seed
        Seed of the bootstrap and the classifier; resamples are the same for every model.
    scores_out, items_out
        Tables to write: the fields of `Score`; dataset, model, seed, metric, variant, item, value.

    Raises
    ------
    InputError
        When a table lacks a column, or tables do not belong together.
    """
    cells = read_checked(manifest, ("CellId", "group", "split", *labels))
    reference = read_checked(embeddings["identity"], ("CellId",))
    if set(_RECONSTRUCTION.values()) & set(reference):
        reference = read_checked(embeddings["identity"], ("CellId", *_RECONSTRUCTION.values()))
    reference = reference.sort_values("CellId", ignore_index=True)
    known = describe_cells(reference["CellId"], cells, embeddings["identity"])
    sheet = Sheet(dataset, model, model_seed, settings["n_bootstrap"], seed)
    add_invariance(sheet, reference, known, embeddings)
    add_reconstruction(sheet, reference, known)
    add_evolution(sheet, reference, evolution)
    for label in labels:
        add_classification(sheet, reference, known, label, seed)
    add_compactness(sheet, reference, known, settings["k_neighbours"])
    add_cost(sheet, cost)
    write_table(table(sheet.scores), scores_out)
    write_table(pd.concat(sheet.items, ignore_index=True), items_out)


def combine(paths: Sequence[str | Path], out: str | Path) -> None:
    """Concatenate tables of one kind, score or item tables of single models, in the order given.

    Raises
    ------
    InputError
        When there is no table, or their columns differ.
    """
    if not len(paths):
        raise InputError(f"{out}: no model to collect. List at least one model in the dataset's yaml.")
    tables = [read_table(path) for path in paths]
    for path, one in zip(paths, tables, strict=True):
        if list(one.columns) != list(tables[0].columns):
            raise InputError(
                f"{path} and {paths[0]} have different columns. Run the score stage again for both."
            )
    write_table(pd.concat(tables, ignore_index=True), out)


def add_invariance(
    sheet: Sheet, reference: pd.DataFrame, known: pd.DataFrame, embeddings: Mapping[str, str | Path]
) -> None:
    """Add the rotation error under the lattice rotations, the uniform ones and the published four."""
    z = pd.DataFrame(embedding_matrix(reference), index=reference["CellId"])
    for pose in ("lattice", "uniform"):
        if embeddings[pose] is None:
            name = f"rotation_invariance_error_{pose}"
            sheet.add_value(name, "corrected", "", "low", np.nan, 0, _ABSENT)
            continue
        turned = read_checked(embeddings[pose], ("CellId", "rotation", *_MATRIX))
        strangers = turned.loc[~turned["CellId"].isin(z.index), "CellId"]
        if len(strangers):
            raise InputError(
                f"{embeddings[pose]}: cell {strangers.iloc[0]} is not in pose identity. Embed again."
            )
        matrix = turned[_MATRIX].to_numpy(np.float64).reshape(-1, 3, 3)
        error = rotation_invariance_error(z.loc[turned["CellId"]].to_numpy(), embedding_matrix(turned))
        rows = turned[["CellId", "rotation"]].assign(
            value=error,
            group=known.loc[turned["CellId"], "group"].to_numpy(),
            item=turned["CellId"] + "/" + turned["rotation"].astype(str),
        )
        # The unturned pose has error 0 by definition and would only dilute the mean.
        real = rows[~np.isclose(matrix, np.eye(3), atol=1e-6).all(axis=(1, 2))]
        name = f"rotation_invariance_error_{pose}"
        sheet.add_mean(name, "corrected", "", "low", real["value"], real["item"], real["group"])
        if pose == "lattice":
            _add_published_angles(sheet, name, rows, matrix)


def _add_published_angles(sheet: Sheet, name: str, rows: pd.DataFrame, matrix: np.ndarray) -> None:
    """Add the mean over 0, 90, 180 and 270 degrees about z, the zeros at 0 degrees included."""
    parts = [rows.drop_duplicates("CellId").assign(value=0.0, item=rows["CellId"] + "/0 deg")]
    for degrees in _LEGACY_DEGREES:
        here = np.isclose(matrix, about_z(degrees), atol=1e-6).all(axis=(1, 2))
        if not here.any():
            reason = f"no rotation by {degrees} degrees about z among the lattice rotations"
            sheet.add_value(name, "legacy", "", "low", np.nan, 0, reason)
            return
        parts.append(rows[here].assign(item=rows["CellId"] + f"/{degrees} deg"))
    published = pd.concat(parts)
    sheet.add_mean(name, "legacy", "", "low", published["value"], published["item"], published["group"])


def add_reconstruction(sheet: Sheet, reference: pd.DataFrame, known: pd.DataFrame) -> None:
    """Add the reconstruction errors of the test cells in micrometres, and their noise floor."""
    test = (known["split"] == "test").to_numpy()
    for metric, column in _RECONSTRUCTION.items():
        if column not in reference:
            sheet.add_value(metric, "corrected", "um", "low", np.nan, 0, _ABSENT)
            continue
        values = reference.loc[test, column]
        sheet.add_mean(
            metric, "corrected", "um", "low", values, reference.loc[test, "CellId"], known.loc[test, "group"]
        )


def add_evolution(sheet: Sheet, reference: pd.DataFrame, evolution: str | Path | None) -> None:
    """Add evolution energy and interpolation distance; the fractions of one pair are one cluster."""
    if evolution is None:
        for metric in ("evolution_energy", "interpolation_distance"):
            sheet.add_value(metric, "corrected", "", "low", np.nan, 0, _ABSENT)
        return
    columns = ("pair", "start", "end", "fraction", "energy", "energy_legacy")
    rows = read_checked(evolution, columns).sort_values(["pair", "fraction"], ignore_index=True)
    fractions = np.sort(rows["fraction"].unique())
    if len(rows) != rows["pair"].nunique() * len(fractions):
        raise InputError(f"{evolution}: not every pair has every fraction once. Run score_evolution again.")
    item, pair = rows["pair"].astype(str) + "/" + rows["fraction"].map("{:g}".format), rows["pair"]
    for variant, column in (("corrected", "energy"), ("legacy", "energy_legacy")):
        sheet.add_mean("evolution_energy", variant, "", "low", rows[column], item, pair)
    ends = rows.drop_duplicates("pair")
    row_of = pd.Index(reference["CellId"])
    exclude = np.stack([row_of.get_indexer(ends[side].astype(str)) for side in ("start", "end")], axis=1)
    if (exclude < 0).any():
        raise InputError(f"{evolution}: a pair names a cell without embedding. Run score_evolution again.")
    z = embedding_matrix(reference)
    way = (z[exclude[:, 0]], z[exclude[:, 1]], fractions, z)
    name = "interpolation_distance"
    relative, absolute = interpolation_distance(*way, exclude), interpolation_distance_legacy(*way)
    sheet.add_mean(name, "corrected", "of the pair's distance", "low", relative.ravel(), item, pair)
    sheet.add_mean(name, "legacy", "embedding units", "low", absolute.ravel(), item, pair)


def add_classification(
    sheet: Sheet, reference: pd.DataFrame, known: pd.DataFrame, label: str, seed: int
) -> None:
    """Add every score of the linear classifier of `label`, and the published cross-validation."""
    z, names = embedding_matrix(reference), known[label].to_numpy()
    found = classification_scores(z, names, known["split"].to_numpy(), seed=seed)
    for name in SCORES:
        metric = f"classification_{label}_{name}"
        if name in found.per_cell:
            items, clusters = reference["CellId"].iloc[found.rows], known["group"].iloc[found.rows]
            sheet.add_mean(
                metric, "corrected", "", "high", found.per_cell[name], items, clusters, found.reason
            )
        else:
            value = found.scores[name]
            reason = found.reason or ("" if np.isfinite(value) else "undefined with so few different labels")
            sheet.add_value(metric, "corrected", "", "high", value, len(found.rows), reason)
    folds = classification_scores_legacy(z, names)
    for column, name in enumerate(SCORES[:3]):
        items = [f"fold {fold}" for fold in range(len(folds.top))]
        metric = f"classification_{label}_{name}"
        sheet.add_mean(metric, "legacy", "", "high", folds.top[:, column], items, items, folds.reason)


def add_compactness(sheet: Sheet, reference: pd.DataFrame, known: pd.DataFrame, k: Sequence[int]) -> None:
    """Add the dimension of the test cells' codes; the published variant takes the training cells as well."""
    z, test = embedding_matrix(reference), np.flatnonzero((known["split"] == "test").to_numpy())
    found = intrinsic_dimension(z[test], k)
    groups = known["group"].to_numpy()[test[found.rows]]
    inverse = sheet.interval("compactness", found.inverse, groups)
    # A large inverse is a small dimension: the bounds change places.
    bounds = (1 / inverse.high, 1 / inverse.low)
    sheet.add_value(
        "compactness", "corrected", "dimensions", "low", found.value, inverse.n, found.reason, bounds
    )
    sheet.add_items("compactness", "corrected", [f"k = {one}" for one in found.k], found.per_k)
    published = intrinsic_dimension_legacy(z)
    n = int(np.isfinite(published.per_k).sum())
    sheet.add_value("compactness", "legacy", "dimensions", "low", published.value, n, published.reason)
    sheet.add_items("compactness", "legacy", [f"k = {one}" for one in published.k], published.per_k)
    ratio = participation_ratio(z[test])
    reason = "" if np.isfinite(ratio) else "fewer than two test cells, or no variance"
    sheet.add_value("participation_ratio", "corrected", "dimensions", "low", ratio, len(test), reason)


def add_cost(sheet: Sheet, path: str | Path | None) -> None:
    """Add size, times per cell, training time and emissions as they were measured."""
    if path is None:
        for metric in ("parameters", "encode_time", "decode_time", "training_time", "emissions"):
            sheet.add_value(metric, "corrected", "", "low", np.nan, 0, _ABSENT)
        return
    cost = json.loads(Path(path).read_text())
    missing = sorted(set(_COST) - set(cost))
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}. Run score_cost again.")
    sheet.add_value("parameters", "corrected", "", "low", float(cost["parameters"]), 1)
    for metric, key in (("encode_time", "encode_s"), ("decode_time", "decode_s")):
        repeats = [f"repeat {repeat}" for repeat in range(len(cost[key]))]
        sheet.add_mean(metric, "corrected", "s", "low", cost[key], repeats, repeats)
    for metric, key, unit in (("training_time", "train_s", "s"), ("emissions", "emissions_kg", "kg CO2eq")):
        known = cost[key] is not None
        value, reason = (float(cost[key]), "") if known else (np.nan, "not measured on this machine")
        sheet.add_value(metric, "corrected", unit, "low", value, int(known), reason)
