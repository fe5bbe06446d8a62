"""Scores relative to those of other models."""

import numpy as np
import pandas as pd

from morphobench.metrics.relative import relative_scores


def test_standardised_scores_are_relative_and_larger_is_better():
    values = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0})
    assert relative_scores(values, "high").to_dict() == {"a": -1.0, "b": 0.0, "c": 1.0}
    assert relative_scores(values, "low").to_dict() == {"a": 1.0, "b": 0.0, "c": -1.0}
    pd.testing.assert_series_equal(relative_scores(1000 * values + 7, "low"), relative_scores(values, "low"))


def test_standardised_scores_without_spread_are_zero_and_gaps_stay():
    same = pd.Series([0.1 + 0.2, 0.3, np.nan], index=list("abc"))
    result = relative_scores(same, "low")
    assert (result[["a", "b"]] == 0).all()
    assert np.isnan(result["c"])
    assert relative_scores(pd.Series({"only": 3.0}), "high")["only"] == 0
