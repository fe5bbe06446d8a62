"""Rows of the score table about labels, measured quantities and outliers predicted from embeddings."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from morphobench.metrics import classification
from morphobench.metrics.classes import classes_of
from morphobench.metrics.outliers import outlier_detection_legacy, outlier_labels
from morphobench.metrics.regression import Regression, r_squared, regression_scores, regression_scores_legacy
from morphobench.score.rows import EmbeddedCells, Metric, ScoreRows

_MEAN_R2 = Metric("regression_r2", "high")
_NO_COLUMN = "the manifest has no column {}"
_ROTATED = ("top_1", "balanced_accuracy", "auroc")


# Rules of the classes of a label by definition of a score, corrected or legacy; see `classes_of`.
Classes = Mapping[str, Mapping[str, Any]]


def add_classification(rows: ScoreRows, cells: EmbeddedCells, label: str, classes: Classes) -> None:
    """Add every score of the linear classifier of `label`, and the published cross-validation."""
    metrics = {name: Metric(f"classification_{label}_{name}", "high") for name in classification.SCORES}
    legacy = [metrics[name].legacy for name in classification.SCORES[:3]]
    if label not in cells.manifest:
        rows.add_missing(_NO_COLUMN.format(label), *metrics.values(), *legacy)
        return
    values = cells.manifest[label]
    names = classes_of(values, classes.get("corrected"))
    _add_scores(rows, metrics, classification.classification_scores(cells.z, names, cells.split), cells)
    folds = classification.classification_scores_legacy(cells.z, classes_of(values, classes.get("legacy")))
    for metric, values in zip(legacy, folds.values.T, strict=True):
        rows.add_folds(metric, values, folds.reason)


def add_rotated_classification(
    rows: ScoreRows,
    cells: EmbeddedCells,
    label: str,
    classes: Classes,
    z_rotated: np.ndarray | None,
    reason: str,
    ending: str,
) -> None:
    """Add scores of the same classifier on rotated test cells, each by its own rotation.

    `z_rotated` holds their embeddings in the order of `cells.test`; None, for the `reason`, without any.
    """
    metrics = {name: Metric(f"classification_{label}_{name}_{ending}", "high") for name in _ROTATED}
    if label not in cells.manifest or z_rotated is None:
        no_column = _NO_COLUMN.format(label)
        rows.add_missing(reason if label in cells.manifest else no_column, *metrics.values())
        return
    names = classes_of(cells.manifest[label], classes.get("corrected"))
    result = classification.classification_scores(cells.z, names, cells.split, z_test=z_rotated)
    _add_scores(rows, metrics, result, cells)


def _add_scores(
    rows: ScoreRows, metrics: dict[str, Metric], result: classification.Classification, cells: EmbeddedCells
) -> None:
    """Add some scores of a classifier, by their names in `SCORES`."""
    items, groups = cells.ids[result.rows], cells.groups[result.rows]
    for name, metric in metrics.items():
        if name in result.per_cell:
            rows.add_mean(metric, result.per_cell[name], items, groups, result.reason)
        elif np.isfinite(result.scores[name]):
            rows.add_statistic(metric, result.statistics[name], groups, result.reason)
        else:
            rows.add_missing(result.reason or "undefined with so few different labels", metric)


def add_outliers(rows: ScoreRows, cells: EmbeddedCells, rule: Mapping[str, Any]) -> None:
    """Add the scores of outlier detection, and the published cross-validation."""
    metrics = {name: Metric(f"outlier_{name}", "high") for name in ("balanced_accuracy", "auroc")}
    legacy = metrics["balanced_accuracy"].legacy
    if rule["column"] not in cells.manifest:
        rows.add_missing(_NO_COLUMN.format(rule["column"]), *metrics.values(), legacy)
        return
    labels = outlier_labels(cells.manifest[rule["column"]], rule)
    _add_scores(rows, metrics, classification.classification_scores(cells.z, labels, cells.split), cells)
    published = outlier_labels(cells.manifest[rule["column"]], rule, empty=rule.get("legacy_empty"))
    folds = outlier_detection_legacy(cells.z, published)
    rows.add_folds(legacy, folds.values, folds.reason)


def add_regression(rows: ScoreRows, cells: EmbeddedCells, targets: Sequence[str]) -> None:
    """Add r2 and mean absolute error of every target and the mean r2, and the published cross-validation."""
    if not targets:
        return
    known = [name for name in targets if name in cells.manifest]
    values = cells.manifest[known].apply(pd.to_numeric, errors="coerce").reset_index(drop=True)
    results = regression_scores(cells.z, values, cells.split)
    folds = regression_scores_legacy(cells.z, values)
    for name in targets:
        r2, mae = Metric(f"regression_{name}_r2", "high"), Metric(f"regression_{name}_mae")
        if name in results:
            unit = unit_of(name)
            _add_target(rows, cells, r2, mae._replace(unit=unit), results[name])
            mse = Metric(f"regression_{name}_mse", unit=f"({unit})^2" if unit else "")
            own = folds[folds["target"] == name]
            reason = "" if len(own) else "fewer than 10 cells with embedding and value"
            rows.add_folds(r2.legacy, own["r2"], reason)
            rows.add_folds(mse.legacy, own["mse"], reason)
        else:
            rows.add_missing(_NO_COLUMN.format(name), r2, mae)
    _add_mean_r2(rows, cells, results)
    items = folds["target"] + " fold " + folds["cv"].astype(str)
    reason = "" if len(folds) else "no target with enough cells"
    rows.add_mean(_MEAN_R2.legacy, folds["r2"], items, None, reason)


def _add_target(rows: ScoreRows, cells: EmbeddedCells, r2: Metric, mae: Metric, result: Regression) -> None:
    items, groups = cells.ids[result.rows], cells.groups[result.rows]
    if np.isfinite(result.r2):
        rows.add_statistic(r2, partial(r_squared, result.truth, result.predicted), groups, result.reason)
    else:
        rows.add_missing(result.reason, r2)
    rows.add_mean(mae, np.abs(result.truth - result.predicted), items, groups, result.reason)


def _add_mean_r2(rows: ScoreRows, cells: EmbeddedCells, results: Mapping[str, Regression]) -> None:
    scored = {name: one for name, one in results.items() if np.isfinite(one.r2)}
    if not scored:
        rows.add_missing("no target has a value", _MEAN_R2)
        return
    columns = [np.searchsorted(cells.test, one.rows) for one in scored.values()]

    def mean_r2(weights: np.ndarray) -> np.ndarray:
        tested = zip(scored.values(), columns, strict=True)
        return np.mean([r_squared(one.truth, one.predicted, weights[:, own]) for one, own in tested], axis=0)

    missing = sorted(set(results) - set(scored))
    reason = f"without {', '.join(missing)}" if missing else ""
    rows.add_statistic(_MEAN_R2, mean_r2, cells.groups[cells.test], reason)


def unit_of(column: str) -> str:
    """Return the unit that a column's name ends in, such as um3; empty for none."""
    match = re.search(r"_(um[23]?)$", column)
    return match[1] if match else ""
