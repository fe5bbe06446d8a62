"""Linear detection of outlying cells: `classification_scores` of `outlier_labels`, and as published."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench.metrics.classes import classes_of
from morphobench.metrics.classification import FoldScores, balanced_accuracy, cross_validate_legacy


def outlier_detection_legacy(z: np.ndarray, labels: Sequence[object], *, folds: int = 5) -> FoldScores:
    """Balanced accuracy as published, shape (folds,): all cells, class weights of each fold, 2 decimals.

    Source: Vasan et al. 2025, fold seed included. What they call an outlier among structures of many pieces
    is inverted (few pieces); here the dataset's configuration says it.
    """

    def accuracy(probability: np.ndarray, which: np.ndarray) -> float:
        hits = (probability.argmax(axis=1) == which).astype(float)
        return round(float(balanced_accuracy(hits, which, np.ones((1, len(which))))[0]), 2)

    values, reason = cross_validate_legacy(z, labels, folds, accuracy, weight_by_fold=True)
    return FoldScores(np.full(folds, np.nan) if values is None else values, reason)


def outlier_labels(values: pd.Series, rule: Mapping[str, Any], *, empty: str | None = None) -> np.ndarray:
    """Label cells "outlier", "inlier", or `empty` where the column `values` of the manifest has no value.

    `rule` has either `inlier` or `outlier`: the values, compared as text, of cells that are one; all others
    are the other.
    """
    kind, other = ("outlier", "inlier") if "outlier" in rule else ("inlier", "outlier")
    return classes_of(values, {"merge": {kind: rule[kind]}, "others": other, "empty": empty})
