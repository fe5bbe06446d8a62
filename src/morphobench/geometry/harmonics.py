"""Real spherical harmonics, and nodes for integrals over the sphere."""

import numpy as np

_TINY = 1e-12


def sphere_nodes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors, shape (2 n^2, 3), and their weights, which sum to 4 pi.

    Integrals of products of two harmonics of degrees below `n` are exact: Gauss-Legendre nodes along z, equal
    steps around it.
    """
    z, weights = np.polynomial.legendre.leggauss(n)
    azimuth = np.pi * np.arange(2 * n) / n
    flat = np.sqrt(1 - z**2)
    unit = [np.outer(flat, np.cos(azimuth)), np.outer(flat, np.sin(azimuth)), np.outer(z, np.ones(2 * n))]
    return np.stack(unit, axis=-1).reshape(-1, 3), np.repeat(weights * np.pi / n, 2 * n)


def real_harmonics(points: np.ndarray, radius: np.ndarray, degree: int) -> np.ndarray:
    """Evaluate orthonormal real spherical harmonics in the directions of points, shape (..., n, 3).

    Returns shape (..., (degree + 1)^2, n), for each degree l from 0 the orders -l to l (sine, then cosine).
    `radius` (..., n) holds the distances from the origin; a point there counts as in direction z.

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
