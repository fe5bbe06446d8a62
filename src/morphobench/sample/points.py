"""Points sampled from the voxels of a cell, bright ones more often the more skewed the intensities are."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from morphobench.errors import InputError
from morphobench.geometry import region
from morphobench.sample.reference import VARIANTS, Variant, darken, reference_image


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
    """Sample voxels of a cell with weights exp(k I / max I), see `log_weights`.

    Parameters
    ----------
    intensity_zyx
        Shape (z, y, x), camera counts; for "reference" those of `reference_encoding`.
    mask_zyx
        Same shape: bool, or 0, 1 (rim) and 2 (mask); voxels of 0 are never sampled.
    variant
        Key of `sample.reference.VARIANTS`: multiplier, floor, threshold and replacement.
    mode
        "corrected": statistics of the masked voxels only. "reference": of `reference_image`, with background
        and padding.
    center_zyx
        Origin, index of a voxel. Without it the centre of mass of the mask: of its voxels 2 where there are
        any; for "reference" rounded, and of the dilated mask for one variant.
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
    law = VARIANTS[variant]
    intensity_zyx, mask_zyx = np.asarray(intensity_zyx), np.asarray(mask_zyx)
    voxels = _candidates(intensity_zyx, mask_zyx, n_points, law, mode)
    if mode == "reference":
        image = reference_image(intensity_zyx, mask_zyx, law).ravel()
        counts, log_weight = image[voxels], log_weights(image, law.multiplier, law.floor)[voxels]
    else:
        counts = intensity_zyx.reshape(-1)[voxels]
        kept = darken(counts) if law.threshold else counts
        # A dark structure in a bright cell has negative skewness, which would draw the voxels without it.
        log_weight = log_weights(kept, law.multiplier, max(law.floor or 0, 0))
    index = sample_indices(log_weight, n_points, law.replacement, rng)
    if center_zyx is None:
        core_zyx = mask_zyx == region.MASK
        is_core = core_zyx.any() and not (mode == "reference" and law.dilated_centre)
        center_zyx = region.centre_of_mass(core_zyx if is_core else mask_zyx)
        center_zyx = np.floor(center_zyx + 0.5) if mode == "reference" else center_zyx
    places = np.stack(np.unravel_index(voxels[index], mask_zyx.shape), axis=1)
    noise = (rng.random((n_points, 3)) - 0.5) * jitter_voxel
    return np.column_stack([places + noise - center_zyx, counts[index]]).astype(np.float32)


def _candidates(
    intensity_zyx: np.ndarray, mask_zyx: np.ndarray, n_points: int, law: Variant, mode: str
) -> np.ndarray:
    """Return the flat indices of the voxels to sample from, after all checks."""
    if intensity_zyx.shape != mask_zyx.shape:
        shapes = f"shape {intensity_zyx.shape}, the mask {mask_zyx.shape}"
        raise InputError(f"the image has {shapes}. Use a mask of this image.")
    voxels = np.flatnonzero(mask_zyx)
    if not len(voxels):
        raise InputError("the mask is empty. Check the segmentation, or remove the cell.")
    if len(voxels) < n_points and not law.replacement:
        few = f"the mask has {len(voxels)} voxels, fewer than sample.points.n_points = {n_points}"
        raise InputError(f"{few}. Lower it, raise mask.dilation_voxel, or remove the cell.")
    counts = intensity_zyx if mode == "reference" else intensity_zyx.reshape(-1)[voxels]
    if n_bad := counts.size - np.count_nonzero(np.isfinite(counts)):
        raise InputError(f"{n_bad} of {counts.size} intensities are not finite. Check the image.")
    return voxels


def log_weights(counts: np.ndarray, multiplier: float, floor: float | None) -> np.ndarray:
    """Return the logarithm of each voxel's weight, k p.

    p = I / max I and k = K 3 (mean p - median p) / std p, at least `floor`: the multiplier K times Pearson's
    second coefficient of skewness, with the standard deviation of the population.

    Raises
    ------
    InputError
        When no intensity is positive, or all are equal.
    """
    most, least = float(counts.max()), float(counts.min())
    remedy = "Check that the channel is the right one, or remove the cell."
    if most <= 0:
        raise InputError(f"no intensity is above 0 (they go from {least:g} to {most:g}). {remedy}")
    if most == least:
        raise InputError(f"all {counts.size} intensities are {most:g}: zero variance. {remedy}")
    p = counts.astype(np.float64)
    p /= most
    k = multiplier * 3 * (p.mean() - np.median(p)) / p.std()
    p *= k if floor is None else max(k, floor)
    return p


def sample_indices(
    log_weight: np.ndarray, n_points: int, replacement: bool, rng: np.random.Generator
) -> np.ndarray:
    """Sample indices, in order, with probability proportional to exp(log_weight) without overflow.

    Without replacement: the largest of log_weight plus Gumbel noise have the law of drawing one by one
    (Efraimidis and Spirakis, Information Processing Letters 97, 2006; Kool et al., ICML 2019).
    """
    if replacement:
        # The cumulated weight ends on the total itself, so no draw lies beyond the last index.
        cumulated = np.exp(log_weight - log_weight.max()).cumsum()
        return np.searchsorted(cumulated, rng.random(n_points) * cumulated[-1], side="right")
    keys = rng.gumbel(size=len(log_weight))
    keys += log_weight
    largest = np.argpartition(keys, len(keys) - n_points)[len(keys) - n_points :]
    return largest[np.argsort(-keys[largest])]
