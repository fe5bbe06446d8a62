"""Principal components of codes, without an array of cells by cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_BLOCK = 4096


class Components(NamedTuple):
    """Principal components.

    Attributes
    ----------
    mean
        Shape (D,).
    directions
        Unit vectors in rows, shape (m, D); the largest loading of each is positive.
    variance
        Variance along each (divided by n), falling, shape (m,).
    total
        Variance along all there are.
    """

    mean: np.ndarray
    directions: np.ndarray
    variance: np.ndarray
    total: float

    def scores(self, z: np.ndarray) -> np.ndarray:
        """Return the coordinates of codes of shape (n, D), shape (n, m)."""
        out = np.empty((len(z), len(self.directions)))
        for first in range(0, len(z), _BLOCK):
            block = slice(first, first + _BLOCK)
            out[block] = (z[block] - self.mean) @ self.directions.T
        return out


def principal_components(z: np.ndarray, n: int | None = None) -> Components:
    """Find the principal components of codes by an exact decomposition.

    Time n D^2, memory D^2 beside the codes; with fewer cells than dimensions the other way round.

    Parameters
    ----------
    z
        Finite codes, shape (n_cells, D).
    n
        Components wanted; at most min(n_cells, D) exist, which is what None asks for.
    """
    mean = z.mean(axis=0)
    if len(z) < z.shape[1]:
        _, singular, directions = np.linalg.svd(z - mean, full_matrices=False)
        variance = singular**2 / len(z)
    else:
        covariance = sum(
            (centred := z[first : first + _BLOCK] - mean).T @ centred for first in range(0, len(z), _BLOCK)
        )
        variance, columns = np.linalg.eigh(covariance / len(z))
        variance, directions = np.maximum(variance[::-1], 0.0), columns.T[::-1]
    largest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)]
    directions = directions * np.where(largest < 0, -1.0, 1.0)[:, None]
    return Components(mean, directions[:n], variance[:n], float(variance.sum()))


def varies(z: np.ndarray) -> bool:
    """Say whether codes of shape (n, D) differ by more than rounding."""
    return bool(len(z) and np.ptp(z, axis=0).max() > 1e-11 * np.abs(z).max())
