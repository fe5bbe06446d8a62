"""Label images: the foreground of a segmentation, and the boxes and masks of single cells."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from morphobench.errors import InputError

_MAX_LABEL = 2**24
# Structures of so many pieces or more have one label.
_MANY = 5
# Linear interpolation leaves 0 to 1 by rounding errors.
_ROUNDING = 1e-4


class Crop(NamedTuple):
    """A labelled cell in its field of view.

    `box` holds slices along z, y, x: the bounding box and a margin, cut at the borders of the field;
    `touches_border` whether a voxel of the cell lies at the border, so that part of it may be missing.
    """

    label: int
    box: tuple[slice, slice, slice]
    touches_border: bool


def piece_label(n_pieces: int) -> str:
    """Return the label of a number of pieces: "1" to "4", or ">=5"."""
    return str(n_pieces) if n_pieces < _MANY else f">={_MANY}"


def find_cells(
    label_zyx: np.ndarray, spacing_um_zyx: Sequence[float], *, margin_um: float, z_border: bool = True
) -> list[Crop]:
    """Find the cells of a field of view, by increasing label, in one pass over its labels (z, y, x).

    Parameters
    ----------
    margin_um
        Room around the bounding box, rounded up to whole voxels.
    z_border
        Whether the first and last plane count as border, as the outer rows and columns always do.

    Raises
    ------
    InputError
        When the image does not hold labels.
    """
    check_labels(label_zyx)
    margin = [int(np.ceil(margin_um / edge_um - 1e-9)) for edge_um in spacing_um_zyx]
    cells = []
    for label, bounds in enumerate(ndimage.find_objects(label_zyx), start=1):
        if bounds is not None:
            sides = list(zip(bounds, label_zyx.shape, margin, strict=True))
            box = tuple(slice(max(s.start - m, 0), min(s.stop + m, n)) for s, n, m in sides)
            touches = any(s.start == 0 or s.stop == n for s, n, _ in sides[0 if z_border else 1 :])
            cells.append(Crop(label, box, touches))
    return cells


def owners(part_zyx: np.ndarray, cell_zyx: np.ndarray) -> np.ndarray:
    """Assign parts, such as nuclei, to the cells in which most of their voxels lie.

    Both label images have one shape (z, y, x), 0 for background.

    Returns
    -------
    numpy.ndarray
        Shape (largest part label + 1,): the cell's label for each part's, 0 for a part outside all cells;
        of two cells with as many voxels, the one of smaller label.

    Raises
    ------
    InputError
        When an image does not hold labels, or their shapes differ.
    """
    check_labels(part_zyx)
    check_labels(cell_zyx)
    if part_zyx.shape != cell_zyx.shape:
        raise InputError(f"label images differ in shape: {part_zyx.shape} and {cell_zyx.shape} (z, y, x).")
    both = (part_zyx > 0) & (cell_zyx > 0)
    n_labels = int(cell_zyx.max(initial=0)) + 1
    pairs = part_zyx[both].astype(np.int64) * n_labels + cell_zyx[both]
    pairs, n_voxels = np.unique(pairs, return_counts=True)
    part, cell = np.divmod(pairs, n_labels)
    owner = np.zeros(int(part_zyx.max(initial=0)) + 1, dtype=np.int64)
    # Written from few to many voxels: the last one written to a part is its cell.
    order = np.lexsort((-cell, n_voxels))
    owner[part[order]] = cell[order]
    return owner


def cell_mask(label_zyx: np.ndarray, crop: Crop) -> np.ndarray:
    """Return the cell's own voxels in its crop, bool, shape of the crop's box."""
    return label_zyx[crop.box] == crop.label


def part_mask(part_zyx: np.ndarray, owner: np.ndarray, cell_zyx: np.ndarray, crop: Crop) -> np.ndarray:
    """Return the voxels inside a cell of its parts, by `owners`, bool, shape of the crop's box."""
    return (owner[part_zyx[crop.box]] == crop.label) & cell_mask(cell_zyx, crop)


def check_labels(label_zyx: np.ndarray) -> None:
    """Raise an InputError for an image that is no volume of whole numbers from 0 to 2^24."""
    if label_zyx.ndim != 3 or label_zyx.dtype.kind not in "ui":
        found = f"{label_zyx.dtype} of shape {label_zyx.shape}"
        raise InputError(f"expected labels as whole numbers (z, y, x), found {found}. Export them so.")
    low, high = label_zyx.min(initial=0), label_zyx.max(initial=0)
    if low < 0 or high > _MAX_LABEL:
        raise InputError(f"labels run from {low} to {high}; expected 0 to {_MAX_LABEL}. Renumber them.")


def occupancy(volume_zyx: np.ndarray) -> np.ndarray:
    """Return the share of each voxel of a segmentation that is foreground, float32, 0 to 1.

    Where all values are whole numbers, masks (0 and 1, 0 and 255) and labels of any number of pieces, every
    value above 0 is foreground. Values with fractions must lie from 0 to 1: they are probabilities, or a mask
    that was interpolated, and stay.

    Raises
    ------
    InputError
        When values are not finite, or have fractions and leave 0 to 1: no segmentation but intensities.
    """
    is_float = volume_zyx.dtype.kind == "f"
    if is_float and (n_bad := volume_zyx.size - np.count_nonzero(np.isfinite(volume_zyx))):
        raise InputError(f"{n_bad} voxels of the segmentation are not finite. Export it again.")
    if not is_float or (volume_zyx == np.rint(volume_zyx)).all():
        return (volume_zyx > 0).astype(np.float32)
    low, high = float(volume_zyx.min()), float(volume_zyx.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        found = f"the segmentation runs from {low:g} to {high:g} in fractions"
        raise InputError(f"{found}; expected whole numbers, or 0 to 1. Check that the channel is right.")
    return np.clip(volume_zyx, 0, 1).astype(np.float32)


def foreground(volume_zyx: np.ndarray) -> np.ndarray:
    """Return the foreground of a segmentation, bool: what is at least half occupied, see `occupancy`."""
    return occupancy(volume_zyx) >= 0.5
