"""Drug perturbation: which conditions are retrieved, and the axis between each and the controls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.analyse.cells import Coded, read
from morphobench.analyse.lda import fit_axis, separate, walk_cells
from morphobench.analyse.pca import principal_components
from morphobench.errors import InputError
from morphobench.files import write_table
from morphobench.files.tables import describe_cells, read_checked
from morphobench.log import logger
from morphobench.score.metrics.fdr import benjamini_hochberg
from morphobench.score.metrics.retrieval import retrieval_map

CELLPROFILER = "cellprofiler"
_STATISTICS = ("Mean", "StDev", "Median")
N_COMPONENTS, N_STEPS = 20, 7


def retrieval(
    manifest: str | Path,
    embeddings: Mapping[str, str | Path],
    groups_out: str | Path,
    cells_out: str | Path,
    *,
    drugs: Mapping[str, Any],
    n_null: int,
    n_exchanges: int,
    seed: int,
) -> None:
    """Write the retrieval of every condition from every set of features.

    Parameters
    ----------
    manifest
        Table of all cells.
    embeddings
        Embedding table by name of features, `model/seed`.
    groups_out, cells_out
        The tables of `Retrieval`, with columns model and seed before them (seed -1 for
        CellProfiler features), drug (the short name) and CellId.
    drugs
        Block `analyse.drugs` of the dataset's yaml.
    n_null, n_exchanges
        Draws of the nulls.
    seed
        Seed of the run.
    """
    sets = {name: read(manifest, path) for name, path in embeddings.items()}
    if external := _cellprofiler(manifest, drugs.get("cellprofiler")):
        sets[f"{CELLPROFILER}/-1"] = external
    group_tables, cell_tables = [], []
    for name, cells in sets.items():
        cells, condition, control = _treated(cells, drugs)
        place = _column(cells, drugs.get("apart"))
        found = retrieval_map(
            cells.z, condition, control, apart=place, n_null=n_null, n_exchanges=n_exchanges, seed=seed
        )
        model, training = name.rsplit("/", 1)
        if found.note:
            logger.warning("%s: %s", name, found.note)
        logger.info("%s: %d of %d conditions retrieved", name, *_hits(found.groups))
        own = {"model": model, "seed": int(training)}
        group_tables.append(_named(found.groups.rename(columns={"group": "condition"}), drugs).assign(**own))
        ids = cells.ids[found.cells["row"].to_numpy(int)]
        table = found.cells.rename(columns={"group": "condition"}).drop(columns="row")
        cell_tables.append(_named(table.assign(CellId=ids), drugs).assign(**own))
    for tables, out in ((group_tables, groups_out), (cell_tables, cells_out)):
        table = pd.concat(tables, ignore_index=True)
        first = ["model", "seed", "condition", "drug"]
        write_table(table[first + [column for column in table if column not in first]], out)


def lda(
    manifest: str | Path,
    embedding: str | Path,
    tests_out: str | Path,
    scores_out: str | Path,
    walk_out: str | Path,
    *,
    drugs: Mapping[str, Any],
    n_permutations: int,
    seed: int,
) -> None:
    """Separate every condition from the controls, score its cells, and walk from one to the other.

    Writes, for every condition, hit or not: condition, drug, n_cells, n_controls, cv_auroc, p, q, p_half,
    half_auroc_mean, half_auroc_high, reason; condition, drug, CellId, class (control | condition), PC_1,
    PC_2, score (cross-validated), score_fitted (on the axis of the walk); and condition, drug, step,
    position, CellId, class, distance, PC_1, PC_2 of the point on the axis.
    """
    cells, condition, control = _treated(read(manifest, embedding), drugs)
    plate = _column(cells, drugs.get("plate"))
    x = principal_components(cells.z, N_COMPONENTS).scores(cells.z)
    tests, scores, walk = [], [], []
    for name in np.unique(condition[~control]):
        rows = np.flatnonzero(control | (condition == name))
        own, hit = x[rows], ~control[rows]
        rng = np.random.default_rng(seeds.integer(seed, "analyse", "lda", str(name)))
        plates = None if plate is None else plate[rows]
        found = separate(own, hit, plates, n_permutations=n_permutations, n_halves=n_permutations, rng=rng)
        tests.append(
            {
                "condition": name,
                "n_cells": hit.sum(),
                "n_controls": (~hit).sum(),
                "cv_auroc": found.auroc,
                "p": found.p,
                "p_half": found.p_half,
                "half_auroc_mean": found.half_mean,
                "half_auroc_high": found.half_high,
                "reason": found.reason,
            }
        )
        classes = np.where(hit, "condition", "control")
        place = pd.DataFrame({"condition": name, "CellId": cells.ids[rows], "class": classes})
        place["PC_1"], place["PC_2"] = own[:, 0], own[:, 1] if own.shape[1] > 1 else 0.0
        place["score"], place["score_fitted"] = found.scores, np.nan
        if hit.any() and (~hit).any():
            axis = fit_axis(own, hit)
            place["score_fitted"] = axis.scores(own)
            positions, chosen, distances = walk_cells(own, axis, N_STEPS)
            points = axis.middle + positions[:, None] * axis.direction
            step = place.iloc[chosen][["condition", "CellId", "class"]].reset_index(drop=True)
            step = step.assign(step=np.arange(len(step)), position=positions, distance=distances)
            walk.append(step.assign(PC_1=points[:, 0], PC_2=points[:, 1] if points.shape[1] > 1 else 0.0))
        scores.append(place)
        logger.info("%s: AUROC %.3f, p %.3g", name, found.auroc, found.p)
    table = pd.DataFrame(tests)
    table.insert(table.columns.get_loc("p") + 1, "q", benjamini_hochberg(table["p"].to_numpy()))
    write_table(_named(table, drugs), tests_out)
    write_table(_named(pd.concat(scores, ignore_index=True), drugs), scores_out)
    write_table(_named(pd.concat(walk, ignore_index=True), drugs), walk_out)


def _hits(groups: pd.DataFrame) -> tuple[int, int]:
    return int(groups["retrieved"].sum()), int((groups["kind"] == "condition").sum())


def _named(table: pd.DataFrame, drugs: Mapping[str, Any]) -> pd.DataFrame:
    """Put the short name of each condition beside it."""
    names = table["condition"].map(lambda name: drugs.get("names", {}).get(name, name))
    table = table.copy()
    table.insert(table.columns.get_loc("condition") + 1, "drug", names)
    return table


def _treated(cells: Coded, drugs: Mapping[str, Any]) -> tuple[Coded, np.ndarray, np.ndarray]:
    """Return the cells with a condition, the condition of each, and whether it is the control."""
    column = drugs["condition"]
    if column not in cells.known:
        raise InputError(
            f"the manifest has no column {column!r}: set analyse.drugs.condition in the dataset's yaml "
            f"to one of {', '.join(cells.known)}."
        )
    known = cells.known[column].notna().to_numpy()
    if not known.all():
        logger.warning("%d cells without a %s are left out", (~known).sum(), column)
    cells = cells.only(known)
    condition = cells.known[column].astype(str).to_numpy()
    control = condition == drugs["control"]
    if control.sum() < 2 or control.all():
        raise InputError(
            f"column {column!r} has {control.sum()} cells of the control {drugs['control']!r} and "
            f"{(~control).sum()} others: set analyse.drugs.control to one of "
            f"{', '.join(np.unique(condition))}."
        )
    return cells, condition, control


def _column(cells: Coded, column: str | None) -> np.ndarray | None:
    """Return a column, or None with a line in the log where the manifest lacks it."""
    if column is None:
        return None
    if column not in cells.known or not cells.known[column].notna().any():
        logger.warning("the manifest has no %s: cells are compared without regard to it", column)
        return None
    return cells.known[column].to_numpy(object)


def _cellprofiler(manifest: str | Path, path: str | None) -> Coded | None:
    """Read features of CellProfiler, one row per CellId; None with a line in the log where there are none."""
    if not path or not Path(path).is_file():
        logger.info("no CellProfiler features (%s): they have no row", path or "analyse.drugs.cellprofiler")
        return None
    table = read_checked(path, ("CellId",))
    columns = [name for name in table if any(statistic in name for statistic in _STATISTICS)]
    if not columns:
        raise InputError(f"{path} has no column with {', '.join(_STATISTICS)} in its name. Export them.")
    manifest_table = read_checked(manifest, ("CellId",))
    strangers = ~table["CellId"].isin(manifest_table["CellId"])
    if strangers.any():
        logger.warning("%s: %d cells are not in the manifest and are left out", path, strangers.sum())
    table = table[~strangers].drop_duplicates("CellId").sort_values("CellId")
    known = describe_cells(table["CellId"], manifest_table, path).reset_index()
    return Coded(table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float), known)
