"""Cubes resampled from volumes: the single-channel image that image models read."""

from collections.abc import Sequence

import numpy as np

from morphobench.errors import InputError
from morphobench.geometry import region

TOP = 65535


def to_cube(
    intensity_zyx: np.ndarray,
    mask_zyx: np.ndarray,
    *,
    center_zyx: Sequence[float],
    spacing_um: float,
    size: int,
    side_um: float,
    clip: tuple[float, float] | None = None,
    crop: bool = False,
) -> np.ndarray:
    """Resample a cell into a centred cube of isotropic voxels, its intensities scaled to 0 to 65535.

    Parameters
    ----------
    intensity_zyx, mask_zyx
        Camera counts and mask, of one shape (z, y, x); the cube is empty where the mask is 0.
    center_zyx
        Index into the volume that falls on the middle of the cube.
    spacing_um
        Edge of a voxel of the volume.
    size, side_um
        Voxels per side, and side of the cube.
    clip
        Camera counts that become 0 and 65535; without it the least and the largest in the mask.
    crop
        Cut off what lies outside the cube instead of refusing the cell.

    Returns
    -------
    numpy.ndarray
        Shape (size, size, size), axes z, y, x, uint16. Where voxels of the cube are the larger ones, each is
        the mean over its space, which keeps the integral; otherwise trilinear.

    Raises
    ------
    InputError
        When the cell leaves the cube and `crop` is not set, when the mask is empty, or the range is.
    """
    inside_zyx = np.asarray(mask_zyx) != 0
    if not inside_zyx.any():
        raise InputError("the mask is empty. Check the segmentation, or remove the cell.")
    box = region.bounds(inside_zyx)
    if not crop:
        _check_fits(box, center_zyx, spacing_um, side_um)
    inside_zyx, intensity_zyx = inside_zyx[box], np.asarray(intensity_zyx)[box]
    inside = intensity_zyx[inside_zyx]
    low, high = (float(inside.min()), float(inside.max())) if clip is None else clip
    if not high > low:
        raise InputError(f"the intensity range {low:g} to {high:g} counts is empty. Check mask.clip.")
    # 0 to 1 in the mask, 0 outside.
    scaled_zyx = (intensity_zyx.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    cube_zyx = np.where(inside_zyx, scaled_zyx.clip(0, 1), np.float32(0))
    for axis, (span, center) in enumerate(zip(box, center_zyx, strict=True)):
        operator = resampling(span.stop - span.start, center - span.start, spacing_um, size, side_um)
        cube_zyx = np.moveaxis(np.tensordot(operator, cube_zyx, axes=(1, axis)), 0, axis)
    return np.rint(cube_zyx * np.float32(TOP)).clip(0, TOP).astype(np.uint16)


def _check_fits(box: Sequence[slice], center_zyx: Sequence[float], spacing_um: float, side_um: float) -> None:
    # A voxel reaches half an edge beyond its index.
    pairs = zip(box, center_zyx, strict=True)
    reach = max(max(center - span.start, span.stop - 1 - center) + 0.5 for span, center in pairs)
    needed_um = 2 * reach * spacing_um
    # The slack absorbs rounding: a cell as large as the cube fits.
    if needed_um > side_um * (1 + 1e-9):
        large = f"the cell needs a cube of {needed_um:.3f} um, sample.cube.side_um = {side_um:g}"
        raise InputError(f"{large}. Raise it to at least {needed_um:.3f}, or set sample.cube.crop.")


def resampling(n: int, center: float, spacing_um: float, size: int, side_um: float) -> np.ndarray:
    """Return the linear operator (size, n), float32, that resamples n voxels of one axis; see `to_cube`.

    Shares of overlap over the width of the cube's voxel when shrinking, weights of linear interpolation at
    its centre when enlarging; the volume counts as 0 outside.
    """
    edge = side_um / size / spacing_um
    places = (np.arange(size) - (size - 1) / 2) * edge + center
    index = np.arange(n)
    if edge <= 1:
        return np.clip(1 - np.abs(places[:, None] - index), 0, None).astype(np.float32)
    upper = np.minimum(places[:, None] + edge / 2, index + 0.5)
    lower = np.maximum(places[:, None] - edge / 2, index - 0.5)
    return (np.clip(upper - lower, 0, None) / edge).astype(np.float32)
