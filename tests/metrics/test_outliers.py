"""Outlier detection."""

import numpy as np
import pandas as pd

from morphobench.metrics.classification import classification_scores
from morphobench.metrics.outliers import outlier_detection_legacy, outlier_labels


def test_outliers_are_named_by_either_side():
    values = pd.Series(["fine", "dead", None, "no signal"])
    assert outlier_labels(values, {"outlier": ["dead", "no signal"]}).tolist() == [
        "inlier",
        "outlier",
        None,
        "outlier",
    ]
    by_inlier = outlier_labels(values, {"inlier": ["fine"]})
    assert by_inlier.tolist() == outlier_labels(values, {"outlier": ["dead", "no signal"]}).tolist()
    numbers = outlier_labels(pd.Series([0, 1]), {"outlier": [1]})
    assert numbers.tolist() == ["inlier", "outlier"]


def test_outliers_are_detected_where_they_lie_apart_and_not_elsewhere():
    rng = np.random.default_rng(8)
    labels = np.where(np.arange(400) % 20 == 0, "outlier", "inlier")
    split = np.where(np.arange(400) // 20 % 2, "train", "test")
    z = rng.normal(size=(400, 4))
    apart = z + 9.0 * (labels == "outlier")[:, None]
    near, far = (classification_scores(embeddings, labels, split).scores for embeddings in (z, apart))
    assert far["auroc"] == far["balanced_accuracy"] == 1
    assert near["auroc"] < 0.9
    folds = outlier_detection_legacy(apart, labels)
    assert folds.values.tolist() == [1.0] * 5
    blurred = outlier_detection_legacy(z, labels).values
    np.testing.assert_array_equal(blurred, blurred.round(2))
    few = np.where(np.arange(400) < 3, "outlier", "inlier")
    assert "has 3 cells" in outlier_detection_legacy(z, few).reason
