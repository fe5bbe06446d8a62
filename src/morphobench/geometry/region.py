"""Masks as regions: bounding box, centre of mass, dilation, and fitting a volume into a box."""

from collections.abc import Mapping, Sequence

import numpy as np

AXES = "zyx"
# Labels of a stored mask: beside it, the rim that dilation added, the mask itself.
OUTSIDE, RIM, MASK = 0, 1, 2


def bounds(mask_zyx: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the bounding box of a mask with at least one voxel, first and last plane included."""
    from scipy import ndimage

    return ndimage.find_objects((mask_zyx != 0).view(np.int8))[0]


def centre_of_mass(mask_zyx: np.ndarray) -> np.ndarray:
    """Return the mean index of the non-zero voxels, shape (3,); whole numbers are voxel centres."""
    planes = [np.count_nonzero(mask_zyx, axis=others) for others in ((1, 2), (0, 2), (0, 1))]
    return np.array([in_plane @ np.arange(len(in_plane)) / in_plane.sum() for in_plane in planes])


def dilate_ball(mask_zyx: np.ndarray, radius_voxel: float) -> np.ndarray:
    """Add every voxel whose centre lies within `radius_voxel` of the centre of a non-zero voxel.

    The squared distance is the sum of one parabola per axis, so its minimum over the mask is found axis after
    axis (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012), here over the few offsets that matter.
    The result, bool, is `padding(radius_voxel)` voxels larger on every side.
    """
    reach = padding(radius_voxel)
    squares = {offset: offset**2 for offset in range(-reach, reach + 1)}
    return _nearest(np.pad(mask_zyx, reach), squares, int(radius_voxel**2))


def dilate_box(mask_zyx: np.ndarray, half_voxel: int) -> np.ndarray:
    """Dilate with a cube of even side 2 * half_voxel, offsets -half_voxel to half_voxel - 1, published: 4.

    The asymmetry is that of `scipy.ndimage.binary_dilation` with an even structuring element. The result,
    bool, is `half_voxel` voxels larger on every side.
    """
    nothing = dict.fromkeys(range(-half_voxel, half_voxel) or (0,), 0)
    return _nearest(np.pad(mask_zyx, half_voxel), nothing, 0)


def padding(radius_voxel: float) -> int:
    """Return by how many voxels a dilation enlarges a volume on every side."""
    return int(radius_voxel)


def _nearest(mask_zyx: np.ndarray, costs: Mapping[int, int], limit: int) -> np.ndarray:
    """Return where the cheapest sum of one offset per axis from a mask voxel costs at most `limit`."""
    kind = np.min_scalar_type(2 * limit + 1)
    cost_zyx = np.where(mask_zyx != 0, kind.type(0), kind.type(limit + 1))
    for axis in range(3):
        # Beyond the limit everything is equal, and capped costs plus one offset's never overflow.
        spread_zyx = np.full_like(cost_zyx, cost_zyx.max())
        source, target = np.moveaxis(cost_zyx, axis, 0), np.moveaxis(spread_zyx, axis, 0)
        for offset, cost in costs.items():
            to, come = (slice(max(o, 0), len(source) + min(o, 0)) for o in (offset, -offset))
            np.minimum(target[to], source[come] + kind.type(cost), out=target[to])
        cost_zyx = spread_zyx
    return cost_zyx <= limit


def fits(shape_zyx: Sequence[int], box_zyx: Sequence[int]) -> dict[str, bool]:
    """Return for each axis whether a volume fits the box, as columns fits_z, fits_y, fits_x."""
    return {f"fits_{name}": bool(n <= m) for name, n, m in zip(AXES, shape_zyx, box_zyx, strict=True)}


def offset_in_box(shape_zyx: Sequence[int], box_zyx: Sequence[int]) -> np.ndarray:
    """Return where the first voxel of a centred volume falls, negative where the volume is the larger.

    Half the difference rounded down, before the volume or cut off it (published stage `register`).
    """
    return np.trunc(np.subtract(box_zyx, shape_zyx) / 2).astype(np.int64)


def crop_to_box(volume_zyx: np.ndarray, box_zyx: Sequence[int]) -> np.ndarray:
    """Return the central part of a volume that lies in the box (a view); smaller axes stay as they are."""
    starts = np.maximum(-offset_in_box(volume_zyx.shape, box_zyx), 0)
    return volume_zyx[tuple(slice(start, start + n) for start, n in zip(starts, box_zyx, strict=True))]


def fit_to_box(volume_zyx: np.ndarray, box_zyx: Sequence[int], background: float) -> np.ndarray:
    """Centre a volume in a box: pad it with `background` where it is smaller, crop it where it is larger."""
    inside = crop_to_box(volume_zyx, box_zyx)
    before = offset_in_box(inside.shape, box_zyx)
    after = np.asarray(box_zyx) - inside.shape - before
    return np.pad(inside, np.stack([before, after], axis=1), constant_values=background)
