"""Scores relative to those of other models."""

from typing import Literal

import numpy as np
import pandas as pd


def relative_scores(scores: pd.DataFrame, better: Literal["high", "low", "none"]) -> pd.Series:
    """How far each model is behind the best, in half widths of an interval; the common axis of a polar plot.

    `scores` has value, ci_low and ci_high, a row for each model. Formula: ``-|x - best|`` over the mean half
    width of the models' 95 % intervals: 0 for the best, about -1 where an interval of its own reaches it.
    NaN without intervals, without width or without a better direction; a missing value stays NaN. Differences
    that are small beside their uncertainty look small.
    """
    half = float((scores["ci_high"] - scores["ci_low"]).mean()) / 2
    if better == "none" or not half > 0:
        return scores["value"] * np.nan
    best = scores["value"].max() if better == "high" else scores["value"].min()
    return -(scores["value"] - best).abs() / half
