"""Bootstrap intervals and the rows of the score table."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.random import Generator

from morphobench.metrics.covariance import blocks

Variant = Literal["corrected", "legacy"]
Better = Literal["high", "low"]
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
    variant: Variant
    unit: str
    better: Better
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
    values: np.ndarray, *, n_resamples: int, rng: Generator, clusters: np.ndarray | None = None
) -> Interval:
    """Average values, shape (n,), and bound the mean by a percentile bootstrap (2.5 and 97.5 %).

    Values that are not finite are dropped. Whole `clusters`, shape (n,), are drawn, because cells of one
    nucleus, say, are not independent; None: every value is its own. Clusters without a finite value are drawn
    too, so that models meet the same resamples whatever they lack. NaN bounds for fewer than two clusters
    with values; all NaN and n = 0 without finite values.

    Source: Efron and Tibshirani 1993, percentile interval; cluster bootstrap of the ratio sum / count.
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    which = np.arange(len(values)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    count, total = np.bincount(which, finite), np.bincount(which, np.where(finite, values, 0.0))
    mean, n = float(values[finite].mean()), int(finite.sum())
    if (count > 0).sum() < 2:
        return Interval(mean, np.nan, np.nan, n)
    sums = [(total[drawn].sum(1), count[drawn].sum(1)) for drawn in _draws(len(count), n_resamples, rng)]
    top, below = (np.concatenate(part) for part in zip(*sums, strict=True))
    return Interval(mean, *bounds(top[below > 0] / below[below > 0]), n)


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], np.ndarray], clusters: np.ndarray, *, n_resamples: int, rng: Generator
) -> tuple[float, np.ndarray]:
    """Value and resamples, shape (n_resamples,), of a statistic of cells that may repeat or be absent.

    `statistic` takes weights of shape (m, n), how often each cell counts, and returns m values. Clusters,
    shape (n,), are drawn as in `bootstrap_mean`. NaN where undefined; all resamples are NaN for fewer than
    two clusters.
    """
    n, (names, which) = len(clusters), np.unique(clusters, return_inverse=True)
    value = float(statistic(np.ones((1, n)))[0]) if n else np.nan
    if len(names) < 2:
        return value, np.full(n_resamples, np.nan)
    resampled = [
        statistic(counts[part][:, which].astype(np.float64))
        for counts in resample_counts(len(names), n_resamples, rng)
        for part in blocks(len(counts), n)
    ]
    return value, np.concatenate(resampled)


def bounds(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % points of the resamples that are defined; NaN unless most are."""
    known = resampled[np.isfinite(resampled)]
    if len(known) < max(2, len(resampled) / 2):
        return np.nan, np.nan
    low, high = np.percentile(known, _LEVELS)
    return float(low), float(high)


def _draws(n: int, n_resamples: int, rng: Generator) -> Iterator[np.ndarray]:
    """Yield n_resamples draws of n out of n with replacement, in blocks of shape (block, n)."""
    for part in blocks(n_resamples, n):
        yield rng.integers(0, n, size=(part.stop - part.start, n))


def resample_counts(n: int, n_resamples: int, rng: Generator) -> Iterator[np.ndarray]:
    """Yield how often each of n is drawn in resamples, in blocks of shape (block, n)."""
    for drawn in _draws(n, n_resamples, rng):
        flat = drawn + n * np.arange(len(drawn))[:, None]
        yield np.bincount(flat.ravel(), minlength=n * len(drawn)).reshape(len(drawn), -1)
