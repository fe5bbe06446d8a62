"""Intrinsic dimension and participation ratio of a cloud of embeddings."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.metrics.covariance import blocks, evenly, mean_and_scatter
from morphobench.metrics.reasons import join

# Below this share of the squared norm, a squared distance from a matrix product has lost eight digits.
_CANCELLED = 1e-8
# Of more cells, the published dimension is averaged over so many: k neighbours of each of n cells, with k a
# share of n, are n^2 numbers.
_MOST_POINTS = 10_000


class Dimension(NamedTuple):
    """Intrinsic dimension `value`, and `per_k` for each number of neighbours `k`; NaN with a `reason`.

    `rows` are the rows of the input that took part, shape (n,); `error` is the standard error of the value.
    """

    value: float
    k: np.ndarray
    per_k: np.ndarray
    rows: np.ndarray
    error: float
    reason: str


def intrinsic_dimension(z: np.ndarray, k: Sequence[int], units: np.ndarray | None = None) -> Dimension:
    """Maximum-likelihood intrinsic dimension from distances to nearest neighbours in other units.

    Formula: ``1 / mean_x mean_k (1 / (k - 1)) sum_{j<k} ln(T_k(x) / T_j(x))`` with T_j the distance of x to
    its j-th neighbour. Neighbours are cells of other `units`, shape (n,), because cells of one nucleus, say,
    lie together whatever the dimension; None: each cell is its own. k is at least 3 and at most the number of
    other units' cells (others are skipped). The value depends on n: compare it at equal n. Rows of `z`,
    shape (n, D), that are not finite are left out; equal ones count once, because a distance of zero has no
    logarithm. Memory grows as n^2.

    Cells of one unit, and neighbours, depend on each other: the standard error sums over these.

    Source: Levina and Bickel 2004, averaged over points and k as inverses (MacKay and Ghahramani 2005), the
    maximum likelihood of all points together; in an arithmetic mean, a few points with nearly equal
    neighbour distances outweigh the rest.
    """
    from scipy.spatial.distance import cdist

    k = np.asarray(k)
    rows = np.array(sorted(group[0] for group in _equal_rows(z)), dtype=int)
    unit = np.unique(np.arange(len(rows)) if units is None else units[rows], return_inverse=True)[1]
    apart = unit[:, None] != unit
    usable = np.flatnonzero((k >= 3) & (k <= apart.sum(axis=1).min(initial=len(rows))))
    if not len(usable):
        return Dimension(np.nan, k, np.full(len(k), np.nan), rows, np.nan, _reason(len(z), rows, k))
    per_cell = np.full((len(k), len(rows)), np.nan)
    distance = np.where(apart, cdist(z[rows], z[rows]), np.inf)
    nearest = np.argsort(distance, axis=1)[:, : k[usable].max()]
    log_distance = np.log(np.take_along_axis(distance, nearest, axis=1))
    for place in usable:
        within = log_distance[:, : k[place]]
        per_cell[place] = within[:, -1] - within[:, :-1].mean(axis=1)
    value = float(_invert(per_cell[usable].mean()))
    error = _standard_error(per_cell[usable].mean(axis=0), unit, nearest) * value**2
    failed = np.delete(k, usable)
    return Dimension(value, k, _invert(per_cell.mean(axis=1)), rows, error, _reason(len(z), rows, failed))


def _standard_error(values: np.ndarray, unit: np.ndarray, nearest: np.ndarray) -> float:
    """Return that of the mean of cells' values, shape (n,), which depend on their units and `nearest` cells.

    Source: sums over dependent pairs, as of clusters in space (Conley 1999), at least those of units alone.
    """
    centred, n_units = values - values.mean(), unit.max() + 1
    together = np.zeros((len(values),) * 2, dtype=bool)
    together[np.arange(len(values))[:, None], nearest] = True
    of_units = (np.bincount(unit, centred) ** 2).sum()
    of_neighbours = centred @ ((together | together.T) @ centred)
    return float(np.sqrt((of_units + max(of_neighbours, 0.0)) * n_units / (n_units - 1))) / len(values)


def intrinsic_dimension_legacy(z: np.ndarray, n_components: int | None = None) -> Dimension:
    """Intrinsic dimension as published: arithmetic mean over points, k grows with n.

    Formula: mean over x of ``[(1 / (k - 2)) sum_{j<k} ln(T_k / T_j)]^-1`` for the five
    ``k = int(n linspace(0.008, 0.016, 5))``, then their mean; of the first `n_components` of `z` (the width
    of the narrowest model compared; None for all). Every embedding that occurs more than once is left out
    altogether. Fewer than 375 embeddings give a k below 3, hence NaN with a reason. Of more than 10,000, the
    mean is that over 10,000 (`evenly`), with their neighbours among all.

    Source: Vasan et al. 2025, "Compactness". They also leave out what is a duplicate for another model.
    """
    z = z[:, :n_components]
    rows = np.array(sorted(group[0] for group in _equal_rows(z) if len(group) == 1), dtype=int)
    k = (len(rows) * np.linspace(0.008, 0.016, 5)).astype(int)
    inverse = _inverse_dimensions(_select(z, rows), k)
    unbiased = _invert(inverse * ((k - 1) / np.maximum(k - 2, 1))[:, None])
    per_k = unbiased.mean(axis=1) if len(rows) else np.full(len(k), np.nan)
    reason = _reason(len(z), rows, k[~np.isfinite(per_k)])
    return Dimension(float(per_k.mean()), k, per_k, rows, np.nan, reason)


def participation_ratio(z: np.ndarray) -> float:
    """Participation ratio of the principal variances of embeddings, shape (n, D).

    Formula: ``(sum_i l_i)^2 / sum_i l_i^2`` with l_i the eigenvalues of the covariance: D for a round cloud
    in D dimensions, 1 for a line. NaN for fewer than two finite rows or no variance.

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


def _equal_rows(z: np.ndarray) -> list[list[int]]:
    """Group finite rows that are equal, by digest: a sort of all embeddings would copy them."""
    groups: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(np.isfinite(z).all(axis=1)):
        # Adding zero turns the negative zero into the positive one.
        digest = hashlib.blake2b((z[row] + 0.0).tobytes(), digest_size=16).digest()
        groups.setdefault(digest, []).append(int(row))
    return list(groups.values())


def _select(z: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows of z, a copy only where some are left out."""
    return z if len(rows) == len(z) else z[rows]


def _invert(inverse: np.ndarray) -> np.ndarray:
    """Return 1 / inverse, NaN where all neighbours are equally far and the estimate is infinite."""
    return np.divide(1.0, inverse, out=np.full(np.shape(inverse), np.nan), where=np.asarray(inverse) > 0)


def _reason(n: int, rows: np.ndarray, failed_k: np.ndarray) -> str:
    """Say which rows were left out and which k have no estimate."""
    out = f"{n - len(rows)} of {n} embeddings are not finite or duplicated and left out"
    failed = f"no estimate for k = {', '.join(map(str, failed_k))} with {len(rows)} embeddings "
    failed += "(needs 3 <= k < embeddings, distances unequal)"
    return join(out if len(rows) < n else "", failed if len(failed_k) else "")


def _inverse_dimensions(z: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return (1 / (k - 1)) sum_{j<k} ln(T_k / T_j) of `evenly` chosen cells, (len(k), cells), or NaN."""
    points = evenly(len(z), _MOST_POINTS)
    result = np.full((len(k), len(points)), np.nan)
    usable = np.flatnonzero((k >= 3) & (k < len(z)))
    if not len(usable):
        return result
    most, mean = int(k[usable].max()), z.mean(axis=0)
    squares = np.concatenate([((z[part] - mean) ** 2).sum(axis=1) for part in blocks(len(z), z.shape[1])])
    for part in blocks(len(points), len(z)):
        log_distance = np.log(_nearest_squared(z, mean, squares, points[part], most)) / 2
        for row in usable:
            last = log_distance[:, k[row] - 1]
            result[row, part] = last - log_distance[:, : k[row] - 1].mean(axis=1)
    return result


def _nearest_squared(
    z: np.ndarray, mean: np.ndarray, squares: np.ndarray, rows: np.ndarray, k: int
) -> np.ndarray:
    """Return the squared distances of some rows to their k nearest others, shape (rows, k), ascending."""
    centred = z[rows] - mean
    squared = centred @ z.T
    squared -= (centred @ mean)[:, None]
    squared *= -2
    squared += squares
    squared[np.arange(len(rows)), rows] = np.inf
    nearest = np.partition(squared, k - 1, axis=1)[:, :k] + squares[rows, None]
    # Only close pairs suffer from cancellation: the rows that have one are measured again, directly.
    for place in np.flatnonzero(nearest.min(axis=1) < _CANCELLED * squares[rows]):
        near = np.argpartition(squared[place], k - 1)[:k]
        nearest[place] = ((z[near] - z[rows[place]]) ** 2).sum(axis=1)
    return np.sort(nearest, axis=1)
