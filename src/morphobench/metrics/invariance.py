"""Rotation invariance error of embeddings."""

import numpy as np


def rotation_invariance_error(z: np.ndarray, z_rotated: np.ndarray) -> np.ndarray:
    """Relative distance between embeddings of objects and of the same objects rotated.

    Formula: ``||z_r - z|| / (||z|| + ||z_r||)``, from 0 (invariant) to 1; two zero embeddings agree (0), an
    embedding that is not finite gives NaN. `z` has shape (n, D), `z_rotated` (n, D) or (r, n, D) for r
    rotations, the result (n,) or (r, n).

    Source: Vasan et al. 2025, "Rotation Invariance Error". They average the unrotated pose in as well, which
    scales the mean by 3/4; here the caller decides which rotations take part.

    Raises
    ------
    ValueError
        When the shapes do not match.
    """
    z, z_rotated = np.asarray(z, np.float64), np.asarray(z_rotated, np.float64)
    if z.ndim != 2 or z_rotated.shape[-2:] != z.shape or z_rotated.ndim > 3:
        raise ValueError(f"embeddings of shapes {z.shape} and {z_rotated.shape} cannot be compared")
    difference = np.linalg.norm(z_rotated - z, axis=-1)
    total = np.linalg.norm(z, axis=-1) + np.linalg.norm(z_rotated, axis=-1)
    return np.divide(difference, total, out=np.where(total == 0, 0.0, np.nan), where=total > 0)


def rotation_invariance_error_legacy(
    z: np.ndarray, z_rotated: np.ndarray, n_components: int | None = None
) -> np.ndarray:
    """Rotation invariance error as published, shape (4, n): 0, 90, 180 and 270 degrees about z.

    Of the first `n_components` alone (the width of the narrowest model compared; None for all), the
    unrotated pose included as zeros. `z_rotated`, shape (3, n, D), holds the three other angles.
    """
    z, z_rotated = np.asarray(z)[:, :n_components], np.asarray(z_rotated)[..., :n_components]
    return rotation_invariance_error(z, np.concatenate([z[None], z_rotated]))
