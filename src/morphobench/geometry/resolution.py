"""Volumes at half their resolution."""

import numpy as np

# Share of a voxel of twice the edge that each voxel around its middle makes up.
_WEIGHTS = (0.25, 0.5, 0.25)


def half_resolution(volumes_zyx: np.ndarray) -> np.ndarray:
    """Return volumes (..., s, s, s) as voxels of twice the edge hold them, on the same grid, float32.

    Means over voxels of twice the edge, centred on every second voxel, are interpolated linearly in between.
    """
    from scipy.ndimage import convolve1d

    halved = np.asarray(volumes_zyx, np.float32)
    for axis in (-3, -2, -1):
        means = convolve1d(halved, _WEIGHTS, axis=axis, mode="nearest")
        coarse = means.take(range(0, halved.shape[axis], 2), axis=axis)
        below = np.arange(halved.shape[axis]) // 2
        above = (np.arange(halved.shape[axis]) + 1) // 2
        above = above.clip(max=coarse.shape[axis] - 1)
        halved = (coarse.take(below, axis=axis) + coarse.take(above, axis=axis)) / 2
    return halved
