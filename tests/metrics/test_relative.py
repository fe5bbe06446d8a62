"""Scores relative to those of other models."""

import numpy as np
import pandas as pd
import pytest

from morphobench.metrics.relative import relative_scores


def scores(*values, half=0.5):
    table = pd.DataFrame({"value": values}, index=list("abcd")[: len(values)])
    return table.assign(ci_low=table["value"] - half, ci_high=table["value"] + half)


def test_the_best_is_zero_and_others_lie_behind_in_units_of_their_intervals():
    table = scores(1.0, 2.0, 3.5)
    assert relative_scores(table, "high").to_dict() == {"a": -5.0, "b": -3.0, "c": 0.0}
    assert relative_scores(table, "low").to_dict() == {"a": 0.0, "b": -2.0, "c": -5.0}
    pd.testing.assert_series_equal(relative_scores(1000 * table + 7, "low"), relative_scores(table, "low"))


def test_a_difference_that_is_small_beside_its_uncertainty_looks_small():
    assert relative_scores(scores(1.0, 1.0000001), "low")["b"] == pytest.approx(0, abs=1e-6)


def test_what_has_no_interval_no_width_or_no_direction_is_relative_to_nothing():
    assert relative_scores(scores(1.0, 2.0, half=np.nan), "low").isna().all()
    assert relative_scores(scores(1.0, 2.0, half=0.0), "low").isna().all()
    assert relative_scores(scores(1.0, 2.0), "none").isna().all()
    assert relative_scores(scores(1.0, np.nan), "low").isna().tolist() == [False, True]
