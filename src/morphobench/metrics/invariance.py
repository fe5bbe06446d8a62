"""Rotation invariance error of embeddings, and what a rotation does beside another cell."""

from collections.abc import Iterator

import numpy as np

from morphobench.metrics.covariance import blocks, evenly

# Squared distances are equal up to their rounding.
_ROUNDING = 1e-9
# Of more cells, each is compared with so many others: time grows with the number of cells, not its square.
_MOST_OTHERS = 2000


def rotation_invariance_error(z: np.ndarray, z_rotated: np.ndarray) -> np.ndarray:
    """Relative distance between embeddings of objects and of the same objects rotated.

    Formula: ``||z_r - z|| / (||z|| + ||z_r||)``, from 0 (invariant) to 1; two zero embeddings agree (0), an
    embedding that is not finite gives NaN. `z` has shape (n, D), `z_rotated` (n, D) or (r, n, D) for r
    rotations, the result (n,) or (r, n).

    Source: Vasan et al. 2025, "Rotation Invariance Error". They average the unrotated pose in as well, which
    scales the mean by 3/4; here the caller decides which rotations take part.

    Raises
    ------
    ValueError
        When the shapes do not match.
    """
    z, z_rotated = np.asarray(z, np.float64), np.asarray(z_rotated, np.float64)
    if z.ndim != 2 or z_rotated.shape[-2:] != z.shape or z_rotated.ndim > 3:
        raise ValueError(f"embeddings of shapes {z.shape} and {z_rotated.shape} cannot be compared")
    difference = np.linalg.norm(z_rotated - z, axis=-1)
    total = np.linalg.norm(z, axis=-1) + np.linalg.norm(z_rotated, axis=-1)
    return np.divide(difference, total, out=np.where(total == 0, 0.0, np.nan), where=total > 0)


def rotation_invariance_error_legacy(
    z: np.ndarray, z_rotated: np.ndarray, n_components: int | None = None
) -> np.ndarray:
    """Rotation invariance error as published, shape (4, n): 0, 90, 180 and 270 degrees about z.

    Of the first `n_components` alone (the width of the narrowest model compared; None for all), the
    unrotated pose included as zeros. `z_rotated`, shape (3, n, D), holds the three other angles.
    """
    z, z_rotated = np.asarray(z)[:, :n_components], np.asarray(z_rotated)[..., :n_components]
    return rotation_invariance_error(z, np.concatenate([z[None], z_rotated]))


def mean_cell_distance(z: np.ndarray) -> float:
    """Mean Euclidean distance between the embeddings of two cells, shape (n, D), over all pairs.

    In this unit ``||z_r - z||`` is 0 for an invariant embedding and about 1 where a rotation is like taking
    another cell; unlike the relative distance it does not fall when all embeddings are shifted. Cells whose
    embedding is not finite are left out; NaN for fewer than two, 0 for embeddings that are all alike. Of more
    than 2000 cells, over the pairs with 2000 of them (`evenly`).
    """
    z = np.asarray(z, np.float64)
    z = z[np.isfinite(z).all(axis=1)]
    if len(z) < 2:
        return np.nan
    others = z[evenly(len(z), _MOST_OTHERS)]
    total = sum(np.sqrt(squares).sum() for _, squares in _squared_distances(z, others))
    # A distance of the size of the rounding is none.
    mean = float(total / ((len(z) - 1) * len(others)))
    return mean if mean > _ROUNDING**0.5 * np.abs(z).max() else 0.0


def rotation_rank(z: np.ndarray, z_rotated: np.ndarray) -> np.ndarray:
    """Share of the other cells whose embedding is nearer to that of a rotated cell than its own, shape (n,).

    `z` and `z_rotated` have shape (n, D). 0 where each cell finds itself, 0.5 on average by chance; ties
    count half. NaN where an embedding is not finite, or without another cell. Of more than 2000 cells, the
    share of 2000 of them (`evenly`).
    """
    z, z_rotated = np.asarray(z, np.float64), np.asarray(z_rotated, np.float64)
    known = np.isfinite(z).all(axis=1)
    usable, rank = np.flatnonzero(known & np.isfinite(z_rotated).all(axis=1)), np.full(len(z), np.nan)
    others = np.flatnonzero(known)[evenly(known.sum(), _MOST_OTHERS)]
    if known.sum() < 2:
        return rank
    for part, squares in _squared_distances(z_rotated[usable], z[others]):
        rows = usable[part]
        apart = squares - ((z_rotated[rows] - z[rows]) ** 2).sum(axis=1)[:, None]
        tied = np.abs(apart) <= _ROUNDING * squares.max(axis=1, keepdims=True)
        nearer, itself = np.where(tied, 0.5, apart < 0), rows[:, None] == others
        rank[rows] = np.where(itself, 0, nearer).sum(axis=1) / (~itself).sum(axis=1)
    return rank


def _squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of `a` and their squared distances from all of `b`, block by block."""
    # A common shift changes no distance; it keeps the squares small, where they cancel.
    middle = b.mean(axis=0)
    b = b - middle
    norms = (b**2).sum(axis=1)
    for part in blocks(len(a), len(b)):
        rows = a[part] - middle
        yield part, ((rows**2).sum(axis=1)[:, None] + norms - 2 * rows @ b.T).clip(min=0)
