"""Points drawn from the voxels of a cell, bright ones more often the more skewed the intensities are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from morphobench.errors import InputError
from morphobench.geometry import region
from morphobench.sample.reference import VARIANTS, Variant, darkened, reference_image


def sample_points(
    intensity_zyx: np.ndarray,
    mask_zyx: np.ndarray,
    *,
    n_points: int,
    variant: str,
    rng: np.random.Generator,
    mode: Literal["corrected", "reference"] = "corrected",
    center_zyx: Sequence[float] | None = None,
    jitter_voxel: float = 0.001,
) -> np.ndarray:
    """Draw voxels of a cell with weights exp(k I / max I), see `log_weights`.

    "corrected" knows the masked voxels only. "reference" is the published law on the published image, which
    `reference_encoding` makes: background and padding are part of its statistics.

    Parameters
    ----------
    intensity_zyx
        Shape (z, y, x), camera counts; for "reference" the published encoding.
    mask_zyx
        Same shape: bool, or 0, 1 (rim) and 2 (mask); what is not 0 may be drawn.
    n_points
        Number of points.
    variant
        Key of `sample.reference.VARIANTS`: multiplier, floor, threshold and replacement.
    rng
        Source of randomness.
    mode
        "corrected" or "reference".
    center_zyx
        Origin, index of a voxel. Without it the centre of mass of the mask: of its voxels 2 where there are
        any; for "reference" rounded, and of the dilated mask for the variant that was published so.
    jitter_voxel
        Width of the uniform noise on each coordinate, voxels; it keeps points of one voxel apart.

    Returns
    -------
    numpy.ndarray
        Shape (n_points, 4), float32: z, y, x in voxels relative to the centre, and the voxel's intensity.

    Raises
    ------
    InputError
        When the shapes differ; when the mask is empty or too small; when intensities are not finite, not
        positive, or all equal.
    """
    settings = VARIANTS[variant]
    intensity_zyx, mask_zyx = np.asarray(intensity_zyx), np.asarray(mask_zyx)
    voxels = _voxels(intensity_zyx, mask_zyx, n_points, settings, mode)
    if mode == "reference":
        image = reference_image(intensity_zyx, mask_zyx, settings).ravel()
        counts, log_weight = image[voxels], log_weights(image, settings.multiplier, settings.floor)[voxels]
    else:
        counts = intensity_zyx.reshape(-1)[voxels]
        seen = darkened(counts) if settings.threshold else counts
        # A dark structure in a bright cell has negative skewness, which would draw the voxels without it.
        log_weight = log_weights(seen, settings.multiplier, max(settings.floor or 0, 0))
    drawn = draw(log_weight, n_points, settings.replacement, rng)
    if center_zyx is None:
        center_zyx = _center(mask_zyx, settings, mode)
    places = np.stack(np.unravel_index(voxels[drawn], mask_zyx.shape), axis=1)
    noise = (rng.random((n_points, 3)) - 0.5) * jitter_voxel
    return np.column_stack([places + noise - center_zyx, counts[drawn]]).astype(np.float32)


def _voxels(
    intensity_zyx: np.ndarray, mask_zyx: np.ndarray, n_points: int, settings: Variant, mode: str
) -> np.ndarray:
    """Return the flat indices of the voxels that may be drawn, after all checks."""
    if intensity_zyx.shape != mask_zyx.shape:
        raise InputError(
            f"the image has shape {intensity_zyx.shape}, the mask {mask_zyx.shape}. Use a mask of this image."
        )
    voxels = np.flatnonzero(mask_zyx)
    if not len(voxels):
        raise InputError("the mask is empty. Check the segmentation, or remove the cell.")
    if len(voxels) < n_points and not settings.replacement:
        raise InputError(
            f"the mask has {len(voxels)} voxels, fewer than sample.points.n_points = {n_points} to draw "
            "without replacement. Lower n_points, raise mask.dilation_voxel, or remove the cell."
        )
    looked_at = intensity_zyx if mode == "reference" else intensity_zyx.reshape(-1)[voxels]
    n_bad = int(looked_at.size - np.count_nonzero(np.isfinite(looked_at)))
    if n_bad:
        raise InputError(f"{n_bad} of {looked_at.size} intensities are not finite. Check the image.")
    return voxels


def _center(mask_zyx: np.ndarray, settings: Variant, mode: str) -> np.ndarray:
    core_zyx = mask_zyx == region.MASK
    if (mode == "reference" and settings.dilated_centre) or not core_zyx.any():
        core_zyx = mask_zyx
    center_zyx = region.centre_of_mass(core_zyx)
    return np.floor(center_zyx + 0.5) if mode == "reference" else center_zyx


def log_weights(counts: np.ndarray, multiplier: float, floor: float | None) -> np.ndarray:
    """Return the logarithm of each voxel's weight, k p.

    p = I / max I and k = K 3 (mean p - median p) / std p: K times Pearson's second coefficient of skewness,
    with the standard deviation of the population.

    Parameters
    ----------
    counts
        Intensities, any shape.
    multiplier
        K.
    floor
        Least k, None for none.

    Returns
    -------
    numpy.ndarray
        float64, same shape; at most 3 K in size.

    Raises
    ------
    InputError
        When no intensity is positive, or all are equal.
    """
    most, least = float(counts.max()), float(counts.min())
    if most <= 0:
        raise InputError(
            f"no intensity is above 0 (they go from {least:g} to {most:g}). Check that the channel is the "
            "right one, or remove the cell."
        )
    if most == least:
        raise InputError(
            f"all {counts.size} intensities are {most:g}: zero variance. Check that the channel is the right "
            "one, or remove the cell."
        )
    p = counts.astype(np.float64)
    p /= most
    k = multiplier * 3 * (p.mean() - np.median(p)) / p.std()
    p *= k if floor is None else max(k, floor)
    return p


def draw(log_weight: np.ndarray, n_points: int, replacement: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw indices with probability proportional to exp(log_weight), whatever the size of the logarithms.

    Without replacement: the largest of log_weight plus Gumbel noise have the law of drawing one by one
    (Efraimidis and Spirakis, Information Processing Letters 97, 2006; Kool et al., ICML 2019).

    Parameters
    ----------
    log_weight
        Shape (n,), float64.
    n_points
        Number of draws; at most n without replacement.
    replacement
        Draw with replacement.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Shape (n_points,), int64, in the order drawn.
    """
    if replacement:
        # The cumulated weight ends on the total itself, so no draw lies beyond the last index.
        cumulated = np.exp(log_weight - log_weight.max()).cumsum()
        return np.searchsorted(cumulated, rng.random(n_points) * cumulated[-1], side="right")
    keys = rng.gumbel(size=len(log_weight))
    keys += log_weight
    drawn = np.argpartition(keys, len(keys) - n_points)[len(keys) - n_points :]
    return drawn[np.argsort(-keys[drawn])]
