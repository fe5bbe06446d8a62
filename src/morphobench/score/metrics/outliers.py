"""How well codes tell outlying cells from the others."""

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
    """Train a linear classifier to find outliers on train and val, score it on test.

    `classification_scores` with two labels. Read `balanced_accuracy` and `auroc`: outliers are rare, so that
    accuracy says little.

    Parameters
    ----------
    z
        Codes, shape (n, D).
    labels
        "outlier", "inlier" or None for each row, shape (n,), see `outlier_labels`.
    split
        "train", "val" or "test" for each row, shape (n,).
    """
    return classification_scores(z, labels, split)


def outlier_detection_legacy(z: np.ndarray, labels: Sequence[object], *, folds: int = 5) -> OutlierFolds:
    """Cross-validate as published: all cells, class weights of each fold, scores rounded to 2 decimals.

    Parameters
    ----------
    z
        Codes, shape (n, D). Rows that are not finite, and cells without a label, are left out.
    labels
        As in `outlier_detection`.
    folds
        Number of folds.

    Notes
    -----
    Source: Vasan et al. 2025, fold seed included. What they call an outlier among structures of many pieces
    is inverted (few pieces); here the data set's configuration says it.
    """
    names, usable, reason = usable_rows(z, labels)
    rows = np.flatnonzero(usable)
    label, which, count = np.unique(names[rows], return_inverse=True, return_counts=True)
    problem = fold_problem(label, count, folds)
    if problem:
        return OutlierFolds(np.full(folds, np.nan), join(problem, reason))
    values, near = [], None
    for train, test in stratified_folds(which, folds):
        weight = len(train) / (len(label) * np.bincount(which[train]))
        near = fit_logistic(z[rows[train]], which[train], weight, start=near)
        hits = near.probabilities(z[rows[test]]).argmax(axis=1) == which[test]
        found = balanced_accuracy(hits.astype(float), which[test], np.ones((1, len(test))))
        values.append(round(float(found[0]), 2))
    return OutlierFolds(np.array(values), reason)


def outlier_labels(values: pd.Series, rule: Mapping[str, Any]) -> np.ndarray:
    """Say which cells are outliers.

    Parameters
    ----------
    values
        Column of the manifest, shape (n,).
    rule
        Either `inlier` or `outlier`: the values, compared as text, of cells that are one; all others are the
        other.

    Returns
    -------
    np.ndarray
        Shape (n,): "outlier", "inlier", or None where the column has no value.
    """
    kind, other = ("outlier", "inlier") if "outlier" in rule else ("inlier", "outlier")
    member = values.astype(str).isin([str(value) for value in rule[kind]])
    return np.where(values.isna(), None, np.where(member, kind, other))
