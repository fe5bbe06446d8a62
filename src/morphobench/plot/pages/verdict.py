"""Sentences about models and descriptors, chosen by their numbers and the interval of their difference."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

_SPREAD, _ALL_SEEDS = "_spread", -1


class Compared(Protocol):
    """Scores, differences and looks of a data set; see `results.Dataset`."""

    scores: pd.DataFrame
    differences: pd.DataFrame
    models: Mapping[str, Any]
    baselines: Mapping[str, Any]

    def label(self, model: str) -> str:
        """Return the name of a model."""


def _rows(scores: pd.DataFrame, model: str, metric: str) -> pd.DataFrame:
    own = (scores["model"] == model) & (scores["metric"] == metric) & (scores["variant"] == "corrected")
    return scores[own]


def described_value(scores: pd.DataFrame, model: str, metric: str) -> str:
    """Return a value with its interval and the spread between trainings; empty for none."""
    means = _rows(scores, model, metric)[["value", "ci_low", "ci_high"]].mean()
    if not np.isfinite(means["value"]):
        return ""
    text = short(means["value"])
    if np.isfinite(means["ci_low"]) and np.isfinite(means["ci_high"]):
        text += f" ({short(means['ci_low'])} to {short(means['ci_high'])})"
    spread = _rows(scores, model, metric + _SPREAD)["value"].mean()
    return f"{text} ± {short(spread)}" if np.isfinite(spread) else text


def short(value: float) -> str:
    """Return a value with three decimals, or its power of ten where these would be 0; a dash for none."""
    if np.isnan(value):
        return "\u2013"
    return f"{value:.3f}" if value == 0 or abs(value) >= 5e-4 else f"{value:.0e}"


def best(scores: pd.DataFrame, models: Sequence[str], metric: str) -> str:
    """Return the model with the best value, trainings averaged; empty where none has one."""
    chosen = (scores["metric"] == metric) & (scores["variant"] == "corrected") & scores["model"].isin(models)
    own = scores[chosen].dropna(subset=["value"])
    if own.empty or own["better"].iloc[0] == "none":
        return ""
    means = own.groupby("model")["value"].mean()
    return str(means.idxmax() if own["better"].iloc[0] == "high" else means.idxmin())


def verdict(dataset: Compared, metric: str, title: str) -> str:
    """Say whether a model beats every descriptor without training, with the interval of the difference."""
    ours, theirs = (
        best(dataset.scores, list(group), metric) for group in (dataset.models, dataset.baselines)
    )
    if not ours or not theirs:
        who = "model" if not ours else "descriptor without training"
        return f"{title}: no {who} has a value, so there is nothing to compare."
    values = [described_value(dataset.scores, name, metric) for name in (ours, theirs)]
    both = f"{values[0]} of {dataset.label(ours)} against {values[1]} of {dataset.label(theirs)}"
    ahead, low, high = _advantage(dataset.differences, metric, ours, theirs)
    if not np.isfinite(low):
        means = [_rows(dataset.scores, name, metric)["value"].mean() for name in (ours, theirs)]
        sign = -1 if _rows(dataset.scores, ours, metric)["better"].iloc[0] == "low" else 1
        behind = sign * (means[0] - means[1]) <= 0
        said = "**no model beats the descriptors without training**" if behind else "the best model is ahead"
        return f"{title}: {said}, {both}; there is no interval of their difference."
    stated = f"difference in favour of the model {ahead:.3f} ({low:.3f} to {high:.3f})"
    if low > 0:
        said = "**the best model beats every descriptor without training**"
    elif ahead > 0:
        said = "the best model is ahead of the best descriptor, but **no interval separates them**"
    else:
        said = "**no model beats the descriptors without training**"
    return f"{title}: {said}, {both}; {stated}."


def _advantage(differences: pd.DataFrame, metric: str, ours: str, theirs: str) -> tuple[float, float, float]:
    """Return how much better a model is than a descriptor, and the interval; NaN where not compared."""
    own = differences[differences["metric"] == metric]
    for a, b, order in ((ours, theirs, 1), (theirs, ours, -1)):
        found = own[(own["model_a"] == a) & (own["model_b"] == b)]
        if len(found):
            row = found.iloc[0]
            sign = order * (-1 if row["better"] == "low" else 1)
            low, high = sorted(sign * np.array([row["ci_low"], row["ci_high"]], float))
            return sign * float(row["difference"]), float(low), float(high)
    return np.nan, np.nan, np.nan
