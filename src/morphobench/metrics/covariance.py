"""Mean, scatter and scale of embeddings, in blocks of rows: memory beside the embeddings stays bounded."""

from collections.abc import Iterator

import numpy as np

_BLOCK_ELEMENTS = 1 << 22


def blocks(n: int, width: int) -> Iterator[slice]:
    """Cut n rows of `width` numbers each into slices of at most 32 MB in float64."""
    step = max(1, _BLOCK_ELEMENTS // max(width, 1))
    for first in range(0, n, step):
        yield slice(first, min(first + step, n))


def evenly(n: int, most: int) -> np.ndarray:
    """Return the numbers of at most `most` of n rows, as evenly spaced as can be; the same each time."""
    return np.arange(n) if n <= most else np.arange(most) * n // most


def mean_and_scatter(z: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, shape (D,), and the scatter ``sum (z - mean)^T (z - mean)``, shape (D, D).

    `z` has shape (n, D) and is finite in `rows`, of which there is at least one (None for all).
    """
    rows = np.arange(len(z)) if rows is None else rows
    mean = np.zeros(z.shape[1])
    for part in blocks(len(rows), z.shape[1]):
        mean += z[rows[part]].sum(axis=0) / len(rows)
    scatter = np.zeros((z.shape[1],) * 2)
    for part in blocks(len(rows), z.shape[1]):
        centred = z[rows[part]] - mean
        scatter += centred.T @ centred
    return mean, scatter


def standard_scale(mean: np.ndarray, scatter: np.ndarray, n: int) -> np.ndarray:
    """Return the standard deviation of every component, shape (D,), 1 for constant ones (StandardScaler)."""
    variance = np.diag(scatter) / n
    eps = np.finfo(np.float64).eps
    # A constant component keeps a trace of variance from the rounding of its mean.
    constant = variance <= n * eps * variance + (n * mean * eps) ** 2
    return np.where(constant, 1.0, np.sqrt(np.where(constant, 1.0, variance)))


def principal_axes(scatter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of a scatter matrix that are not rounding, shape (rank,), and axes (D, rank)."""
    values, axes = np.linalg.eigh(scatter)
    # Squares of singular values: below this they are rounding.
    kept = values > values.max(initial=0) * len(values) * np.finfo(np.float64).eps * 8
    return values[kept], axes[:, kept]
