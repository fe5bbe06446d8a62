"""Accuracy of the number of pieces from embeddings and from shape features, within volume bins."""

import numpy as np
import pandas as pd

from morphobench.metrics.classification import SCORES, classification_scores, classification_scores_legacy

_FOLDS = 5
_COLUMNS = ["features", "bin", "variant", "metric", "cv", "value", "n", "reason"]


def compare_features(
    features: dict[str, np.ndarray], labels: np.ndarray, split: np.ndarray, bins: np.ndarray, *, n_bins: int
) -> pd.DataFrame:
    """Classify the label of n cells within each bin, from each named set of features (n, any).

    Labels are None where unknown, `split` is train, val or test, `bins` is -1 for no bin.

    Returns
    -------
    pd.DataFrame
        features, bin, variant, metric, cv, value, n, reason. Variant `corrected`: trained on train and val,
        scored on test, cv -1; `legacy`: five folds over all cells. NaN with a reason where a bin has no
        cells or one label.

    Notes
    -----
    Source: the number-of-pieces panel of Vasan et al. 2025, Fig. 5.
    """
    labels = labels.astype(object)
    rows = []
    for name, matrix in features.items():
        for number in range(n_bins):
            inside = bins == number
            common = {"features": name, "bin": number, "n": int(inside.sum())}
            test = classification_scores(matrix[inside], labels[inside], split[inside])
            corrected = {**common, "variant": "corrected", "cv": -1, "reason": test.reason}
            rows += [{**corrected, "metric": metric, "value": test.scores[metric]} for metric in SCORES]
            folds = classification_scores_legacy(matrix[inside], labels[inside], folds=_FOLDS)
            legacy = {**common, "variant": "legacy", "reason": folds.reason}
            for (fold, k), value in np.ndenumerate(folds.values):
                rows.append({**legacy, "cv": fold, "metric": f"top_{k + 1}", "value": value})
    return pd.DataFrame(rows, columns=_COLUMNS)
