"""The in-plane long axis of a cell, and the rotation that lays it along x.

Angles are degrees from +x towards +y in index space, ``arctan2(e_y, e_x)`` of the axis e: counter-clockwise
seen against z with y upwards, clockwise on a screen that shows y downwards. Positions are in voxels, the
centre of voxel (k, j, i) at z, y, x = (k, j, i) + 1/2. Rotating by an angle means that an axis at that angle
ends up along x: p' = R(-angle) (p - c) + c about the centre c. The rotated frame so shares its origin with
the input and coincides with it for angle 0.
"""

from collections.abc import Sequence

import numpy as np

from morphobench.errors import InputError

# Below this relative difference of the two variances a mask has no long axis.
_ISOTROPIC = 1e-6
# Skewness of a shape that is its own half turn, up to rounding.
_SYMMETRIC = 1e-9

Box = tuple[slice, slice, slice]


def inplane_angle(mask_zyx: np.ndarray, *, unique: bool = False) -> float:
    """Return the angle of the long axis of a mask in the x, y plane, degrees in (-90, 90].

    The first principal component of the x and y coordinates of all mask voxels over all z, from the second
    moments of the projection along z; published as ``aicsshparam.shtools.align_image_2d``. 0 for a mask
    without a long axis (variances equal to within 1e-6).

    Parameters
    ----------
    unique
        Distinguish an axis from its half turn, degrees in (-180, 180]: the skewness of the coordinate along
        the axis is then zero or more, so that the longer tail lies at positive x after rotation.

    Raises
    ------
    InputError
        When the mask is empty.
    """
    counts, y, x = _projection(mask_zyx)
    total = counts.sum()
    y, x = y - counts @ y / total, x - counts @ x / total
    var_x, var_y, cov = counts @ x**2 / total, counts @ y**2 / total, counts @ (x * y) / total
    angle = _axis(var_x, var_y, cov)
    if angle is None:
        return 0.0
    if unique:
        along = x * np.cos(angle) + y * np.sin(angle)
        third, second = counts @ along**3 / total, counts @ along**2 / total
        if third < -_SYMMETRIC * second**1.5:
            angle += np.pi
    degrees = float(np.rad2deg(angle))
    half = 180 if unique else 90
    return half - (half - degrees) % (2 * half)


def inplane_elongation(mask_zyx: np.ndarray) -> float:
    """Return the standard deviation of a mask along its long axis in the x, y plane over that across it.

    1 for a mask without a long axis: near it `inplane_angle` is any angle, which a voxel more may turn by 90
    degrees. inf for a line of voxels.

    Raises
    ------
    InputError
        When the mask is empty.
    """
    counts, y, x = _projection(mask_zyx)
    y, x = y - np.average(y, weights=counts), x - np.average(x, weights=counts)
    return _elongation(np.cov(np.stack([y, x]), fweights=counts, ddof=0))


def _elongation(covariance: np.ndarray) -> float:
    across, along = np.sqrt(np.linalg.eigvalsh(covariance).clip(min=0))
    return float(along / across) if across > 1e-9 * along else (np.inf if along > 0 else 1.0)


def _axis(var_x: float, var_y: float, cov: float) -> float | None:
    """Return the angle of the first principal axis, radians, towards x >= 0; None without one."""
    if np.hypot(var_x - var_y, 2 * cov) <= _ISOTROPIC * (var_x + var_y):
        return None
    return float(np.arctan2(2 * cov, var_x - var_y) / 2)


def long_axis(covariance: np.ndarray) -> tuple[float, float]:
    """Return `inplane_angle` and `inplane_elongation` of what has this covariance (3, 3) of x, y, z."""
    angle = _axis(covariance[0, 0], covariance[1, 1], covariance[0, 1])
    return float(np.rad2deg(angle or 0.0)), _elongation(covariance[:2, :2])


def rotate_to_x(points_um: np.ndarray, angle_degrees: float) -> np.ndarray:
    """Rotate points (n, 3), x, y, z, about z, so that an axis at this angle comes to lie along x."""
    cos, sin = np.cos(np.deg2rad(angle_degrees)), np.sin(np.deg2rad(angle_degrees))
    return points_um @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def center_zyx(mask_zyx: np.ndarray) -> np.ndarray:
    """Return the centre of mass of a mask, shape (3,), voxels from its corner."""
    counts, y, x = _projection(mask_zyx)
    along_z = np.count_nonzero(mask_zyx, axis=(1, 2))
    z = np.arange(len(along_z)) + 0.5
    return np.array([along_z @ z, counts @ y, counts @ x]) / counts.sum()


def rotated_box(
    mask_zyx: np.ndarray, angle_degrees: float, center_zyx_voxel: Sequence[float], *, margin: int
) -> Box:
    """Return the box around a rotated mask with a margin in voxels, cut where the input ends.

    Its ranges are in the rotated frame, see the module: indices may be negative or exceed the input's shape.
    """
    _, y, x = _projection(mask_zyx)
    planes = np.flatnonzero(mask_zyx.any(axis=(1, 2)))
    n_z, n_y, n_x = mask_zyx.shape
    # The corners of a voxel reach this far beyond its centre along either rotated axis.
    angle = np.deg2rad(angle_degrees)
    reach = (abs(np.cos(angle)) + abs(np.sin(angle))) / 2
    corner_y, corner_x = np.array([[0, 0, n_y, n_y], [0, n_x, 0, n_x]])
    inside = _rotated(y, x, angle_degrees, center_zyx_voxel)
    corners = _rotated(corner_y, corner_x, angle_degrees, center_zyx_voxel)
    box = [slice(max(int(planes[0]) - margin, 0), min(int(planes[-1]) + 1 + margin, n_z))]
    for coordinate, limit in zip(inside, corners, strict=True):
        low = max(coordinate.min() - reach - margin, limit.min())
        high = min(coordinate.max() + reach + margin, limit.max())
        # Rounding errors of the rotation must not add a row.
        box.append(slice(int(np.floor(low + 1e-6)), int(np.ceil(high - 1e-6))))
    return tuple(box)


def rotate_inplane(
    volume_zyx: np.ndarray, angle_degrees: float, center_zyx_voxel: Sequence[float], *, order: int, box: Box
) -> np.ndarray:
    """Rotate a volume in the x, y plane so that an axis at an angle ends up along x.

    Parameters
    ----------
    order
        0, the nearest voxel, for labels, whose type is kept; 1, bilinear, for intensities, float32.
    box
        Part of the rotated frame to compute, see `rotated_box`.

    Returns
    -------
    numpy.ndarray
        Shape of the box; 0 where the voxel's centre lies outside the input, and never a blend with that 0.
    """
    planes = volume_zyx[box[0]]
    n_y, n_x = planes.shape[1:]
    y, x = np.mgrid[box[1], box[2]] + 0.5
    y, x = _rotated(y.ravel(), x.ravel(), -angle_degrees, center_zyx_voxel)
    inside = (y >= 0) & (y <= n_y) & (x >= 0) & (x <= n_x)
    kind = planes.dtype if order == 0 else np.dtype(np.float32)
    steps = [_neighbours(coordinate, n, order) for coordinate, n in ((y, n_y), (x, n_x))]
    taps = [
        (row * n_x + column, (weight_y * weight_x * inside).astype(kind))
        for row, weight_y in steps[0]
        for column, weight_x in steps[1]
    ]
    out = np.zeros((len(planes), len(y)), dtype=kind)
    for plane, result in zip(planes.reshape(len(planes), -1), out, strict=True):
        for index, weight in taps:
            result += weight * plane[index]
    return out.reshape(len(planes), box[1].stop - box[1].start, box[2].stop - box[2].start)


def _projection(mask_zyx: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nonzero columns of a mask: voxels in each, and the y and x of their centres, shape (n,)."""
    counts_yx = np.count_nonzero(mask_zyx, axis=0)
    y, x = np.nonzero(counts_yx)
    if len(y) == 0:
        raise InputError("the mask is empty. Remove the cell or restore its segmentation.")
    return counts_yx[y, x], y + 0.5, x + 0.5


def _rotated(
    y: np.ndarray, x: np.ndarray, angle_degrees: float, center_zyx_voxel: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return R(-angle) (p - c) + c of points p = (x, y)."""
    angle = np.deg2rad(angle_degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    _, center_y, center_x = center_zyx_voxel
    y, x = y - center_y, x - center_x
    return y * cos - x * sin + center_y, x * cos + y * sin + center_x


def _neighbours(coordinate: np.ndarray, n: int, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the voxels along an axis of n that a value at a coordinate is taken from, and their weights."""
    if order == 0:
        # The tolerance keeps angle 0 the identity whatever the rounding of the centre.
        nearest = np.floor(coordinate + 1e-9).astype(np.intp).clip(0, n - 1)
        return [(nearest, np.ones_like(nearest))]
    position = (coordinate - 0.5).clip(0, n - 1)
    low = np.floor(position).astype(np.intp)
    share = position - low
    return [(low, 1 - share), ((low + 1).clip(max=n - 1), share)]
