"""Linear detection of outlying cells from embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.score.metrics.classification import (
    Classification,
    balanced_accuracy,
    classification_scores,
    fold_problem,
    join,
    stratified_folds,
    usable_rows,
)
from morphobench.score.metrics.logistic import fit_logistic


class OutlierFolds(NamedTuple):
    """Balanced accuracy of each fold, shape (folds,), rounded to 2 decimals; `reason` if NaN."""

    balanced_accuracy: np.ndarray
    reason: str


def outlier_detection(z: np.ndarray, labels: Sequence[object], split: Sequence[str]) -> Classification:
    """`classification_scores` with the labels "outlier", "inlier" or None of `outlier_labels`.

    Read `balanced_accuracy` and `auroc`: outliers are rare, so that accuracy says little.
    """
    return classification_scores(z, labels, split)


def outlier_detection_legacy(z: np.ndarray, labels: Sequence[object], *, folds: int = 5) -> OutlierFolds:
    """Cross-validate as published: all cells, class weights of each fold, scores rounded to 2 decimals.

    Source: Vasan et al. 2025, fold seed included. What they call an outlier among structures of many pieces
    is inverted (few pieces); here the dataset's configuration says it.
    """
    names, usable, reason = usable_rows(z, labels)
    rows = np.flatnonzero(usable)
    label, which, count = np.unique(names[rows], return_inverse=True, return_counts=True)
    problem = fold_problem(label, count, folds)
    if problem:
        return OutlierFolds(np.full(folds, np.nan), join(problem, reason))
    values, model = [], None
    for train, test in stratified_folds(which, folds):
        weight = len(train) / (len(label) * np.bincount(which[train]))
        model = fit_logistic(z[rows[train]], which[train], weight, start=model)
        hits = model.probabilities(z[rows[test]]).argmax(axis=1) == which[test]
        accuracy = balanced_accuracy(hits.astype(float), which[test], np.ones((1, len(test))))
        values.append(round(float(accuracy[0]), 2))
    return OutlierFolds(np.array(values), reason)


def outlier_labels(values: pd.Series, rule: Mapping[str, Any]) -> np.ndarray:
    """Label cells "outlier", "inlier", or None where the column `values` of the manifest has no value.

    `rule` has either `inlier` or `outlier`: the values, compared as text, of cells that are one; all others
    are the other.
    """
    kind, other = ("outlier", "inlier") if "outlier" in rule else ("inlier", "outlier")
    member = values.astype(str).isin([str(value) for value in rule[kind]])
    return np.where(values.isna(), None, np.where(member, kind, other))
