"""How many directions a cloud of codes fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_BLOCK_ELEMENTS = 1 << 22


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
    finite = np.flatnonzero(np.isfinite(z).all(axis=1))
    _, first = np.unique(z[finite], axis=0, return_index=True)
    rows = finite[np.sort(first)]
    inverse = _inverse_dimensions(z[rows], np.asarray(k))
    usable = np.isfinite(inverse).any(axis=1)
    reason = _explain(len(z), rows, np.asarray(k)[~usable])
    per_k = _invert(inverse.mean(axis=1)) if len(rows) else np.full(len(inverse), np.nan)
    own = inverse[usable].mean(axis=0) if usable.any() else np.full(len(rows), np.nan)
    value = float(_invert(own.mean())) if usable.any() else np.nan
    return Dimension(value, np.asarray(k), per_k, rows, own, reason)


def intrinsic_dimension_legacy(z: np.ndarray) -> Dimension:
    """Estimate the intrinsic dimension as published: arithmetic mean over points, k grows with n.

    Formula: mean over x of ``[(1 / (k - 2)) sum_{j<k} ln(T_k / T_j)]^-1`` for the five
    ``k = int(n linspace(0.008, 0.016, 5))``, then their mean. Every code that occurs more than once is left
    out altogether. Fewer than 375 codes give a k below 3, hence NaN with a reason.

    Parameters
    ----------
    z
        Codes, shape (n, D).

    Notes
    -----
    Source: Vasan et al. 2025, "Compactness".
    """
    finite = np.flatnonzero(np.isfinite(z).all(axis=1))
    _, first, count = np.unique(z[finite], axis=0, return_index=True, return_counts=True)
    rows = finite[np.sort(first[count == 1])]
    k = (len(rows) * np.linspace(0.008, 0.016, 5)).astype(int)
    inverse = _inverse_dimensions(z[rows], k)
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
    z = z[np.isfinite(z).all(axis=1)]
    if len(z) < 2:
        return np.nan
    centred = z - z.mean(axis=0)
    scale = np.abs(centred).max()
    # Rounding of the mean leaves a trace of variance in a constant cloud.
    if scale <= np.finfo(np.float64).eps * np.abs(z).max():
        return np.nan
    centred = centred / scale
    gram = centred @ centred.T if len(z) < z.shape[1] else centred.T @ centred
    return float(np.trace(gram) ** 2 / (gram**2).sum())


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
    usable = (k >= 3) & (k < len(z))
    if usable.any():
        log_distance = np.log(_neighbour_distances(z, int(k[usable].max())))
        for row in np.flatnonzero(usable):
            result[row] = log_distance[:, k[row] - 1] - log_distance[:, : k[row] - 1].mean(axis=1)
    return result


def _neighbour_distances(z: np.ndarray, k: int) -> np.ndarray:
    """Return the distances to the k nearest others, shape (n, k), ascending, exact."""
    from sklearn.neighbors import NearestNeighbors

    z = z - z.mean(axis=0)
    index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(z).kneighbors(return_distance=False)
    distance = np.empty(index.shape)
    # The search uses matrix products, whose cancellation can turn a small distance into zero.
    step = max(1, _BLOCK_ELEMENTS // (k * z.shape[1]))
    for first in range(0, len(z), step):
        block = slice(first, first + step)
        distance[block] = np.linalg.norm(z[index[block]] - z[block, None], axis=2)
    return np.sort(distance, axis=1)
