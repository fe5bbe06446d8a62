"""How many directions a cloud of codes fills."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.score.metrics.moments import blocks, mean_and_scatter

# Below this share of the squared norm, a squared distance from a matrix product has lost eight digits.
_CANCELLED = 1e-8


class Dimension(NamedTuple):
    """Intrinsic dimension of a cloud of codes.

    Attributes
    ----------
    value
        The estimate, NaN when there is none.
    k
        Numbers of neighbours asked for, shape (m,).
    per_k
        Estimate for each k, shape (m,), NaN where k does not suit the number of codes.
    rows
        Rows of the input that took part, shape (n,): finite and told apart.
    inverse
        Each row's own inverse dimension, averaged over the usable k, shape (n,); in `intrinsic_dimension`
        the value is the inverse of its mean, so a bootstrap of that mean gives an interval.
    reason
        Why a value is missing, or what was left out; empty when all went well.
    """

    value: float
    k: np.ndarray
    per_k: np.ndarray
    rows: np.ndarray
    inverse: np.ndarray
    reason: str


def intrinsic_dimension(z: np.ndarray, k: Sequence[int]) -> Dimension:
    """Estimate the intrinsic dimension by maximum likelihood from nearest-neighbour distances.

    Formula: ``1 / mean_x mean_k (1 / (k - 1)) sum_{j<k} ln(T_k(x) / T_j(x))`` with T_j the distance of x to
    its j-th neighbour. Fixed k make values comparable between datasets of unlike size.

    Parameters
    ----------
    z
        Codes, shape (n, D). Rows that are not finite are left out; identical codes count once, because a
        distance of zero has no logarithm.
    k
        Numbers of neighbours, each at least 3 and below the number of distinct codes; others are skipped.

    Returns
    -------
    Dimension
        Pure numbers.

    Notes
    -----
    Source: Levina and Bickel 2004, averaged over points and k as inverses (MacKay and Ghahramani 2005), which
    is the maximum likelihood of all points together; in an arithmetic mean of the points' own estimates a few
    points with nearly equal neighbour distances outweigh the rest.
    """
    codes = _distinct(z)
    rows = np.array(sorted(places[0] for places in codes), dtype=int)
    inverse = _inverse_dimensions(_taken(z, rows), np.asarray(k))
    usable = np.isfinite(inverse).any(axis=1)
    reason = _explain(len(z), rows, np.asarray(k)[~usable])
    per_k = _invert(inverse.mean(axis=1)) if len(rows) else np.full(len(inverse), np.nan)
    own = inverse[usable].mean(axis=0) if usable.any() else np.full(len(rows), np.nan)
    value = float(_invert(own.mean())) if usable.any() else np.nan
    return Dimension(value, np.asarray(k), per_k, rows, own, reason)


def intrinsic_dimension_legacy(z: np.ndarray, n_components: int | None = None) -> Dimension:
    """Estimate the intrinsic dimension as published: arithmetic mean over points, k grows with n.

    Formula: mean over x of ``[(1 / (k - 2)) sum_{j<k} ln(T_k / T_j)]^-1`` for the five
    ``k = int(n linspace(0.008, 0.016, 5))``, then their mean. Every code that occurs more than once is left
    out altogether. Fewer than 375 codes give a k below 3, hence NaN with a reason.

    Parameters
    ----------
    z
        Codes, shape (n, D).
    n_components
        Components to use, the first ones: the width of the narrowest model compared; None for all.

    Notes
    -----
    Source: Vasan et al. 2025, "Compactness". They also leave out what is a duplicate for another model.
    """
    z = z[:, :n_components]
    codes = _distinct(z)
    rows = np.array(sorted(places[0] for places in codes if len(places) == 1), dtype=int)
    k = (len(rows) * np.linspace(0.008, 0.016, 5)).astype(int)
    inverse = _inverse_dimensions(_taken(z, rows), k)
    unbiased = _invert(inverse * ((k - 1) / np.maximum(k - 2, 1))[:, None])
    per_k = unbiased.mean(axis=1) if len(rows) else np.full(len(k), np.nan)
    reason = _explain(len(z), rows, k[~np.isfinite(per_k)])
    return Dimension(float(per_k.mean()), k, per_k, rows, inverse.mean(axis=0), reason)


def participation_ratio(z: np.ndarray) -> float:
    """Count the principal directions that carry the variance.

    Formula: ``(sum_i l_i)^2 / sum_i l_i^2`` with l_i the eigenvalues of the covariance: D for a round cloud
    in D dimensions, 1 for a line. NaN for fewer than two finite rows or no variance.

    Parameters
    ----------
    z
        Codes, shape (n, D).

    Notes
    -----
    Source: Gao et al. 2017 (bioRxiv 214262). Both sums are traces, so no eigenvalue is computed.
    """
    rows = np.flatnonzero(np.isfinite(z).all(axis=1))
    if len(rows) < 2:
        return np.nan
    mean, scatter = mean_and_scatter(z, rows)
    trace = np.trace(scatter)
    # Rounding of the mean leaves a trace of variance in a constant cloud.
    rounding = 4 * np.finfo(np.float64).eps * np.abs(mean).max()
    if trace <= len(rows) * z.shape[1] * rounding**2:
        return np.nan
    return float(1 / ((scatter / trace) ** 2).sum())


def _distinct(z: np.ndarray) -> list[list[int]]:
    """Group the finite rows of equal codes, by digest: a sort of all codes would copy them."""
    places: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(np.isfinite(z).all(axis=1)):
        # Adding zero turns the negative zero into the positive one.
        digest = hashlib.blake2b((z[row] + 0.0).tobytes(), digest_size=16).digest()
        places.setdefault(digest, []).append(int(row))
    return list(places.values())


def _taken(z: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows of z, a copy only where some are left out."""
    return z if len(rows) == len(z) else z[rows]


def _invert(inverse: np.ndarray) -> np.ndarray:
    """Return 1 / inverse, NaN where all neighbours are equally far and the estimate is infinite."""
    return np.divide(1.0, inverse, out=np.full(np.shape(inverse), np.nan), where=np.asarray(inverse) > 0)


def _explain(n: int, rows: np.ndarray, failed_k: np.ndarray) -> str:
    """Say which rows and which k gave nothing."""
    parts = []
    if len(rows) < n:
        parts.append(f"{n - len(rows)} of {n} codes are not finite or duplicated and left out")
    if len(failed_k):
        listed = ", ".join(str(k) for k in failed_k)
        parts.append(
            f"no estimate for k = {listed} with {len(rows)} codes (needs 3 <= k < codes, distances unequal)"
        )
    return "; ".join(parts)


def _inverse_dimensions(z: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return (1 / (k - 1)) sum_{j<k} ln(T_k / T_j), shape (len(k), n), NaN for an unsuitable k."""
    result = np.full((len(k), len(z)), np.nan)
    usable = np.flatnonzero((k >= 3) & (k < len(z)))
    if not len(usable):
        return result
    most, mean = int(k[usable].max()), z.mean(axis=0)
    squares = np.concatenate([((z[part] - mean) ** 2).sum(axis=1) for part in blocks(len(z), z.shape[1])])
    for part in blocks(len(z), len(z)):
        log_distance = np.log(_nearest(z, mean, squares, part, most)) / 2
        for row in usable:
            last = log_distance[:, k[row] - 1]
            result[row, part] = last - log_distance[:, : k[row] - 1].mean(axis=1)
    return result


def _nearest(z: np.ndarray, mean: np.ndarray, squares: np.ndarray, part: slice, k: int) -> np.ndarray:
    """Return the squared distances of rows `part` to their k nearest others, shape (rows, k), ascending."""
    own = z[part] - mean
    squared = own @ z.T
    squared -= (own @ mean)[:, None]
    squared *= -2
    squared += squares
    squared[np.arange(len(own)), np.arange(part.start, part.stop)] = np.inf
    found = np.partition(squared, k - 1, axis=1)[:, :k] + squares[part, None]
    # Only close pairs suffer from cancellation: the rows that have one are measured again, directly.
    for row in np.flatnonzero(found.min(axis=1) < _CANCELLED * squares[part]):
        near = np.argpartition(squared[row], k - 1)[:k]
        found[row] = ((z[near] - z[part.start + row]) ** 2).sum(axis=1)
    return np.sort(found, axis=1)
