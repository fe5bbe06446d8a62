"""Constants of the point samplers, and the image encodings of mode "reference" that they were applied to.

Source: Vasan et al., Nature Methods 2025, preprocessing of PCNA, nuclear and cytoplasmic structures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.geometry.region import fit_to_box

# Outside the mask the uint16 images of the paper are -1 wrapped around; its samplers take that for absent.
OUTSIDE_COUNTS = 65535
BRIGHT_COUNTS = 60000
TOP_COUNTS = 65535


class Variant(NamedTuple):
    """Constants of one sampler, the last five for mode "reference" only."""

    # Factor K on the skewness, and least value of the exponent's factor.
    multiplier: float
    floor: float | None = None
    replacement: bool = False
    # Voxels up to the mean of the distinct values are dark.
    threshold: bool = False
    # Values from `BRIGHT_COUNTS` up become the minimum.
    bright_filter: bool = True
    # The image is the one registered in the common box.
    boxed: bool = True
    # A cell's intensity range, where it has one, is stretched over 1 to 65535.
    normalised: bool = False
    # Counts from here up become 0.
    gate_counts: float | None = None
    # Points are centred on the dilated mask, not on the mask itself.
    dilated_centre: bool = False


VARIANTS = {
    "pcna": Variant(100, gate_counts=4000),
    "nuclear": Variant(100, normalised=True),
    "cytoplasmic": Variant(
        500, 25, replacement=True, threshold=True, bright_filter=False, boxed=False, dilated_centre=True
    ),
}


def reference_encoding(
    intensity_zyx: np.ndarray,
    mask_zyx: np.ndarray,
    *,
    variant: str,
    box_zyx: Sequence[int],
    clip: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Encode a cell as the paper's pipeline stored it before sampling.

    It wrote uint16 after masking and, after registration in the common box, int32 that is one less:
    counts minus one in the mask, 65534 beside it and -1 in the padding; with a range, 0 to 65534 in the mask
    and -1 everywhere else. Cytoplasmic cells were sampled from the raw crop instead: their counts return as
    they are, without the box.

    Parameters
    ----------
    intensity_zyx, mask_zyx
        Camera counts and mask, of one shape (z, y, x); non-zero is the dilated mask.
    variant
        Key of `VARIANTS`.
    clip
        Range, camera counts, for variants that were normalised; None leaves counts.

    Returns
    -------
    tuple of numpy.ndarray
        Intensities, int32, and the mask with its own values, both in the box.
    """
    law, counts, mask_zyx = VARIANTS[variant], np.asarray(intensity_zyx), np.asarray(mask_zyx)
    if not law.boxed:
        return np.rint(counts).astype(np.int32), mask_zyx
    if law.gate_counts is not None:
        counts = np.where(counts >= law.gate_counts, 0, counts)
    if clip is None or not law.normalised:
        stored, outside = np.rint(counts), OUTSIDE_COUNTS
    else:
        low, high = clip
        stretched = (np.clip(counts, low, high).astype(np.float64) - low) / (high - low)
        stored, outside = 1 + (TOP_COUNTS - 1) * stretched, 0
    stored = np.where(mask_zyx != 0, stored, outside).astype(np.int32)
    boxed = fit_to_box(stored, box_zyx, background=-1)
    return np.maximum(boxed - 1, -1), fit_to_box(mask_zyx, box_zyx, background=0)


def reference_image(encoded_zyx: np.ndarray, mask_zyx: np.ndarray, variant: Variant) -> np.ndarray:
    """Return the image that mode "reference" takes intensities and statistics from, float64.

    The image of `reference_encoding`, with the global minimum outside the mask and for overbright values, and
    0 under the threshold.
    """
    image_zyx = np.asarray(encoded_zyx, dtype=np.float64)
    least = image_zyx.min()
    keep = np.asarray(mask_zyx) != 0
    if variant.bright_filter:
        keep &= image_zyx < BRIGHT_COUNTS
    image_zyx = np.where(keep, image_zyx, least)
    return darken(image_zyx) if variant.threshold else image_zyx


def darken(counts: np.ndarray) -> np.ndarray:
    """Set to 0 what does not exceed the mean of the distinct values.

    Interpolated images hold hardly any value twice, which would make this the plain mean; values are
    therefore compared as whole counts, as the camera recorded them.
    """
    threshold = np.unique(np.rint(counts)).mean()
    return np.where(counts <= threshold, 0, counts)
