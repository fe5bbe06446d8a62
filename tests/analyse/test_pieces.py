"""Accuracy of the number of pieces within volume bins."""

import numpy as np

from morphobench.analyse.pieces import compare_features


def test_pieces_are_classified_from_features_that_hold_them():
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 4, 240).astype(str)
    good = np.column_stack([labels.astype(float), rng.normal(size=240)])
    split = np.array(["train", "test"])[np.arange(240) % 2]
    which = np.arange(240) % 2
    features = {"good": good, "noise": rng.normal(size=(240, 2))}
    table = compare_features(features, labels, split, which, n_bins=3)
    right = table[(table["variant"] == "corrected") & (table["metric"] == "top_1")].set_index(
        ["features", "bin"]
    )
    assert (right.loc["good", "value"].dropna() > 0.95).all()
    assert (right.loc["noise", "value"].dropna() < 0.6).all()
    assert right.loc[("good", 2), "n"] == 0
    assert right.loc[("good", 2), "reason"] != ""
    legacy = table[(table["variant"] == "legacy") & (table["bin"] == 0) & (table["metric"] == "top_1")]
    assert legacy.groupby("features")["cv"].nunique().tolist() == [5, 5]
