"""Shape descriptors of point clouds, without training.

Clouds have shape (m, n, 3), micrometres; results have one row per cloud.
"""

import numpy as np

from morphobench.geometry.harmonics import real_harmonics

_RIDGE = 1e-3


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


def distance_histograms(
    points_um: np.ndarray, *, n_bins: int, largest: float = 3.0, sizes: bool = True
) -> np.ndarray:
    """Return histograms of distances between points and from their mean, each in units of its own mean.

    Shape (m, 2 n_bins); bins are equal from 0 to `largest`, and the last one takes what is beyond. With
    `sizes`, the logarithm of the mean distance between points, micrometres, is the last column.

    Notes
    -----
    Source: D2, and distances from the centre as of D1, Osada et al. 2002.
    """
    from scipy.spatial.distance import pdist

    rows = []
    for cloud in centred(points_um):
        pairs, radii = pdist(cloud), np.linalg.norm(cloud, axis=-1)
        shares = [_histogram(d[None] / d.mean(), n_bins, largest)[0] for d in (pairs, radii)]
        rows.append(np.concatenate([*shares, [np.log(pairs.mean())] if sizes else []]))
    return np.stack(rows)


def measures(points_um: np.ndarray, *, volume_um3: float, area_um2: float) -> np.ndarray:
    """Return volume, area, sphericity, solidity and principal moments of a shape, shape (m, 7).

    Solidity is the volume over that of the convex hull of `points_um`, which lie on the surface: with few, it
    is too large. The moments of inertia of the surface are given as its standard deviations along the
    principal axes, micrometres, longest first.
    """
    from scipy.spatial import ConvexHull

    sphericity = np.pi ** (1 / 3) * (6 * volume_um3) ** (2 / 3) / area_um2
    rows = []
    for cloud in centred(points_um):
        # Joggled, points in a plane have a hull, too.
        solidity = volume_um3 / ConvexHull(cloud, qhull_options="QJ").volume
        variances = np.linalg.eigvalsh(cloud.T @ cloud / len(cloud))[::-1]
        rows.append([volume_um3, area_um2, sphericity, solidity, *np.sqrt(variances.clip(0))])
    return np.array(rows)


def principal_axes(points_um: np.ndarray) -> np.ndarray:
    """Return the principal axes of each cloud as a rotation matrix, row by row, shape (m, 9).

    Columns of the matrix are the axes, longest first; the first two point to the longer tail of the points
    (positive skewness), the third makes them right-handed. A control: the pose of a cell and nothing else.
    """
    clouds = centred(points_um)
    _, axes = np.linalg.eigh(np.swapaxes(clouds, -1, -2) @ clouds)
    axes = axes[..., ::-1]
    skewness = ((clouds @ axes) ** 3).sum(axis=-2)
    axes = axes * np.where(skewness < 0, -1, 1)[:, None]
    axes[..., 2] = np.cross(axes[..., 0], axes[..., 1])
    return axes.reshape(-1, 9)


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
