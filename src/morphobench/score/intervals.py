"""Confidence intervals (95 %) of scores whose cells come in independent units, such as nuclei or wells."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Generator

from morphobench.metrics.covariance import blocks

Scale = Literal["plain", "logit"]
TAIL = 0.025
# Part of a unit that is added to both sides of a share, so that shares of 0 and 1 have log odds.
_PART = 0.1


class Interval(NamedTuple):
    """A score with its interval (NaN: none), the finite values behind it, and the units they come from."""

    value: float
    low: float
    high: float
    n: int
    n_units: int


class Range(NamedTuple):
    """Values that a score can take, and the scale on which its interval is symmetric.

    "logit" is for shares: their interval ends where they do, and where all units agree on 0 or 1 it is that
    of Clopper and Pearson with the units as draws.
    """

    lowest: float = -np.inf
    highest: float = np.inf
    scale: Scale = "plain"


def mean_interval(values: np.ndarray, units: np.ndarray, within: Range) -> Interval:
    """Average values, shape (n,), and bound the mean by Student's t over units, shape (n,).

    Values that are not finite are left out. NaN bounds for fewer than two units with values.

    Source: linearised ratio sum / count of clusters of unlike size (Cochran 1977, section 9A), which for
    clusters of one size is the t interval of their means.
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return Interval(np.nan, np.nan, np.nan, 0, 0)
    total, count = unit_sums(values[:, None], np.asarray(units))
    mean, error, n_units = clustered_mean(total, count)
    low, high = bounds(float(mean[0]), float(error[0]), int(n_units[0]), int(n_units[0]), within)
    return Interval(float(values[finite].mean()), low, high, int(finite.sum()), int(n_units[0]))


def unit_sums(values: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of the finite values of each unit: values (n, m) to two arrays of shape (units, m)."""
    names, which = np.unique(units, return_inverse=True)
    known = np.isfinite(values)
    total, count = np.zeros((2, len(names), values.shape[1]))
    for part, summed in ((np.where(known, values, 0.0), total), (known, count)):
        for number, column in enumerate(part.T):
            summed[:, number] = np.bincount(which, column, len(names))
    return total, count


def clustered_mean(total: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, its standard error and the units with values, shape (m,) each, from sums (units, m)."""
    n, n_units = count.sum(axis=0), (count > 0).sum(axis=0)
    mean = np.divide(total.sum(axis=0), n, out=np.full(n.shape, np.nan), where=n > 0)
    residual = ((total - mean * count) ** 2).sum(axis=0)
    usable = n_units > 1
    variance = residual * n_units / np.maximum(n_units - 1, 1)
    error = np.divide(np.sqrt(variance), n, out=np.full(n.shape, np.nan), where=usable)
    return mean, error, n_units


def jackknife(
    statistic: Callable[[np.ndarray], np.ndarray], units: np.ndarray, n_blocks: int, rng: Generator
) -> tuple[float, np.ndarray]:
    """Value of a statistic of cells, and its values without each block of units, shape (blocks,).

    `statistic` takes weights of shape (m, n), how often each cell counts, and returns m values. Each unit is
    a block; where there are more than `n_blocks`, so many blocks of about as many units each, at random.

    Source: Kott 2001, delete-a-group jackknife.
    """
    n, (names, which) = len(units), np.unique(units, return_inverse=True)
    value = float(statistic(np.ones((1, n)))[0]) if n else np.nan
    if len(names) < 2:
        return value, np.empty(0)
    without = [statistic(weights) for weights in _left_out(blocks_of(len(names), n_blocks, rng)[which])]
    return value, np.concatenate(without)


def blocks_of(n_units: int, n_blocks: int, rng: Generator) -> np.ndarray:
    """Return the block of each unit, shape (units,): its own, or that of some drawn at random."""
    n = min(n_units, n_blocks)
    return rng.permutation(np.arange(n_units) % n)


def _left_out(block: np.ndarray) -> Iterator[np.ndarray]:
    """Yield weights without each block, shape (some, n)."""
    for part in blocks(block.max() + 1, len(block)):
        yield (block != np.arange(part.start, part.stop)[:, None]).astype(np.float64)


def jackknife_interval(
    value: float, without: np.ndarray, n_agreeing: int, within: Range
) -> tuple[float, float]:
    """Bound a statistic by its values without each block, shape (blocks,), and Student's t.

    `n_agreeing` are the units that say so where the statistic is a share of 0 or 1. NaN where a value is.
    """
    known = len(without) > 1 and np.isfinite(without).all()
    scaled = _to_scale(without, len(without), within.scale) if known else np.full(2, np.nan)
    error = np.sqrt((len(scaled) - 1) / len(scaled) * ((scaled - scaled.mean()) ** 2).sum())
    return _around(value, float(error), len(without), n_agreeing, within)


def bounds(value: float, error: float, n_units: int, n_agreeing: int, within: Range) -> tuple[float, float]:
    """Return the interval of a value with a standard error from so many units or blocks of units."""
    if within.scale == "logit":
        error /= _slope(value, n_units)
    return _around(value, error, n_units, n_agreeing, within)


def _around(value: float, error: float, n: int, n_agreeing: int, within: Range) -> tuple[float, float]:
    from scipy.special import expit
    from scipy.stats import t

    if not np.isfinite(error):
        return np.nan, np.nan
    if within.scale == "logit" and value in (0.0, 1.0):
        edge = TAIL ** (1 / n_agreeing)
        return (edge, 1.0) if value else (0.0, 1.0 - edge)
    half = t.isf(TAIL, n - 1) * error
    low, high = _to_scale(np.array(value), n, within.scale) + np.array([-half, half])
    if within.scale == "logit":
        low, high = (expit([low, high]) * (n + 2 * _PART) - _PART) / n
    return float(max(low, within.lowest)), float(min(high, within.highest))


def _to_scale(values: np.ndarray, n: int, scale: Scale) -> np.ndarray:
    """Return values, or the log odds of shares of n units."""
    from scipy.special import logit

    return logit((values * n + _PART) / (n + 2 * _PART)) if scale == "logit" else values


def _slope(value: float, n: int) -> float:
    """Return how far a share moves where its log odds move by one."""
    share = (value * n + _PART) / (n + 2 * _PART)
    return share * (1 - share) * (n + 2 * _PART) / n
