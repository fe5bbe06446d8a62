"""How well codes tell the number of pieces beside simple shape features, among cells of one volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from morphobench.score.metrics.classification import (
    SCORES,
    classification_scores,
    classification_scores_legacy,
)

_FOLDS = 5


def compare_features(
    features: Mapping[str, np.ndarray],
    labels: Sequence[object],
    split: Sequence[str],
    which: np.ndarray,
    *,
    n_bins: int,
) -> pd.DataFrame:
    """Classify within each volume bin, from each set of features.

    Parameters
    ----------
    features
        Name -> features, shape (n, any).
    labels
        Number of pieces of each cell, shape (n,); None for unknown.
    split
        train, val or test for each cell, shape (n,).
    which
        Volume bin of each cell, -1 for none, shape (n,).
    n_bins
        Number of bins.

    Returns
    -------
    pd.DataFrame
        features, bin, variant, metric, cv, value, n, reason. Variant `corrected`: trained on train and val,
        scored on test (cv -1); `legacy`: five folds over all cells, one row per fold. A bin without cells,
        or with one label, has NaN and the reason.

    Notes
    -----
    Source: the number-of-pieces panel of Vasan et al. 2025, Fig. 5.
    """
    labels, split = np.asarray(labels, dtype=object), np.asarray(split)
    rows = []
    for name, matrix in features.items():
        for number in range(n_bins):
            inside = which == number
            place = {"features": name, "bin": number, "n": int(inside.sum())}
            found = classification_scores(matrix[inside], labels[inside], split[inside])
            common = {**place, "variant": "corrected", "cv": -1, "reason": found.reason}
            rows += [{**common, "metric": metric, "value": found.scores[metric]} for metric in SCORES]
            folds = classification_scores_legacy(matrix[inside], labels[inside], folds=_FOLDS)
            common = {**place, "variant": "legacy", "reason": folds.reason}
            rows += [
                {**common, "cv": fold, "metric": f"top_{k + 1}", "value": value}
                for (fold, k), value in np.ndenumerate(folds.top)
            ]
    columns = ["features", "bin", "variant", "metric", "cv", "value", "n", "reason"]
    return pd.DataFrame(rows, columns=columns)
