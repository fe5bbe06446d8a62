"""Harmonic shells: powers of spherical harmonics of a shape on concentric spheres."""

from functools import cache

import numpy as np

from morphobench.geometry.harmonics import real_harmonics, sphere_nodes

# Nodes beyond those that the largest degree needs, for what a shape has of higher ones.
_MORE_NODES = 9


def harmonic_shells(
    sdf_zyx: np.ndarray,
    rotations: np.ndarray,
    *,
    n_shells: int,
    degree: int,
    decay: float,
    scale_factor: float,
    sizes: bool = True,
) -> np.ndarray:
    """Return the descriptor of a shape under rotations (m, 3, 3), shape (m, n_shells (degree + 2)).

    The function ``exp(-(d / (decay r))^2)`` of the distance d from the surface, where r is the root mean
    square distance of the surface from its centre, is expanded on spheres about that centre, whose radii
    reach 2 r. For each shell: the three eigenvalues, rising, of the quadratic form that degrees 0 and 2 make
    together, then the norms of degrees 1, 3, 4, ... to `degree`. Shells are weighted by their radius, and
    all numbers together have norm 1. With `sizes`, the logarithm of r, micrometres, is the last column.

    Parameters
    ----------
    sdf_zyx
        Signed distances on the grid of stage `sample`, grid voxels, origin at index R // 2.
    scale_factor
        Grid voxels per micrometre.

    Notes
    -----
    Source: Kazhdan, Funkhouser and Rusinkiewicz 2003, with the Gaussian of the distance from the surface as
    in their program; invariant to rotation, shift and (by the norm) scale, and to mirroring.
    """
    centre, radius = _surface_moments(sdf_zyx)
    unit, expand = _nodes(degree)
    shells = (np.arange(n_shells) + 0.5) * (2 * radius / n_shells)
    points = centre + (unit @ rotations).reshape(len(rotations), 1, -1, 3) * shells[:, None, None]
    field = np.exp(-((_distance(sdf_zyx, points) / (decay * radius)) ** 2))
    powers = _powers(field @ expand, degree) * shells[:, None]
    powers = powers.reshape(len(rotations), -1)
    powers /= np.linalg.norm(powers, axis=1, keepdims=True)
    size = np.full((len(rotations), 1), np.log(radius / scale_factor))
    return np.concatenate([powers, size], axis=1) if sizes else powers


@cache
def _nodes(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return directions, and the matrix that turns values there into coefficients."""
    unit, weights = sphere_nodes(degree + _MORE_NODES)
    return unit, (real_harmonics(unit, np.ones(len(unit)), degree) * weights).T


def _surface_moments(sdf_zyx: np.ndarray) -> tuple[np.ndarray, float]:
    """Return centre (x, y, z from the origin) and root mean square radius of the surface, voxels."""
    weights = np.clip(1 - np.abs(sdf_zyx.astype(np.float64)), 0, None)
    where = np.argwhere(weights > 0)
    weights, points = weights[tuple(where.T)], where[:, ::-1] - np.array(sdf_zyx.shape[::-1]) // 2
    centre = weights @ points / weights.sum()
    return centre, float(np.sqrt(weights @ ((points - centre) ** 2).sum(axis=1) / weights.sum()))


def _distance(sdf_zyx: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Interpolate distances at points (..., 3), voxels; beyond the grid, the way to its border is added."""
    from scipy.ndimage import map_coordinates

    last = len(sdf_zyx) - 1
    index = points[..., ::-1] + len(sdf_zyx) // 2
    within = np.clip(index, 0, last)
    inside = map_coordinates(sdf_zyx, np.moveaxis(within, -1, 0), order=1, output=np.float64)
    return inside + np.linalg.norm(index - within, axis=-1)


def _powers(coefficients: np.ndarray, degree: int) -> np.ndarray:
    """Turn coefficients (..., (degree + 1)^2) into numbers that no rotation changes, (..., degree + 2)."""
    norms = np.sqrt(np.add.reduceat(coefficients**2, np.arange(degree + 1) ** 2, axis=-1))
    form = _quadratic_form(coefficients)
    return np.concatenate([np.linalg.eigvalsh(form), norms[..., [1, *range(3, degree + 1)]]], axis=-1)


def _quadratic_form(coefficients: np.ndarray) -> np.ndarray:
    """Return degrees 0 and 2 as a symmetric matrix whose norm is that of the function, (..., 3, 3)."""
    xy, yz, zz, xz, xx_yy = np.moveaxis(coefficients[..., 4:9], -1, 0) / np.sqrt(2)
    trace, third = coefficients[..., 0] / np.sqrt(3), zz / np.sqrt(3)
    rows = [
        [trace - third + xx_yy, xy, xz],
        [xy, trace - third - xx_yy, yz],
        [xz, yz, trace + 2 * third],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
