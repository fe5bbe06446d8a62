"""From many values to one row: intervals, tidy rows, scores relative to the other models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

_BLOCK_ELEMENTS = 1 << 22
_LEVELS = (2.5, 97.5)


class Interval(NamedTuple):
    """A mean with its percentile bootstrap interval (95 %) and the number of finite values behind it."""

    value: float
    low: float
    high: float
    n: int


class Score(NamedTuple):
    """One row of the score table.

    `variant` is "corrected" or "legacy" (as published), `better` says which direction is good, `ci_low` and
    `ci_high` bound the 95 % interval (NaN where there is none), `n` counts the values behind `value`, and
    `reason` explains a missing value or left-out cells.
    """

    dataset: str
    model: str
    seed: int
    metric: str
    variant: Literal["corrected", "legacy"]
    unit: str
    better: Literal["high", "low"]
    value: float
    ci_low: float
    ci_high: float
    n: int
    reason: str


_DTYPES = {"seed": np.int64, "n": np.int64} | dict.fromkeys(("value", "ci_low", "ci_high"), np.float64)


def score_table(scores: Iterable[Score]) -> pd.DataFrame:
    """Return scores as a table: one row each, columns named after the fields of `Score`, fixed types."""
    rows = pd.DataFrame(list(scores), columns=list(Score._fields))
    return rows.astype({name: _DTYPES.get(name, object) for name in Score._fields})


def bootstrap_mean(
    values: np.ndarray, *, n_resamples: int, rng: np.random.Generator, clusters: np.ndarray | None = None
) -> Interval:
    """Average values and bound the mean by a percentile bootstrap (2.5 and 97.5 %).

    Parameters
    ----------
    values
        Shape (n,), any unit; values that are not finite are dropped.
    n_resamples
        Number of resamples.
    rng
        Source of chance.
    clusters
        Cluster of each value, shape (n,): whole clusters are drawn, because cells of one nucleus, say,
        are not independent. None: every value is its own. Clusters without a finite value are drawn too, so
        that models meet the same resamples whatever they lack.

    Returns
    -------
    Interval
        NaN bounds for fewer than two clusters with values, all NaN and n = 0 without finite values.

    Notes
    -----
    Source: Efron and Tibshirani 1993, percentile interval; cluster bootstrap of the ratio sum / count.
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    which = _numbers(values if clusters is None else clusters, clusters is None)
    count, total = np.bincount(which, finite), np.bincount(which, np.where(finite, values, 0.0))
    mean, n = float(values[finite].mean()), int(finite.sum())
    if (count > 0).sum() < 2:
        return Interval(mean, np.nan, np.nan, n)
    sums = [(total[d].sum(1), count[d].sum(1)) for d in draws(len(count), n_resamples, rng)]
    top, below = (np.concatenate(part) for part in zip(*sums, strict=True))
    return Interval(mean, *bounds(top[below > 0] / below[below > 0]), n)


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], np.ndarray],
    clusters: np.ndarray,
    *,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[float, np.ndarray]:
    """Resample any statistic that can count cells more than once or not at all.

    Parameters
    ----------
    statistic
        Takes weights of shape (m, n), how often each cell counts, and returns m values.
    clusters
        Cluster of each cell, shape (n,).
    n_resamples, rng
        As in `bootstrap_mean`, with the same draws.

    Returns
    -------
    value
        Of the cells as they are; NaN without any.
    resampled
        Shape (n_resamples,), NaN where undefined; all NaN for fewer than two clusters.
    """
    n = len(clusters)
    if not n:
        return np.nan, np.full(n_resamples, np.nan)
    which = _numbers(clusters, False)
    value, n_clusters = float(statistic(np.ones((1, n)))[0]), int(which.max()) + 1
    if n_clusters < 2:
        return value, np.full(n_resamples, np.nan)
    step = max(1, _BLOCK_ELEMENTS // n)
    resampled = []
    for drawn in draws(n_clusters, n_resamples, rng):
        for first in range(0, len(drawn), step):
            part = drawn[first : first + step]
            flat = part + n_clusters * np.arange(len(part))[:, None]
            times = np.bincount(flat.ravel(), minlength=n_clusters * len(part)).reshape(len(part), -1)
            resampled.append(statistic(times[:, which].astype(np.float64)))
    return value, np.concatenate(resampled)


def bounds(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % points of the resamples that are defined; NaN unless most are."""
    known = resampled[np.isfinite(resampled)]
    if len(known) < max(2, len(resampled) / 2):
        return np.nan, np.nan
    low, high = np.percentile(known, _LEVELS)
    return float(low), float(high)


def draws(n: int, n_resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield n_resamples draws of n out of n with replacement, in blocks of shape (block, n)."""
    step = max(1, _BLOCK_ELEMENTS // n)
    for first in range(0, n_resamples, step):
        yield rng.integers(0, n, size=(min(step, n_resamples - first), n))


def _numbers(clusters: np.ndarray, own: bool) -> np.ndarray:
    """Return the number of each value's cluster, in the order of names, shape (n,)."""
    return np.arange(len(clusters)) if own else np.unique(np.asarray(clusters), return_inverse=True)[1]


def standardise(values: pd.Series, better: Literal["high", "low"]) -> pd.Series:
    """Put a metric on the common axis of a polar plot: z-score over the models, larger is always better.

    Formula: ``(x - mean) / sd`` over models (sd with n - 1), sign turned where low is better. The result is
    RELATIVE: it depends on which models are compared, and tiny differences look as large as big ones. Show it
    beside raw values with their intervals, never instead of them.

    Parameters
    ----------
    values
        One value per model, in any unit; NaN stays NaN.
    better
        Which direction is good.

    Returns
    -------
    pd.Series
        Same index, pure numbers; 0 for every model when there is no spread.

    Notes
    -----
    Source: the polar plots of Vasan et al. 2025.
    """
    centred = values - values.mean()
    spread = values.std(ddof=1)
    # Rounding gives equal values a spread of their last digit.
    if not spread > 8 * np.finfo(np.float64).eps * values.abs().max():
        return 0.0 * centred
    return (centred if better == "high" else -centred) / spread
