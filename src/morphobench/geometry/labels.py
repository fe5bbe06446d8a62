"""Label images: the foreground of a segmentation, and the boxes and masks of single cells."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.errors import InputError

_MAX_LABEL = 2**24
# Structures of so many pieces or more have one label.
_MANY = 5
# Linear interpolation leaves 0 to 1 by rounding errors.
_ROUNDING = 1e-4
# Values without a core, beside each other, that make an 8-bit mask one of probabilities, and their share.
_MOST_STEPS, _MOST_IN_STEPS = 8, 0.05
# Of a volume, along z, y, x.
_CORNERS = ([0, 0, 0, 0, -1, -1, -1, -1], [0, 0, -1, -1] * 2, [0, -1] * 4)


class Crop(NamedTuple):
    """A labelled cell in its field of view.

    `box` holds slices along z, y, x: the bounding box and a margin, cut at the borders of the field;
    `touches_border` whether a voxel of the cell lies at the border, so that part of it may be missing.
    """

    label: int
    box: tuple[slice, slice, slice]
    touches_border: bool


class Cleaned(NamedTuple):
    """A label image without the strays of its labels; by label, voxels of strays and pieces that are none."""

    label_zyx: np.ndarray
    n_stray: np.ndarray
    n_pieces: np.ndarray


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
    from scipy import ndimage

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


def to_labels(volume_zyx: np.ndarray) -> np.ndarray:
    """Return labels as whole numbers: as they are, or from fractions that are none, such as 3.0.

    Raises
    ------
    InputError
        When they are no volume of whole numbers from 0 to 2^24.
    """
    if volume_zyx.dtype == bool:
        return volume_zyx.view(np.uint8)
    # Infinity and NaN are no whole numbers either.
    if volume_zyx.dtype.kind == "f" and volume_zyx.ndim == 3:
        with np.errstate(invalid="ignore"):
            whole = volume_zyx.astype(np.int32)
        if np.array_equal(whole, volume_zyx):
            volume_zyx = whole
    check_labels(volume_zyx)
    return volume_zyx


def check_labels(label_zyx: np.ndarray) -> None:
    """Raise an InputError for an image that is no volume of whole numbers from 0 to 2^24."""
    if label_zyx.ndim != 3 or label_zyx.dtype.kind not in "ui":
        found = f"{label_zyx.dtype} of shape {label_zyx.shape}"
        raise InputError(f"expected labels as whole numbers (z, y, x), found {found}. Export them so.")
    low, high = label_zyx.min(initial=0), label_zyx.max(initial=0)
    if low < 0 or high > _MAX_LABEL:
        raise InputError(f"labels run from {low} to {high}; expected 0 to {_MAX_LABEL}. Renumber them.")


def without_strays(label_zyx: np.ndarray, stray_share: float) -> Cleaned:
    """Remove pieces of a label (26-connected) below a share of its largest one, in one pass over the image.

    Segmentation programs leave such strays. A label whose pieces are of like size keeps them all.
    """
    from skimage import measure

    piece_zyx = measure.label(label_zyx, background=0, connectivity=3)
    sizes = np.bincount(piece_zyx.ravel())
    sizes[0] = 0
    owner = np.zeros(len(sizes), dtype=np.int64)
    owner[piece_zyx.ravel()] = label_zyx.ravel()
    n_labels = int(owner.max(initial=0)) + 1
    largest = np.zeros(n_labels, dtype=np.int64)
    np.maximum.at(largest, owner, sizes)
    is_stray = sizes < stray_share * largest[owner]
    is_piece = (owner > 0) & ~is_stray
    n_stray = np.bincount(owner[is_stray], weights=sizes[is_stray], minlength=n_labels).astype(np.int64)
    if is_stray.any():
        label_zyx = np.where(is_stray[piece_zyx], label_zyx.dtype.type(0), label_zyx)
    return Cleaned(label_zyx, n_stray, np.bincount(owner[is_piece], minlength=n_labels))


def without_stray_pieces(mask_zyx: np.ndarray, stray_share: float) -> tuple[np.ndarray, int]:
    """Remove strays from a mask, as `without_strays` does; return it and the number of their voxels."""
    from scipy import ndimage

    found = ndimage.find_objects(mask_zyx.view(np.uint8))
    if not found:
        return mask_zyx, 0
    label_zyx, n_stray, _ = without_strays(mask_zyx[found[0]].view(np.uint8), stray_share)
    if not n_stray[1]:
        return mask_zyx, 0
    cleaned = mask_zyx.copy()
    cleaned[found[0]] = label_zyx > 0
    return cleaned, int(n_stray[1])


def check_background(label_zyx: np.ndarray) -> None:
    """Raise an InputError for a label image whose background has a label."""
    corners = label_zyx[_CORNERS]
    if corners[0] > 0 and (corners == corners[0]).all():
        found = f"label {corners[0]} lies in all corners of the field: it is the background"
        raise InputError(f"{found}, or the image is inverted. Give the background the value 0.")


def check_cells(cleaned: Cleaned) -> None:
    """Check that a label image numbers cells.

    Raises
    ------
    InputError
        When it is a mask or an image of classes, in which one value stands for many cells, or inverted.
    """
    label_zyx, _, n_pieces = cleaned
    if n_pieces.sum() == 0:
        return
    check_background(label_zyx)
    found = n_pieces[n_pieces > 0]
    if (len(found) == 1 and found[0] > 1) or found.min() > 2:
        what = f"{len(found)} label{'s' * (len(found) > 1)} in {found.sum()} parts of like size"
        reason = "a mask or an image of classes, in which cells have no number of their own"
        raise InputError(f"{what}: {reason}. Number its parts (Fiji: Connected Components Labeling).")


def own_mask(volume_zyx: np.ndarray, label: int | None = None) -> tuple[np.ndarray, int]:
    """Return the mask of one cell in its crop, bool, and the number of labels in it.

    Of masks (0 and 1, 0 and 255) every value above 0 counts; fractions from 0 to 1 take one half. Of several
    labels that of the cell is taken: `label`, or without it the label nearest to the centre of the crop.

    Raises
    ------
    InputError
        When it holds intensities or probabilities in steps, `label` does not occur, or no cell is outlined.
    """
    if volume_zyx.dtype.kind == "f":
        is_whole = (volume_zyx == np.rint(volume_zyx)).all()
        # Also checks the range of what is no whole number.
        volume_zyx = volume_zyx.astype(np.int64) if is_whole else foreground(volume_zyx)
    positive = volume_zyx[volume_zyx > 0]
    n_labels = 1
    if label is None and (not positive.size or positive.min() == positive.max()):
        mask_zyx = volume_zyx > 0
    else:
        mask_zyx, n_labels = _mask_of_label(volume_zyx, label)
    check_outlined(mask_zyx)
    return mask_zyx, n_labels


def _mask_of_label(volume_zyx: np.ndarray, label: int | None) -> tuple[np.ndarray, int]:
    values = np.unique(volume_zyx)
    values = values[values > 0]
    if len(values) > _MOST_STEPS:
        check_no_steps(volume_zyx)
    if label is None:
        where = np.argwhere(volume_zyx > 0)
        nearest = ((where + 0.5 - np.array(volume_zyx.shape) / 2) ** 2).sum(axis=1).argmin()
        label = int(volume_zyx[tuple(where[nearest])])
    elif label not in values:
        there = ", ".join(map(str, values[:10].tolist())) or "none"
        raise InputError(f"its mask has no label {label} (found {there}). Correct the column mask_label.")
    return volume_zyx == label, len(values)


def check_no_steps(volume_zyx: np.ndarray) -> None:
    """Raise an InputError for whole numbers that rise in steps, as probabilities of 8 bits or intensities do.

    Of labels, nearly all have a core: voxels with nothing but their like around them.
    """
    from scipy import ndimage

    cross = ndimage.generate_binary_structure(volume_zyx.ndim, 1)
    low = ndimage.minimum_filter(volume_zyx, footprint=cross, mode="nearest")
    high = ndimage.maximum_filter(volume_zyx, footprint=cross, mode="nearest")
    cores = np.unique(volume_zyx[(low == high) & (volume_zyx > 0)])
    steps = volume_zyx[(volume_zyx > 0) & ~np.isin(volume_zyx, cores) & (high > volume_zyx)]
    n_values, n_inside = len(np.unique(steps)), np.count_nonzero(volume_zyx > 0)
    if n_values >= _MOST_STEPS and steps.size > _MOST_IN_STEPS * n_inside:
        found = f"the mask rises in steps over {n_values} values, as probabilities or intensities do"
        raise InputError(f"{found}. Threshold it, or save probabilities as fractions from 0 to 1.")


def check_outlined(mask_zyx: np.ndarray) -> None:
    """Raise an InputError for a mask of the whole crop, or one whose background is marked."""
    if not mask_zyx[_CORNERS].all():
        return
    if mask_zyx.all():
        raise InputError("the mask is the whole crop: it outlines no cell. Segment it, or leave it out.")
    share = 1 - np.count_nonzero(mask_zyx) / mask_zyx.size
    found = f"the mask has all corners of the crop, and leaves out {share:.0%} inside: it seems inverted"
    raise InputError(f"{found}. Give the background the value 0.")


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
        positive = volume_zyx[volume_zyx > 0]
        if positive.size and int(positive.max()) - int(positive.min()) >= _MOST_STEPS:
            check_no_steps(volume_zyx)
        return (volume_zyx > 0).astype(np.float32)
    low, high = float(volume_zyx.min()), float(volume_zyx.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        found = f"the segmentation runs from {low:g} to {high:g} in fractions"
        raise InputError(f"{found}; expected whole numbers, or 0 to 1. Check that the channel is right.")
    return np.clip(volume_zyx, 0, 1).astype(np.float32)


def foreground(volume_zyx: np.ndarray) -> np.ndarray:
    """Return the foreground of a segmentation, bool: what is at least half occupied, see `occupancy`."""
    return occupancy(volume_zyx) >= 0.5
