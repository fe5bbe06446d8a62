"""Shape descriptors of point clouds, without training.

Clouds have shape (m, n, 3), micrometres; results have one row per cloud.
"""

import numpy as np

_RIDGE = 1e-3
_TINY = 1e-12


def centred(points_um: np.ndarray) -> np.ndarray:
    """Move the mean of every cloud, shape (..., n, 3), to the origin; float64."""
    points_um = np.asarray(points_um, np.float64)
    return points_um - points_um.mean(axis=-2, keepdims=True)


def radial_histogram(points_um: np.ndarray, *, n_bins: int, largest_um: float) -> np.ndarray:
    """Return the histogram of distances of points from their mean, shares of all points, shape (m, n_bins).

    Bins are equal from 0 to `largest_um`, and the last one takes what is beyond. Invariant to rotation and
    shift.
    """
    return _histogram(np.linalg.norm(centred(points_um), axis=-1), n_bins, largest_um)


def pairwise_histogram(points_um: np.ndarray, *, n_bins: int, largest_um: float) -> np.ndarray:
    """Return the histogram of distances between points, shares of all pairs, shape (m, n_bins).

    Bins are equal from 0 to twice `largest_um`. Invariant to rotation, shift and mirroring.

    Notes
    -----
    Source: the D2 shape distribution, Osada et al. 2002.
    """
    from scipy.spatial.distance import pdist

    rows = [_histogram(pdist(cloud)[None], n_bins, 2 * largest_um) for cloud in centred(points_um)]
    return np.concatenate(rows) if rows else np.empty((0, n_bins))


def _histogram(values: np.ndarray, n_bins: int, end: float) -> np.ndarray:
    """Return shares of equal bins from 0 to `end` for each row: shape (m, k) to (m, n_bins)."""
    place = np.clip(values * (n_bins / end), 0, n_bins - 1).astype(np.int64)
    flat = place + n_bins * np.arange(len(values))[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_bins * len(values))
    return counts.reshape(len(values), n_bins) / max(values.shape[1], 1)


def harmonic_coefficients(points_um: np.ndarray, *, degree: int) -> np.ndarray:
    """Expand the distance from the mean, as a function of direction, in real spherical harmonics.

    Returns micrometres, shape (m, (degree + 1)^2): for each degree l from 0, orders -l to l (sine, then
    cosine). The coefficients are those of the least-squares fit ``r_i ~ sum_lm c_lm Y_lm(direction_i)`` over
    the points, with a small ridge for directions without points. Rotation only mixes them within each degree.

    Notes
    -----
    Source: the parametrisation of cells by Viana et al. 2023 (aicsshparam), which samples the radius of a
    closed mesh on a grid of directions; the fit needs neither a mesh nor one radius for each direction.
    """
    points = centred(points_um)
    radius = np.linalg.norm(points, axis=-1)
    basis = real_harmonics(points, radius, degree)
    gram = basis @ np.swapaxes(basis, -1, -2) / points.shape[-2]
    gram += _RIDGE * np.eye(gram.shape[-1])
    moments = basis @ radius[..., None] / points.shape[-2]
    return np.linalg.solve(gram, moments)[..., 0]


def harmonic_power(points_um: np.ndarray, *, degree: int) -> np.ndarray:
    """Return the norm of the coefficients of every degree, micrometres, shape (m, degree + 1).

    Invariant to rotation and shift.

    Notes
    -----
    Source: Kazhdan et al. 2003.
    """
    squares = harmonic_coefficients(points_um, degree=degree) ** 2
    return np.sqrt(np.add.reduceat(squares, np.arange(degree + 1) ** 2, axis=-1))


def real_harmonics(points: np.ndarray, radius: np.ndarray, degree: int) -> np.ndarray:
    """Evaluate orthonormal real spherical harmonics in the directions of points, shape (..., n, 3).

    Returns shape (..., (degree + 1)^2, n), in the order of `harmonic_coefficients`. `radius` (..., n) holds
    the distances from the origin; a point there counts as in direction z.

    Notes
    -----
    Source: the recurrences of normalised associated Legendre functions, in polynomials of the unit vector:
    no angle is computed, and the poles are nothing special.
    """
    unit = np.divide(points, radius[..., None], out=np.zeros_like(points), where=radius[..., None] > _TINY)
    z = np.where(radius > _TINY, unit[..., 2], 1.0)
    azimuth = unit[..., 0] + 1j * unit[..., 1]
    values = np.empty((*radius.shape[:-1], (degree + 1) ** 2, radius.shape[-1]))
    first = np.full(radius.shape, np.sqrt(1 / (4 * np.pi)), dtype=complex)
    for m in range(degree + 1):
        if m:
            first = first * azimuth * np.sqrt((2 * m + 1) / (2 * m))
        before, now = np.zeros_like(first), first
        for order in range(m, degree + 1):
            if order > m:
                ahead = np.sqrt((4 * order**2 - 1) / (order**2 - m**2))
                back = np.sqrt(((order - 1) ** 2 - m**2) / (4 * (order - 1) ** 2 - 1))
                before, now = now, ahead * (z * now - back * before)
            middle = order**2 + order
            values[..., middle + m, :] = now.real * (np.sqrt(2) if m else 1)
            if m:
                values[..., middle - m, :] = now.imag * np.sqrt(2)
    return values
