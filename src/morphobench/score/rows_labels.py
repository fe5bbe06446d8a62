"""Rows of the score table about labels, measured quantities and outliers predicted from embeddings."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from morphobench.files.values import numbers
from morphobench.metrics import classification
from morphobench.metrics.classes import classes_of
from morphobench.metrics.outliers import outlier_detection_legacy, outlier_labels
from morphobench.metrics.predictions import predictions
from morphobench.metrics.reasons import join
from morphobench.metrics.regression import (
    Regression,
    pooled_regression,
    r_squared,
    regression_scores,
    regression_scores_legacy,
)
from morphobench.score.intervals import Range
from morphobench.score.rows import SHARE, Fold, Metric, ScoreRows, tested

_R2 = Range(highest=1.0)
_MEAN_R2 = Metric("regression_r2", "high", within=_R2)
_NO_COLUMN = "the manifest has no column {}"
_ROTATED = ("top_1", "balanced_accuracy", "auroc")
_BASELINES = ("majority", "majority_balanced")
# A label of fewer test cells, or in fewer units where not all have it, has too few to resample.
_FEW = 10


# Rules of the classes of a label by definition of a score, corrected or legacy; see `classes_of`.
Classes = Mapping[str, Mapping[str, Any]]


def add_classification(rows: ScoreRows, folds: Sequence[Fold], label: str, classes: Classes) -> None:
    """Add every score of the linear classifier of `label`, and the published cross-validation."""
    metrics = _metrics(f"classification_{label}_{{}}", classification.SCORES)
    legacy = [metrics[name].legacy for name in classification.SCORES[:3]]
    if label not in folds[0].cells.manifest:
        rows.add_missing(_NO_COLUMN.format(label), *metrics.values(), *legacy)
        return
    values = folds[0].cells.manifest[label]
    _add_scores(rows, metrics, folds, classes_of(values, classes.get("corrected")))
    names = classes_of(values, classes.get("legacy"))
    published = [classification.classification_scores_legacy(fold.cells.z, names) for fold in folds]
    for number, metric in enumerate(legacy):
        rows.add_folds(
            metric, [one for own in published for one in own.values[:, number]], published[0].reason
        )


def add_rotated_classification(
    rows: ScoreRows,
    folds: Sequence[Fold],
    label: str,
    classes: Classes,
    z_rotated: Sequence[np.ndarray] | None,
    reason: str,
    ending: str,
) -> None:
    """Add scores of the same classifier on rotated test cells, each by its own rotation.

    `z_rotated` holds, for each fold, their embeddings in the order of its test cells; None, for the `reason`,
    without any.
    """
    metrics = _metrics(f"classification_{label}_{{}}_{ending}", _ROTATED)
    known = folds[0].cells.manifest
    if label not in known or z_rotated is None:
        rows.add_missing(reason if label in known else _NO_COLUMN.format(label), *metrics.values())
        return
    _add_scores(rows, metrics, folds, classes_of(known[label], classes.get("corrected")), z_rotated)


def _metrics(pattern: str, names: Sequence[str]) -> dict[str, Metric]:
    """Return the metrics of some scores of a classifier; models are not compared by baselines and floors."""
    compared = not pattern.endswith("_floor")
    return {
        name: Metric(pattern.format(name), "high", within=SHARE, compared=compared and name not in _BASELINES)
        for name in names
    }


def _add_scores(
    rows: ScoreRows,
    metrics: dict[str, Metric],
    folds: Sequence[Fold],
    names: Sequence[object],
    z_test: Sequence[np.ndarray] | None = None,
) -> None:
    """Add some scores of a classifier of `names`, by their names in `SCORES`.

    Embeddings of different trainings share no axes: each fold has a classifier of its own, which predicts its
    test cells, or `z_test` in their place.
    """
    both = zip(folds, z_test or [None] * len(folds), strict=True)
    parts = [predictions(cells.z, names, cells.split, z_test=z) for (cells, _), z in both]
    result = classification.scores_of(parts)
    items, groups = folds[0].cells.ids[result.rows], folds[0].cells.groups[result.rows]
    rare = _rare_label(result.truth, groups)
    for name, metric in metrics.items():
        if name in result.per_cell:
            rows.add_mean(metric, result.per_cell[name], items, groups, result.reason)
        elif np.isfinite(result.scores[name]):
            statistic = result.statistics[name]
            outputs = _outputs(name, result, items, groups) if metric.compared else None
            rows.add_statistic(metric, statistic, groups, result.reason, outputs=outputs, unbounded=rare)
        else:
            rows.add_missing(result.reason or "undefined with so few different labels", metric)


def _rare_label(truth: np.ndarray, units: np.ndarray) -> str:
    """Say which label has too few test cells, or units, for an interval; empty if none."""
    table = pd.DataFrame({"label": truth, "unit": units}).groupby("label")["unit"].agg(["size", "nunique"])
    if table.empty:
        return ""
    rarest, n_units = table["size"].idxmin(), len(np.unique(units))
    if table["size"].min() < _FEW:
        return f"{table['size'].min()} test cells of {rarest}: no interval below {_FEW}"
    scattered = table["nunique"]
    if scattered.min() < min(_FEW, n_units):
        return f"{scattered.min()} units of {n_units} with {scattered.idxmin()}: no interval below {_FEW}"
    return ""


def _outputs(
    name: str, result: classification.Classification, items: np.ndarray, groups: np.ndarray
) -> pd.DataFrame | None:
    """Return what two classifiers exchange: hits, or ranks by label; see `difference_table`."""
    if name == "balanced_accuracy":
        return _contributions(items, result.recalls)
    if name != "auroc":
        return None
    parts = [
        pd.DataFrame({"item": items, "group": groups, "value": ranks}).assign(
            label=str(label), positive=result.truth == label
        )
        for label, ranks in result.ranks.items()
    ]
    return pd.concat(parts)


def _contributions(items: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"item": items, "label": "", "positive": False, "value": values})


def add_outliers(rows: ScoreRows, folds: Sequence[Fold], rule: Mapping[str, Any]) -> None:
    """Add the scores of outlier detection, and the published cross-validation."""
    metrics = _metrics("outlier_{}", ("balanced_accuracy", "auroc"))
    legacy = metrics["balanced_accuracy"].legacy
    if rule["column"] not in folds[0].cells.manifest:
        rows.add_missing(_NO_COLUMN.format(rule["column"]), *metrics.values(), legacy)
        return
    values = folds[0].cells.manifest[rule["column"]]
    _add_scores(rows, metrics, folds, outlier_labels(values, rule))
    labels = outlier_labels(values, rule, empty=rule.get("legacy_empty"))
    published = [outlier_detection_legacy(fold.cells.z, labels) for fold in folds]
    rows.add_folds(legacy, np.concatenate([own.values for own in published]), published[0].reason)


def add_regression(rows: ScoreRows, folds: Sequence[Fold], targets: Sequence[str]) -> None:
    """Add r2 and mean absolute error of every target and the mean r2, and the published cross-validation.

    Ridge regression, and beside it ordinary least squares (`_ols`), as published.
    """
    if not targets:
        return
    manifest = folds[0].cells.manifest
    known = [name for name in targets if name in manifest]
    targeted = {name: numbers(manifest[name], f"column {name} (targets)") for name in known}
    values = pd.DataFrame(targeted).reset_index(drop=True)
    results = _pooled(regression_scores(one.z, values, one.split, units=one.groups) for one, _ in folds)
    plain = _pooled(regression_scores(one.z, values, one.split) for one, _ in folds)
    published = pd.concat([regression_scores_legacy(one.z, values) for one, _ in folds], ignore_index=True)
    for name in targets:
        r2 = Metric(f"regression_{name}_r2", "high", within=_R2)
        ols, mae = r2._replace(name=f"{r2.name}_ols"), Metric(f"regression_{name}_mae", unit=unit_of(name))
        if name in results:
            _add_target(rows, folds, r2, mae, results[name])
            _add_r2(rows, folds, ols, plain[name])
            mse = Metric(f"regression_{name}_mse", unit=f"({mae.unit})^2" if mae.unit else "")
            own = published[published["target"] == name]
            reason = "" if len(own) else "fewer than 10 cells with embedding and value"
            rows.add_folds(r2.legacy, own["r2"], reason)
            rows.add_folds(mse.legacy, own["mse"], reason)
        else:
            rows.add_missing(_NO_COLUMN.format(name), r2, ols, mae)
    _add_mean_r2(rows, folds, _MEAN_R2, results)
    _add_mean_r2(rows, folds, _MEAN_R2._replace(name="regression_r2_ols"), plain)
    reason = "" if len(published) else "no target with enough cells"
    items = published["target"] + " fold " + published["cv"].astype(str)
    rows.add_folds(_MEAN_R2.legacy, published["r2"], reason, items)


def _pooled(folds: Iterable[Mapping[str, Regression]]) -> dict[str, Regression]:
    parts = list(folds)
    return {name: pooled_regression([own[name] for own in parts]) for name in parts[0]}


def _add_target(rows: ScoreRows, folds: Sequence[Fold], r2: Metric, mae: Metric, result: Regression) -> None:
    _add_r2(rows, folds, r2, result)
    items, groups = folds[0].cells.ids[result.rows], folds[0].cells.groups[result.rows]
    rows.add_mean(mae, np.abs(result.truth - result.predicted), items, groups, result.reason)


def _add_r2(rows: ScoreRows, folds: Sequence[Fold], metric: Metric, result: Regression) -> None:
    if np.isfinite(result.r2):
        statistic = partial(r_squared, result.truth, result.predicted)
        items, groups = folds[0].cells.ids[result.rows], folds[0].cells.groups[result.rows]
        outputs = _contributions(items, _explained(result))
        rows.add_statistic(metric, statistic, groups, result.reason, outputs=outputs)
    else:
        rows.add_missing(result.reason, metric)


def _explained(result: Regression) -> np.ndarray:
    """Return values of the scored cells whose mean is r2, shape (n_test,)."""
    squares = (result.truth - result.predicted) ** 2
    return 1 - squares / np.mean((result.truth - result.truth.mean()) ** 2)


def _add_mean_r2(
    rows: ScoreRows, folds: Sequence[Fold], metric: Metric, results: Mapping[str, Regression]
) -> None:
    scored = {name: one for name, one in results.items() if np.isfinite(one.r2)}
    if not scored:
        rows.add_missing("no target has a value", metric)
        return
    ids, groups = (np.asarray(own) for own in tested(folds))
    order = np.argsort(ids, kind="stable")
    ids, groups = ids[order], groups[order]
    columns = [np.searchsorted(ids, folds[0].cells.ids[one.rows]) for one in scored.values()]

    def mean_r2(weights: np.ndarray) -> np.ndarray:
        tested = zip(scored.values(), columns, strict=True)
        return np.mean([r_squared(one.truth, one.predicted, weights[:, own]) for one, own in tested], axis=0)

    total = np.zeros(len(ids))
    for one, own in zip(scored.values(), columns, strict=True):
        total[own] += _explained(one) * len(total) / len(own) / len(scored)
    missing = sorted(set(results) - set(scored))
    reason = join(f"without {', '.join(missing)}" if missing else "", *sorted(_overfits(scored.values())))
    rows.add_statistic(metric, mean_r2, groups, reason, outputs=_contributions(ids, total))


def _overfits(results: Iterable[Regression]) -> set[str]:
    return {part for one in results for part in one.reason.split("; ") if part.endswith("overfits")}


def unit_of(column: str) -> str:
    """Return the unit that a column's name ends in, such as um3; empty for none."""
    match = re.search(r"_(um[23]?)$", column)
    return match[1] if match else ""
