"""Principal component analysis of embeddings."""

from typing import NamedTuple

import numpy as np

# Of a sum of loadings.
_ZERO = 1e-9


class Components(NamedTuple):
    """Principal components.

    Attributes
    ----------
    scores
        Shape (n, m).
    directions
        Unit vectors in rows, shape (m, D); the sum of the loadings of each is positive, where it is zero the
        largest loading. A few cells less may make another loading the largest.
    variance
        Variance of each score (divided by n), falling, shape (m,).
    total
        Variance of the embeddings in all directions.
    """

    scores: np.ndarray
    directions: np.ndarray
    variance: np.ndarray
    total: float


def principal_components(z: np.ndarray, n: int | None = None) -> Components:
    """Return the first n principal components of embeddings (n_cells, D), at most min(n_cells, D); exact."""
    from sklearn.decomposition import PCA

    # Centred first: the covariance of scikit-learn loses digits where the mean is large.
    centred = z - z.mean(axis=0)
    solver = "full" if len(z) < z.shape[1] else "covariance_eigh"
    pca = PCA(None if n is None else min(n, *z.shape), svd_solver=solver)
    scores, total = pca.fit_transform(centred), float((centred**2).sum() / len(z))
    sign = np.where(pca.components_.sum(axis=1) < -_ZERO, -1.0, 1.0)
    directions = pca.components_ * sign[:, None]
    return Components(scores * sign, directions, pca.singular_values_**2 / len(z), total)


def varies(z: np.ndarray) -> bool:
    """Return whether embeddings of shape (n, D) differ by more than rounding."""
    return bool(len(z) and np.ptp(z, axis=0).max() > 1e-11 * np.abs(z).max())
