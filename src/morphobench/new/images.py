"""Images of fields of view or of single cells, with label images or masks, or these alone."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage

from morphobench.errors import InputError, named
from morphobench.files import images
from morphobench.files.headers import NO_NAME, Stated
from morphobench.geometry import labels as labelled
from morphobench.new import bodies, found

_WORDS = r"cp[_-]?masks?|labels?|lbl|seg(mentation|mented)?s?|masks?|instances?|labelled|annotations?"
_IS_LABELS = rf"(?i)(^|[_\-. ])({_WORDS})$"
_IS_IMAGE = r"(?i)[_\-. ](raw|img|image|images|intensity|ch\d+)$"
_IMAGE_FOLDERS = r"(?i)^(raw|imgs?|images?|intensit(y|ies))$"
# Label images that are read, and how many voxels of each at most.
_N_READ, _MOST_VOXELS = 3, 2**31
# Of the voxels above 0 of a label image, so many at least have nothing but their like beside them.
_CORES = 0.2
_PIXEL_UM = 1.0


class Pair(NamedTuple):
    """An image, or None for segmentations alone, and its label images by name."""

    image: Path | None
    labels: dict[str, Path]


class Header(NamedTuple):
    """What the sampled files say: shape (z, y, x), edges of a voxel or None, names of channels or None."""

    shape_zyx: tuple[int, ...]
    spacing_um_zyx: tuple[float, float, float] | None
    channel_names: list[str | None]


class Measured(NamedTuple):
    """Cells of sampled label images: extents (n, 3), voxels z, y, x; voxels (n,); how many are cut."""

    extents_zyx: np.ndarray
    n_voxels: np.ndarray
    n_border: int
    n_read: int
    largest_per_image: int


def pairs_of(files: Sequence[Path], folder: Path) -> list[Pair]:
    """Pair images and label images below a folder by their names, as `a.tif` and `a_label.tif`.

    Raises
    ------
    InputError
        When there are images, but no label image of any.
    """
    keys = {file: _key(file, folder) for file in files}
    raw = {key: file for file, (key, is_label) in keys.items() if not is_label}
    segmented = [(key, file) for file, (key, is_label) in keys.items() if is_label]
    if not segmented:
        if _look_like_labels(files):
            return [Pair(None, {"cells": file}) for file in files]
        reason = f"{len(files)} images, and no label image or mask among them (names with label, seg or mask)"
        raise InputError(
            f"{folder}: {reason}. Segment the cells (such as with Cellpose), save them beside the images."
        )
    if not raw:
        return [Pair(None, {"cells": file}) for _, file in segmented]
    owned: dict[str, dict[str, Path]] = {}
    for key, file in segmented:
        owner = next((one for one in _prefixes(key) if one in raw), None)
        if owner is not None:
            owned.setdefault(owner, {})[key[len(owner) :].strip("_-. ") or "labels"] = file
    if not owned:
        reason = f"{len(raw)} images and {len(segmented)} label images, but none of one name"
        first = f"{min(raw.values()).name}, {segmented[0][1].name}"
        raise InputError(
            f"{folder}: {reason} (first {first}). Call them a.tif and a_label.tif, or write a table."
        )
    return [Pair(raw[key], labels) for key, labels in sorted(owned.items())]


def names_labels(column: str, files: Sequence[Path]) -> bool:
    """Return whether a column of a table names label images, by its name, theirs, or what they hold."""
    if re.search(_IS_LABELS, column):
        return True
    if re.search(_IMAGE_FOLDERS, column) or re.search(_IS_IMAGE, column):
        return False
    stems = [re.sub(r"(?i)(\.ome)?\.\w+$", "", file.name) for file in files]
    return all(re.search(_IS_LABELS, stem) for stem in stems) or _look_like_labels(files)


def _key(file: Path, folder: Path) -> tuple[str, bool]:
    """Return what an image and its label image have in common, and whether the file is a label image."""
    *above, name = file.relative_to(folder).parts
    stem = re.sub(r"(?i)(\.ome)?\.\w+$", "", name)
    is_label = bool(re.search(_IS_LABELS, stem)) or any(re.search(_IS_LABELS, part) for part in above)
    stem = re.sub(_IS_LABELS, "", stem) if is_label else re.sub(_IS_IMAGE, "", stem)
    above = [
        part for part in above if not re.search(_IS_LABELS, part) and not re.search(_IMAGE_FOLDERS, part)
    ]
    return "/".join([*above, stem.strip("_-. ")]), is_label


def _prefixes(key: str) -> list[str]:
    """Return a key and its beginnings up to a separator, the longest first."""
    return [key, *(key[: match.start()] for match in reversed(list(re.finditer(r"[_\-. ]", key))))]


def _look_like_labels(files: Sequence[Path]) -> bool:
    return all(is_labels(_volume(file)) for file in found.spread(files, 2))


def is_labels(volume_zyx: np.ndarray) -> bool:
    """Return whether a volume holds labels: whole numbers, 0 among them, in plateaus."""
    if volume_zyx.dtype.kind not in "uib" or volume_zyx.min() != 0:
        return False
    cross = ndimage.generate_binary_structure(3, 1)
    low, high = (f(volume_zyx, footprint=cross) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    inside = volume_zyx > 0
    return bool(inside.any() and ((low == high) & inside).sum() > _CORES * inside.sum())


def _volume(file: Path) -> np.ndarray:
    header = read_header(file)
    if np.prod(header.shape_zyx) > _MOST_VOXELS:
        raise InputError(
            f"{file}: {header.shape_zyx} voxels are more than are read here. Write the yaml by hand."
        )
    stated = Stated(spacing_um_zyx=[_PIXEL_UM] * 3)
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
    extents, voxels, n_border, largest = [], [], 0, 0
    some = found.spread(files, _N_READ)
    for file in some:
        with named(file):
            label_zyx = labelled.to_labels(_volume(file))
            cells = labelled.find_cells(label_zyx, [_PIXEL_UM] * 3, margin_um=0)
        counts = np.bincount(label_zyx.ravel())
        largest = max(largest, len(cells))
        n_border += sum(cell.touches_border for cell in cells)
        # Whole cells alone have their size, unless there is none.
        for cell in [cell for cell in cells if not cell.touches_border] or cells:
            extents.append([span.stop - span.start for span in cell.box])
            voxels.append(counts[cell.label])
    if not extents:
        raise InputError(
            f"{some[0]}: holds no label above 0. Segment the cells, or point FROM at the label images."
        )
    return Measured(np.array(extents), np.array(voxels), n_border, len(some), largest)


def draft(pairs: Sequence[Pair], folder: Path, metadata: pd.DataFrame | None = None) -> found.Draft:
    """Return the data set of images and label images; `metadata` has a row for each pair."""
    names = list(pairs[0].labels)
    if odd := next((pair for pair in pairs if list(pair.labels) != names), None):
        file = odd.image or next(iter(odd.labels.values()))
        raise InputError(
            f"{file}: has label images {', '.join(odd.labels)}, others {', '.join(names)}. Complete them."
        )
    first = [next(iter(pair.labels.values())) for pair in pairs]
    _check_shapes(pairs)
    measured = measure(first)
    header = read_header(pairs[0].image or first[0])
    is_crops = measured.largest_per_image == 1 and len(pairs) > 1
    make = _crops if is_crops else _fields
    return make(pairs, folder, metadata, names, header, measured)


def _check_shapes(pairs: Sequence[Pair]) -> None:
    for pair in found.spread(pairs, found.N_SAMPLED // 2):
        if pair.image is None:
            continue
        expected = read_header(pair.image).shape_zyx
        for file in pair.labels.values():
            if (shape := read_header(file).shape_zyx) != expected:
                reason = f"labels of shape {shape}, but {pair.image} has {expected} (z, y, x)"
                raise InputError(f"{file}: {reason}. Export both for the same field of view.")


def _table(
    pairs: Sequence[Pair], folder: Path, metadata: pd.DataFrame | None, id_column: str
) -> pd.DataFrame:
    files = [pair.image or next(iter(pair.labels.values())) for pair in pairs]
    listed = found.listing(files, folder, "file", id_column).drop(columns="file")
    if metadata is None:
        return listed
    own = metadata.reset_index(drop=True)
    names = listed[[id_column]] if id_column not in own else own[[id_column]]
    return pd.concat([names, own.drop(columns=id_column, errors="ignore")], axis=1)


def _absolute(files: Sequence[Path | None]) -> list[str]:
    return [str(Path(file).absolute()) if file else "" for file in files]


def _channels(header: Header, has_image: bool) -> tuple[list[str] | None, str, str]:
    """Return names of channels to state, None for those of the file; the structure, and a comment on it."""
    if not has_image:
        return [], "", ""
    names = header.channel_names
    if len(names) == 1:
        return [names[0] or "image"], names[0] or "image", ""
    stated = None if all(names) else [f"channel_{number}" for number in range(len(names))]
    return stated, "FILL", f"   # the channel to benchmark, one of: {', '.join(stated or names)}"


def _fields(
    pairs: Sequence[Pair], folder: Path, metadata: Any, names: list[str], header: Header, measured: Measured
) -> found.Draft:
    has_image = pairs[0].image is not None
    table = _table(pairs, folder, metadata, "FOVId")
    if has_image:
        table["image"] = _absolute([pair.image for pair in pairs])
    columns = {name: bodies.channel_name(name) for name in names}
    for name, column in columns.items():
        table[column] = _absolute([pair.labels[name] for pair in pairs])
    stated, structure, choices = _channels(header, has_image)
    mask = columns[names[0]]
    n_cells = round(len(measured.n_voxels) + measured.n_border) * len(pairs) // measured.n_read
    group = "FOVId" if len(pairs) > 4 else "CellId"
    source = [
        "  fov:",
        f"    channel_names: {bodies.listed(stated)}   # in the order of the file; null: as the files say",
        f"    label_channels: {bodies.listed(list(columns.values()))}   # the first defines the cells",
        f"    spacing_um_zyx: {bodies.spacing(header.spacing_um_zyx)}",
        "    margin_um: 1.0",
        "    z_border: true            # a cell that touches the first or last plane is not whole",
        f"  group: {group}               # the unit whose cells are not independent",
    ]
    remarks = _remarks(pairs, header, measured)
    return _draft(
        table, source, "fovs", mask, structure, choices, header, measured, len(pairs), n_cells, remarks
    )


def _crops(
    pairs: Sequence[Pair], folder: Path, metadata: Any, names: list[str], header: Header, measured: Measured
) -> found.Draft:
    has_image, mask = pairs[0].image is not None, bodies.channel_name(names[0])
    table = _table(pairs, folder, metadata, "CellId")
    if has_image:
        table["crop_raw"] = _absolute([pair.image for pair in pairs])
    table["crop_seg"] = _absolute([pair.labels[names[0]] for pair in pairs])
    stated, structure, choices = _channels(header, has_image)
    crops = ["crop_raw", "crop_seg"] if has_image else ["crop_seg"]
    raw = f"crop_raw: {bodies.listed(stated)}, " if stated else ""
    source = [
        f"  columns: {{{', '.join(f'{one}: {one}' for one in crops)}}}",
        f"  channel_names: {{{raw}crop_seg: [{mask}]}}",
        f"  spacing_um_zyx: {bodies.spacing(header.spacing_um_zyx)}",
        "  group: CellId               # the unit whose cells are not independent, such as a well or donor",
    ]
    remarks = _remarks(pairs, header, measured)
    n = len(pairs)
    return _draft(table, source, "cells", mask, structure, choices, header, measured, n, n, remarks)


def _draft(
    table: pd.DataFrame,
    source: list[str],
    key: str,
    mask: str,
    structure: str,
    choices: str,
    header: Header,
    measured: Measured,
    n_units: int,
    n_cells: int,
    remarks: list[str],
) -> found.Draft:
    kind = "punctate" if structure else "polymorphic"
    make = bodies.of_intensities if structure else bodies.of_segmentations
    body = make(mask, structure, choices, header.spacing_um_zyx, measured.extents_zyx, measured.n_voxels)
    return found.Draft(kind, table, source, key, body, n_units, n_cells, remarks)


def _remarks(pairs: Sequence[Pair], header: Header, measured: Measured) -> list[str]:
    what = "images with label images" if pairs[0].image else "label images alone"
    n_seen = len(measured.n_voxels) + measured.n_border
    where = "the files" if header.spacing_um_zyx else "nowhere in the files"
    longest = np.median(measured.extents_zyx.max(axis=1))
    edges = header.spacing_um_zyx
    size = f", {longest * min(edges):.3g} um" if edges else ""
    return [
        f"{len(pairs)} {what}, shape {header.shape_zyx} (z, y, x), channels {header.channel_names}",
        f"voxel size (z, y, x): {edges or 'unknown'} um, from {where}",
        f"{n_seen} labels in {measured.n_read} of them, {measured.n_border} touch the border; "
        f"a typical cell is {longest:.0f} voxels long{size}",
    ]
