"""Whether a code stays the same when the object is turned."""

from __future__ import annotations

import numpy as np


def rotation_invariance_error(z: np.ndarray, z_rotated: np.ndarray) -> np.ndarray:
    """Compare codes of objects with the codes of the same objects rotated.

    Formula: ``||z_r - z|| / (||z|| + ||z_r||)``, Euclidean norms, pure number from 0 (invariant) to 1.
    Two zero codes agree: 0/0 counts as 0. A code that is not finite gives NaN.

    Parameters
    ----------
    z
        Codes in the observed pose, shape (n, D).
    z_rotated
        Codes after rotation, shape (n, D), or (r, n, D) for r rotations.

    Returns
    -------
    np.ndarray
        Shape (n,) or (r, n), float64.

    Raises
    ------
    ValueError
        When the shapes do not match.

    Notes
    -----
    Source: Vasan et al. 2025, "Rotation Invariance Error". They average the unrotated pose in as well,
    which scales the mean by 3/4; here the caller decides which rotations take part.
    """
    z, z_rotated = np.asarray(z, np.float64), np.asarray(z_rotated, np.float64)
    if z.ndim != 2 or z_rotated.shape[-2:] != z.shape or z_rotated.ndim > 3:
        raise ValueError(f"codes of shapes {z.shape} and {z_rotated.shape} cannot be compared")
    difference = np.linalg.norm(z_rotated - z, axis=-1)
    total = np.linalg.norm(z, axis=-1) + np.linalg.norm(z_rotated, axis=-1)
    return np.divide(difference, total, out=np.where(total == 0, 0.0, np.nan), where=total > 0)


def rotation_invariance_error_legacy(
    z: np.ndarray, z_rotated: np.ndarray, n_components: int | None = None
) -> np.ndarray:
    """Compare codes as published: a prefix of the code, and the unturned pose as a fourth row of zeros.

    Formula: `rotation_invariance_error` of the first components, for 0 degrees and the rotations given; its
    mean is 3/4 of that over three real rotations.

    Parameters
    ----------
    z
        Codes in the observed pose, shape (n, D).
    z_rotated
        Codes after the turns by 90, 180 and 270 degrees about z, shape (3, n, D).
    n_components
        Components to use, the first ones: the width of the narrowest model compared; None for all.

    Returns
    -------
    np.ndarray
        Shape (4, n): 0, 90, 180 and 270 degrees.

    Notes
    -----
    Source: Vasan et al. 2025, "Rotation Invariance Error".
    """
    z, z_rotated = np.asarray(z)[:, :n_components], np.asarray(z_rotated)[..., :n_components]
    return rotation_invariance_error(z, np.concatenate([z[None], z_rotated]))
