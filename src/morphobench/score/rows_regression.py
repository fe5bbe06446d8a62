"""Rows of the score table about measured quantities predicted from embeddings."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from morphobench.files.values import numbers
from morphobench.metrics.reasons import join
from morphobench.metrics.regression import (
    Regression,
    pooled_regression,
    r_squared,
    regression_scores,
    regression_scores_legacy,
)
from morphobench.score.intervals import Range
from morphobench.score.rows import Fold, Metric, ScoreRows, tested
from morphobench.score.rows_labels import NO_COLUMN, contributions

_R2 = Range(highest=1.0)
_MEAN_R2 = Metric("regression_r2", "high", within=_R2)


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
            rows.add_missing(NO_COLUMN.format(name), r2, ols, mae)
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
        outputs = contributions(items, _explained(result))
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
    rows.add_statistic(metric, mean_r2, groups, reason, outputs=contributions(ids, total))


def _overfits(results: Iterable[Regression]) -> set[str]:
    return {part for one in results for part in one.reason.split("; ") if part.endswith("overfits")}


def unit_of(column: str) -> str:
    """Return the unit that a column's name ends in, such as um3; empty for none."""
    match = re.search(r"_(um[23]?)$", column)
    return match[1] if match else ""
