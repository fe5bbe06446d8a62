"""Rows of the score table about what codes know of the cells: labels, quantities, outliers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from morphobench.score.metrics.classification import (
    SCORES,
    Classification,
    auroc,
    balanced_accuracy,
    classification_scores,
    classification_scores_legacy,
)
from morphobench.score.metrics.outliers import outlier_detection, outlier_detection_legacy, outlier_labels
from morphobench.score.metrics.regression import (
    Regression,
    r_squared,
    regression_scores,
    regression_scores_legacy,
)
from morphobench.score.rows import Codes, Sheet

_NO_COLUMN = "the manifest has no column {}"
_FEW_LABELS = "undefined with so few different labels"
_TURNED = ("top_1", "balanced_accuracy", "auroc")


def add_classification(sheet: Sheet, codes: Codes, label: str) -> None:
    """Add every score of the linear classifier of `label`, and the published cross-validation."""
    prefix = f"classification_{label}_"
    if label not in codes.cells:
        for name in SCORES:
            sheet.add_missing(prefix + name, "corrected", "", "high", _NO_COLUMN.format(label))
        for name in SCORES[:3]:
            sheet.add_missing(prefix + name, "legacy", "", "high", _NO_COLUMN.format(label))
        return
    names = codes.cells[label].to_numpy()
    found = classification_scores(codes.z, names, codes.split)
    for name in SCORES:
        _add_score(sheet, prefix + name, name, found, codes)
    folds = classification_scores_legacy(codes.z, names)
    for column, name in enumerate(SCORES[:3]):
        items = [f"fold {fold}" for fold in range(len(folds.top))]
        sheet.add_mean(prefix + name, "legacy", "", "high", folds.top[:, column], items, None, folds.reason)


def add_turned_classification(
    sheet: Sheet, codes: Codes, label: str, z_turned: np.ndarray | None, reason: str
) -> None:
    """Add scores of the same classifier on test cells that were turned at random, each by itself.

    Parameters
    ----------
    sheet, codes, label
        As in `add_classification`.
    z_turned
        Codes of the turned test cells, in the order of `codes.test`; None for none.
    reason
        Why there are none.
    """
    prefix = f"classification_{label}_"
    if label not in codes.cells or z_turned is None:
        reason = reason if label in codes.cells else _NO_COLUMN.format(label)
        for name in _TURNED:
            sheet.add_missing(f"{prefix}{name}_turned", "corrected", "", "high", reason)
        return
    found = classification_scores(codes.z, codes.cells[label].to_numpy(), codes.split, z_test=z_turned)
    for name in _TURNED:
        _add_score(sheet, f"{prefix}{name}_turned", name, found, codes)


def _add_score(sheet: Sheet, metric: str, name: str, found: Classification, codes: Codes) -> None:
    items, groups = codes.ids[found.rows], codes.groups[found.rows]
    if name in found.per_cell:
        sheet.add_mean(metric, "corrected", "", "high", found.per_cell[name], items, groups, found.reason)
    elif np.isfinite(found.scores[name]):
        statistic = (
            partial(balanced_accuracy, found.per_cell["top_1"], found.truth)
            if name == "balanced_accuracy"
            else partial(auroc, found.probability, found.classes, found.truth)
        )
        sheet.add_statistic(metric, "", "high", statistic, groups, found.reason)
    else:
        sheet.add_missing(metric, "corrected", "", "high", found.reason or _FEW_LABELS)


def add_outliers(sheet: Sheet, codes: Codes, rule: Mapping[str, Any]) -> None:
    """Add how well outliers are told from inliers, and the published cross-validation."""
    names = ("balanced_accuracy", "auroc")
    if rule["column"] not in codes.cells:
        for name in names:
            sheet.add_missing(f"outlier_{name}", "corrected", "", "high", _NO_COLUMN.format(rule["column"]))
        sheet.add_missing(
            "outlier_balanced_accuracy", "legacy", "", "high", _NO_COLUMN.format(rule["column"])
        )
        return
    labels = outlier_labels(codes.cells[rule["column"]], rule)
    found = outlier_detection(codes.z, labels, codes.split)
    for name in names:
        _add_score(sheet, f"outlier_{name}", name, found, codes)
    folds = outlier_detection_legacy(codes.z, labels)
    values = folds.balanced_accuracy
    items = [f"fold {fold}" for fold in range(len(values))]
    sheet.add_mean("outlier_balanced_accuracy", "legacy", "", "high", values, items, None, folds.reason)


def add_regression(sheet: Sheet, codes: Codes, targets: Sequence[str]) -> None:
    """Add r2 and mean absolute error of every target and the mean r2, and the published cross-validation."""
    if not targets:
        return
    known = [name for name in targets if name in codes.cells]
    values = codes.cells[known].apply(pd.to_numeric, errors="coerce").reset_index(drop=True)
    found = regression_scores(codes.z, values, codes.split)
    folds = regression_scores_legacy(codes.z, values)
    for name in targets:
        if name in found:
            _add_target(sheet, codes, name, found[name])
            _add_folds(sheet, name, folds[folds["target"] == name])
        else:
            for metric, better in (("r2", "high"), ("mae", "low")):
                reason = _NO_COLUMN.format(name)
                sheet.add_missing(f"regression_{name}_{metric}", "corrected", "", better, reason)
    _add_mean_r2(sheet, codes, found)
    items = folds["target"] + " fold " + folds["cv"].astype(str)
    reason = "" if len(folds) else "no target with enough cells"
    sheet.add_mean("regression_r2", "legacy", "", "high", folds["r2"], items, None, reason)


def _add_target(sheet: Sheet, codes: Codes, name: str, found: Regression) -> None:
    items, groups = codes.ids[found.rows], codes.groups[found.rows]
    if np.isfinite(found.r2):
        statistic = partial(r_squared, found.truth, found.predicted)
        sheet.add_statistic(f"regression_{name}_r2", "", "high", statistic, groups, found.reason)
    else:
        sheet.add_missing(f"regression_{name}_r2", "corrected", "", "high", found.reason)
    error = np.abs(found.truth - found.predicted)
    unit = unit_of(name)
    sheet.add_mean(f"regression_{name}_mae", "corrected", unit, "low", error, items, groups, found.reason)


def _add_folds(sheet: Sheet, name: str, folds: pd.DataFrame) -> None:
    items = "fold " + folds["cv"].astype(str)
    reason = "" if len(folds) else "fewer than 10 cells with code and value"
    unit = f"({unit_of(name)})^2" if unit_of(name) else ""
    for metric, its_unit, better in (("r2", "", "high"), ("mse", unit, "low")):
        sheet.add_mean(
            f"regression_{name}_{metric}", "legacy", its_unit, better, folds[metric], items, None, reason
        )


def _add_mean_r2(sheet: Sheet, codes: Codes, found: Mapping[str, Regression]) -> None:
    scored = {name: one for name, one in found.items() if np.isfinite(one.r2)}
    if not scored:
        sheet.add_missing("regression_r2", "corrected", "", "high", "no target has a value")
        return
    place = {row: number for number, row in enumerate(codes.test)}
    columns = {name: [place[row] for row in one.rows] for name, one in scored.items()}

    def mean_r2(weights: np.ndarray) -> np.ndarray:
        values = [
            r_squared(one.truth, one.predicted, weights[:, columns[name]]) for name, one in scored.items()
        ]
        return np.mean(values, axis=0)

    left_out = sorted(set(found) - set(scored))
    reason = f"without {', '.join(left_out)}" if left_out else ""
    sheet.add_statistic("regression_r2", "", "high", mean_r2, codes.groups[codes.test], reason)


def unit_of(column: str) -> str:
    """Return the unit that a column's name ends in, such as um3; empty for none."""
    found = re.search(r"_(um[23]?)$", column)
    return found[1] if found else ""
