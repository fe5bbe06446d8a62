"""Scores relative to those of other models."""

from typing import Literal

import numpy as np
import pandas as pd


def relative_scores(values: pd.Series, better: Literal["high", "low"]) -> pd.Series:
    """Z-scores over models for the common axis of a polar plot, larger always better.

    Formula: ``(x - mean) / sd`` over models (sd with n - 1), sign reversed where low is better; 0 without
    spread, NaN stays NaN. The result is RELATIVE: it depends on which models are compared, and tiny
    differences look as large as big ones. Display it beside raw values with their intervals, never instead.

    Source: the polar plots of Vasan et al. 2025.
    """
    centred = values - values.mean()
    spread = values.std(ddof=1)
    # Rounding gives equal values a spread of their last digit.
    if not spread > 8 * np.finfo(np.float64).eps * values.abs().max():
        return 0.0 * centred
    return (centred if better == "high" else -centred) / spread
