"""Volumes of images: what sampled files say and hold, and the sizes of their cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from morphobench.errors import InputError, named
from morphobench.files import images
from morphobench.files.headers import NO_NAME, Stated
from morphobench.geometry import labels as labelled
from morphobench.new import found

# Label images that are read, and how many voxels of each at most.
_N_READ, _MOST_VOXELS = 3, 2**31
# Of the voxels above 0 of a label image, so many at least have nothing but their like beside them.
_CORES = 0.2
_MIDDLE = 256
_PIXEL_UM = 1.0


class Header(NamedTuple):
    """What the sampled files say: shape (z, y, x), edges of a voxel or None, names of channels or None."""

    shape_zyx: tuple[int, ...]
    spacing_um_zyx: tuple[float, float, float] | None
    channel_names: list[str | None]


class Measured(NamedTuple):
    """Cells of sampled label images: extents (n, 3), voxels z, y, x; voxels (n,); how many are cut.

    Extents and voxels are those of whole cells, where an image has any.
    """

    extents_zyx: np.ndarray
    n_voxels: np.ndarray
    n_border: int
    n_read: int
    largest_per_image: int
    n_cells: int


def look_like_labels(files: Sequence[Path]) -> bool:
    """Return whether some of the files hold labels."""
    return all(is_labels(_volume(file)) for file in found.spread(files, 2))


def is_labels(volume_zyx: np.ndarray) -> bool:
    """Return whether a volume holds labels, of which the background may be one: whole numbers in plateaus.

    Of a large volume its middle alone is looked at.
    """
    if volume_zyx.dtype.kind not in "uib":
        return False
    middle_zyx = volume_zyx[
        tuple(slice(max(0, (n - _MIDDLE) // 2), (n + _MIDDLE) // 2) for n in volume_zyx.shape)
    ]
    cross = ndimage.generate_binary_structure(3, 1)
    low, high = (f(middle_zyx, footprint=cross) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    inside = middle_zyx > 0
    return bool(inside.any() and ((low == high) & inside).sum() > _CORES * inside.sum())


def _volume(file: Path) -> np.ndarray:
    header = read_header(file)
    if np.prod(header.shape_zyx) > _MOST_VOXELS:
        raise InputError(
            f"{file}: {header.shape_zyx} voxels are more than are read here. Write the yaml by hand."
        )
    stated = Stated(spacing_um_zyx=header.spacing_um_zyx or [_PIXEL_UM] * 3)
    channels, _ = images.read_stated(file, None, stated, may_be_empty=True, may_have_gaps=True)
    return next(iter(channels.values()))


def read_header(file: Path) -> Header:
    """Read shape, voxel and channels of an image; InputError when it is unreadable or no volume."""
    axes, shape, _, header = images.read_layout(file)
    if "T" in axes or shape[axes.index("Z")] < 2:
        raise InputError(
            f"{file}: axes {axes} of shape {shape}; expected one volume, several planes. Export it so."
        )
    names = [None if name is None or NO_NAME.fullmatch(name) else name for name in header.channel_names]
    return Header(shape[-3:], header.spacing_um_zyx, names)


def measure(files: Sequence[Path]) -> Measured:
    """Measure the cells of some label images."""
    extents, voxels, n_border, largest, n_cells = [], [], 0, 0, 0
    some = found.spread(files, _N_READ)
    for file in some:
        volume_zyx = _volume(file)
        with named(file):
            label_zyx = labelled.to_labels(volume_zyx)
            labelled.check_background(label_zyx)
            cells = labelled.find_cells(label_zyx, [_PIXEL_UM] * 3, margin_um=0)
        counts = np.bincount(label_zyx.ravel())
        largest, n_cells = max(largest, len(cells)), n_cells + len(cells)
        n_border += sum(cell.touches_border for cell in cells)
        # Whole cells alone have their size, unless there is none.
        for cell in [cell for cell in cells if not cell.touches_border] or cells:
            extents.append([span.stop - span.start for span in cell.box])
            voxels.append(counts[cell.label])
    if not extents:
        raise InputError(
            f"{some[0]}: holds no label above 0. Segment the cells, or point FROM at the label images."
        )
    return Measured(np.array(extents), np.array(voxels), n_border, len(some), largest, n_cells)
