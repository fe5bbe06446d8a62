"""What counts as foreground in an image that is given as a segmentation."""

from __future__ import annotations

import numpy as np

from morphobench.errors import InputError

# Linear interpolation leaves 0 to 1 by rounding errors.
_ROUNDING = 1e-4


def occupancy(volume_zyx: np.ndarray) -> np.ndarray:
    """Return how much of each voxel is foreground.

    Where all values are whole numbers, masks (0 and 1, 0 and 255) and labels of any number of pieces, every
    value above 0 is foreground. Values with fractions must lie from 0 to 1: they are probabilities, or a mask
    that was interpolated, and stay. Foreground is what is at least a half.

    Parameters
    ----------
    volume_zyx
        Segmentation of any type.

    Returns
    -------
    numpy.ndarray
        float32, 0 to 1, same shape.

    Raises
    ------
    InputError
        When values are not finite, or have fractions and leave 0 to 1: no segmentation but intensities.
    """
    whole = True
    if volume_zyx.dtype.kind == "f":
        if not np.isfinite(volume_zyx).all():
            n_bad = int(volume_zyx.size - np.count_nonzero(np.isfinite(volume_zyx)))
            raise InputError(f"{n_bad} voxels of the segmentation are not finite. Export it again.")
        whole = bool((volume_zyx == np.rint(volume_zyx)).all())
    if whole:
        return (volume_zyx > 0).astype(np.float32)
    low, high = float(volume_zyx.min()), float(volume_zyx.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise InputError(
            f"the segmentation runs from {low:g} to {high:g} in fractions; expected whole numbers (above 0 "
            "is foreground) or 0 to 1 (at least 0.5 is). Check that the channel is the segmentation."
        )
    return np.clip(volume_zyx, 0, 1).astype(np.float32)


def foreground(volume_zyx: np.ndarray) -> np.ndarray:
    """Return the foreground of a segmentation, bool; see `occupancy`."""
    return occupancy(volume_zyx) >= 0.5
