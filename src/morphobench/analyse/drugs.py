"""Drug perturbation: retrieval of conditions, and their discriminants against the controls."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.analyse.cells import EmbeddedCells, read
from morphobench.analyse.lda import fit_axis, separate, walk_cells
from morphobench.analyse.pca import principal_components
from morphobench.errors import InputError
from morphobench.files import FilePath, manifests, values, write_table
from morphobench.files.tables import describe_cells, read_checked
from morphobench.log import logger
from morphobench.metrics.fdr import benjamini_hochberg, hierarchical
from morphobench.metrics.retrieval import retrieval_map

CELLPROFILER = "cellprofiler"
_STATISTICS = ("Mean", "StDev", "Median")
N_COMPONENTS, N_STEPS = 20, 7


def retrieval(
    manifest: FilePath,
    embeddings: Mapping[str, FilePath],
    groups_out: FilePath,
    cells_out: FilePath,
    *,
    drugs: Mapping[str, Any],
    cellprofiler: FilePath | None = None,
    **nulls: int,
) -> None:
    """Write the retrieval of every condition, and of its cells, from every set of features.

    Embedding tables go by `model/seed`; features of the table `cellprofiler`, where it has any, have seed -1.
    The tables are those of `retrieval_map` after model, seed, condition, drug (the short name), and of
    conditions family and q_hierarchical; `nulls` are its n_null, n_exchanges and seed.
    """
    sets = {name: read(manifest, path) for name, path in embeddings.items()}
    if external := _cellprofiler(manifest, cellprofiler):
        sets[f"{CELLPROFILER}/-1"] = external
    tables: dict[FilePath, dict[tuple[str, int], pd.DataFrame]] = {groups_out: {}, cells_out: {}}
    for name, cells in sets.items():
        cells, condition, is_control = _with_condition(cells, drugs)
        apart = _column(cells, drugs.get("apart"), "cells are compared without regard to it")
        found = retrieval_map(cells.z, condition, is_control, **_units(cells, drugs), apart=apart, **nulls)
        if found.note:
            logger.warning("%s: %s", name, found.note)
        n_retrieved, n = found.groups["retrieved"].sum(), (found.groups["kind"] == "condition").sum()
        logger.info("%s: %d of %d conditions retrieved", name, n_retrieved, n)
        own_cells = found.cells.assign(CellId=cells.ids[found.cells["row"].to_numpy(int)]).drop(columns="row")
        model, training = name.rsplit("/", 1)
        for out, table in ((groups_out, found.groups), (cells_out, own_cells)):
            table = table.rename(columns={"group": "condition"})
            table = _with_families(table, drugs) if out is groups_out else table
            tables[out][model, int(training)] = _with_drug(table, drugs)
    for out, parts in tables.items():
        table = pd.concat(parts, names=["model", "seed"]).reset_index(["model", "seed"])
        write_table(table.reset_index(drop=True), out)


def lda(
    manifest: FilePath,
    embedding: FilePath,
    tests_out: FilePath,
    scores_out: FilePath,
    walk_out: FilePath,
    *,
    drugs: Mapping[str, Any],
    n_permutations: int,
    seed: int,
) -> None:
    """Separate every condition from the controls, score its cells, and walk from one to the other.

    Each table has condition and drug; then tests n_cells, n_controls, cv_auroc, p, q, family, q_hierarchical,
    smallest_p, control_auroc_mean, control_auroc_high, n_units, reason (see `separate`); scores CellId, class
    (control | condition), PC_1, PC_2, score (cross-validated), score_fitted (on the axis of the walk); the
    walk CellId, class, step, position, distance, and PC_1, PC_2 of the point on the axis.
    """
    cells, condition, is_control = _with_condition(read(manifest, embedding), drugs)
    units = _units(cells, drugs)
    x = principal_components(cells.z, N_COMPONENTS).scores
    tests, scores, walks = [], [], []
    for name in np.unique(condition[~is_control]):
        rows = np.flatnonzero(is_control | (condition == name))
        own, treated = x[rows], ~is_control[rows]
        rng = np.random.default_rng(seeds.integer(seed, "analyse", "lda", str(name)))
        places = {key: None if values is None else values[rows] for key, values in units.items()}
        separation = separate(
            own, treated, **places, n_permutations=n_permutations, n_sets=n_permutations, rng=rng
        )
        counts = {"condition": name, "n_cells": treated.sum(), "n_controls": (~treated).sum()}
        tests.append({**counts, **separation._asdict()})
        axis, classes = fit_axis(own, treated), np.where(treated, "condition", "control")
        table = pd.DataFrame({"condition": name, "CellId": cells.ids[rows], "class": classes})
        scores.append(table.assign(**_plane(own), score=separation.scores, score_fitted=axis.scores(own)))
        positions, nearest, distances = walk_cells(own, axis, N_STEPS)
        steps = table.iloc[nearest].reset_index(drop=True)
        steps = steps.assign(step=np.arange(len(steps)), position=positions, distance=distances)
        walks.append(steps.assign(**_plane(axis.middle + positions[:, None] * axis.direction)))
        logger.info("%s: AUROC %.3f, p %.3g", name, separation.cv_auroc, separation.p)
    table = pd.DataFrame(tests).drop(columns="scores")
    table.insert(table.columns.get_loc("p") + 1, "q", benjamini_hochberg(table["p"].to_numpy()))
    write_table(_with_drug(_with_families(table, drugs), drugs), tests_out)
    write_table(_with_drug(pd.concat(scores, ignore_index=True), drugs), scores_out)
    write_table(_with_drug(pd.concat(walks, ignore_index=True), drugs), walk_out)


def _plane(points: np.ndarray) -> dict[str, np.ndarray | float]:
    """Return the first two coordinates of points (n, d)."""
    return {"PC_1": points[:, 0], "PC_2": points[:, 1] if points.shape[1] > 1 else 0.0}


def _with_drug(table: pd.DataFrame, drugs: Mapping[str, Any]) -> pd.DataFrame:
    """Put condition and its short name first."""
    names, condition = drugs.get("names", {}), table["condition"]
    drug = condition.map(lambda name: names.get(name, name))
    return pd.DataFrame({"condition": condition, "drug": drug}).join(table.drop(columns="condition"))


def _with_families(table: pd.DataFrame, drugs: Mapping[str, Any]) -> pd.DataFrame:
    """Put the family of each condition, and its hierarchical q value, behind q; none of the control."""
    family_of = {name: family for family, names in (drugs.get("families") or {}).items() for name in names}
    condition = table["condition"]
    if absent := ", ".join(sorted(set(family_of) - set(condition))):
        logger.warning("no cell has the condition %s of analyse.drugs.families", absent)
    is_control = condition == drugs["control"]
    family = condition.map(lambda name: family_of.get(name, name)).mask(is_control)
    q = hierarchical(table["p"].mask(is_control).to_numpy(float), family)
    at = table.columns.get_loc("q") + 1
    columns = [*table.columns[:at], "family", "q_hierarchical", *table.columns[at:]]
    return table.assign(family=family, q_hierarchical=q)[columns]


def _with_condition(
    cells: EmbeddedCells, drugs: Mapping[str, Any]
) -> tuple[EmbeddedCells, np.ndarray, np.ndarray]:
    """Return the cells with a condition, the condition of each, and whether it is the control."""
    column = drugs["condition"]
    if column not in cells.manifest:
        there = f"one of {', '.join(cells.manifest)}"
        raise InputError(f"the manifest has no column {column!r}: set analyse.drugs.condition to {there}.")
    conditions = values.text(cells.manifest[column])
    known = conditions.notna().to_numpy()
    if not known.all():
        logger.warning("%d cells without a %s are left out", (~known).sum(), column)
    cells = cells.take(known)
    condition = conditions[known].to_numpy(dtype=str)
    is_control = values.isin(conditions[known], [drugs["control"]])
    condition = np.where(is_control, values.text_of(drugs["control"]), condition)
    if is_control.sum() < 2 or is_control.all():
        n, there = is_control.sum(), ", ".join(np.unique(condition))
        count = f"{n} cells of the control {drugs['control']!r} and {len(condition) - n} others"
        raise InputError(f"column {column!r} has {count}: set analyse.drugs.control to one of {there}.")
    return cells, condition, is_control


def _column(cells: EmbeddedCells, column: str | None, else_: str) -> np.ndarray | None:
    """Return a column, or None with a line in the log where the manifest lacks it."""
    if column and (column not in cells.manifest or cells.manifest[column].isna().all()):
        logger.warning("the manifest has no %s: %s", column, else_)
        return None
    return values.text(cells.manifest[column]).to_numpy(object) if column else None


def _units(cells: EmbeddedCells, drugs: Mapping[str, Any]) -> dict[str, np.ndarray | None]:
    """Return well and plate of each cell as `unit` and `plate`; no unit where a column is missing.

    Single cells never stand in for wells that are not known: tests then have no p value.
    """
    if not drugs.get("well"):
        logger.warning("analyse.drugs.well names no column: tests have no p value")
    unit = _column(cells, drugs.get("well"), "tests have no p value (analyse.drugs.well)")
    plate = _column(cells, drugs.get("plate"), "tests have no p value (analyse.drugs.plate)")
    return {"unit": None if drugs.get("plate") and plate is None else unit, "plate": plate}


def _cellprofiler(manifest: FilePath, path: FilePath | None) -> EmbeddedCells | None:
    """Read CellProfiler features, one row per CellId; None with a line in the log where there are none."""
    if not path or not Path(path).stat().st_size:
        logger.info("no CellProfiler features (analyse.drugs.cellprofiler): they have no row")
        return None
    there = manifests.columns_of(path)
    columns = [name for name in there if any(statistic in name for statistic in _STATISTICS)]
    table = manifests.read(path, [], text=["CellId"], optional=columns)
    if not columns:
        raise InputError(f"{path} has no column with {', '.join(_STATISTICS)} in its name. Export them.")
    cells = read_checked(manifest, ("CellId",))
    unknown = ~table["CellId"].isin(cells["CellId"])
    if unknown.any():
        logger.warning("%s: %d cells are not in the manifest and are left out", path, unknown.sum())
    if n := int(table["CellId"].duplicated().sum()):
        logger.warning("%s: %d rows repeat a CellId and are left out: the first counts", path, n)
    table = table[~unknown].drop_duplicates("CellId").sort_values("CellId")
    rows = describe_cells(table["CellId"], cells, path).reset_index()
    features = table[columns].apply(lambda column: values.numbers(column, f"{path}: column {column.name}"))
    return EmbeddedCells(features.to_numpy(float), rows)
