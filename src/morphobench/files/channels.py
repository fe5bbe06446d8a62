"""Faults of one channel in one cell: dead, constant or saturated. They are marked, and alter nothing."""

import numpy as np

DEAD, CONSTANT, SATURATED = "dead", "constant", "saturated"


def fault(volume_zyx: np.ndarray, mask_zyx: np.ndarray, saturated_share: float) -> str:
    """Return what is wrong with a channel, empty for nothing.

    `DEAD` is zero everywhere in the crop, `CONSTANT` has one value in the mask; `SATURATED` holds, in at
    least this share of the mask's voxels, the largest number of a camera: 2^n - 1 from 8 bits on, or 1 in
    fractions.
    """
    if not volume_zyx.any():
        return DEAD
    inside = volume_zyx[mask_zyx]
    if not inside.size or not (high := inside.max()) > inside.min():
        return CONSTANT
    if _is_full_scale(float(high)) and np.count_nonzero(inside == high) >= saturated_share * inside.size:
        return SATURATED
    return ""


def _is_full_scale(value: float) -> bool:
    return value == 1 or (value >= 2**8 - 1 and np.log2(value + 1).is_integer())
