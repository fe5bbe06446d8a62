"""The data set of images of fields of view or of single cells with label images, or of these alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.new import bodies, found, volumes
from morphobench.new.pairs import Pair

_GROUP = "the unit whose cells are not independent"


@dataclass(frozen=True)
class Images:
    """Pairs of images and label images, their metadata, and what sampled ones say and hold.

    Attributes
    ----------
    metadata
        A row for each pair; None without.
    header
        Of the first image, or label image where these are alone.
    """

    pairs: Sequence[Pair]
    folder: Path
    metadata: pd.DataFrame | None
    header: volumes.Header
    measured: volumes.Measured

    @property
    def has_image(self) -> bool:
        """Whether there are intensities."""
        return self.pairs[0].image is not None

    @property
    def label_names(self) -> list[str]:
        """Names of the label images of each pair."""
        return list(self.pairs[0].labels)

    @property
    def sizes(self) -> bodies.Sizes:
        """Of the cells that were read."""
        return bodies.Sizes(self.header.spacing_um_zyx, self.measured.extents_zyx, self.measured.n_voxels)

    def table(self, id_column: str) -> pd.DataFrame:
        """Return identifiers and metadata."""
        listed = found.listing([pair.first for pair in self.pairs], self.folder, "file", id_column)
        listed = listed.drop(columns="file")
        if self.metadata is None:
            return listed
        own = self.metadata.reset_index(drop=True)
        names = (listed if id_column not in own else own)[id_column]
        if id_column == "FOVId" and "CellId" in own:
            # Of a field, it is no identifier of its cells.
            is_copy = own["CellId"].equals(names.rename("CellId"))
            own = own.drop(columns="CellId") if is_copy else own.rename(columns={"CellId": "CellId_in_table"})
        return pd.concat([names, own.drop(columns=id_column, errors="ignore")], axis=1)

    def paths(self, of_pair: Callable[[Pair], Path | None]) -> list[str]:
        """Return the absolute path of one file of each pair."""
        return [str(Path(file).absolute()) if (file := of_pair(pair)) else "" for pair in self.pairs]

    def channels(self) -> tuple[list[str] | None, str, str]:
        """Return names of channels to state, None for those of the file; the structure, and its choices."""
        if not self.has_image:
            return [], "", ""
        names = self.header.channel_names
        if len(names) == 1:
            return [names[0] or "image"], names[0] or "image", ""
        stated = None if all(names) else [f"channel_{number}" for number in range(len(names))]
        return stated, "FILL", f"   # the channel to benchmark, one of: {', '.join(stated or names)}"

    def remarks(self) -> list[str]:
        """Return what was found."""
        header, measured = self.header, self.measured
        what = "images with label images" if self.has_image else "label images alone"
        where = "the files" if header.spacing_um_zyx else "nowhere in the files"
        longest = np.median(measured.extents_zyx.max(axis=1))
        edges = header.spacing_um_zyx and [found.rounded(edge, 6) for edge in header.spacing_um_zyx]
        size = f", {np.median((measured.extents_zyx * edges).max(axis=1)):.3g} um" if edges else ""
        seen = f"{measured.n_cells} labels in {measured.n_read} of them"
        n_specks = int((measured.n_voxels < bodies.SPECK * np.median(measured.n_voxels)).sum())
        specks = f", {n_specks} are specks below a tenth of the others" if n_specks else ""
        return [
            f"{len(self.pairs)} {what}, shape {header.shape_zyx} (z, y, x), channels {header.channel_names}",
            f"voxel size (z, y, x): {edges or 'unknown'} um, from {where}",
            f"{seen}, {measured.n_border} touch the border{specks}; "
            f"a typical cell is {longest:.0f} voxels long{size}",
        ]


def draft(pairs: Sequence[Pair], folder: Path, metadata: pd.DataFrame | None = None) -> found.Draft:
    """Return the data set of images and label images; `metadata` has a row for each pair.

    Raises
    ------
    InputError
        When pairs differ in what they have, an image and its labels in shape, or labels hold no cell.
    """
    names = list(pairs[0].labels)
    if odd := next((pair for pair in pairs if list(pair.labels) != names), None):
        has = f"has label images {', '.join(odd.labels)}, others {', '.join(names)}"
        raise InputError(f"{odd.first}: {has}. Complete them.")
    _check_shapes(pairs)
    measured = volumes.measure([pair.cells for pair in pairs])
    images = Images(pairs, folder, metadata, volumes.read_header(pairs[0].first), measured)
    is_crops = measured.largest_per_image == 1 and len(pairs) > 1
    return _crops(images) if is_crops else _fields(images)


def _check_shapes(pairs: Sequence[Pair]) -> None:
    for pair in found.spread(pairs, found.N_SAMPLED // 2):
        if pair.image is None:
            continue
        expected = volumes.read_header(pair.image).shape_zyx
        for file in pair.labels.values():
            if (shape := volumes.read_header(file).shape_zyx) != expected:
                reason = f"labels of shape {shape}, but {pair.image} has {expected} (z, y, x)"
                raise InputError(f"{file}: {reason}. Export both for the same field of view.")


def _fields(images: Images) -> found.Draft:
    table = images.table("FOVId")
    if images.has_image:
        table["image"] = images.paths(lambda pair: pair.image)
    stored = {name: bodies.channel_name(name) for name in images.label_names}
    for name, column in stored.items():
        table[column] = images.paths(lambda pair, name=name: pair.labels[name])
    stated, *_ = images.channels()
    n_fields = len(images.pairs)
    source = [
        "  fov:",
        f"    channel_names: {bodies.listed(stated)}   # in the order of the file; null: as the files say",
        f"    label_channels: {bodies.listed(list(stored.values()))}   # the first defines the cells",
        f"    spacing_um_zyx: {bodies.spacing(images.header.spacing_um_zyx)}",
        "    margin_um: 1.0",
        "    z_border: true            # a cell that touches the first or last plane is not whole",
        f"  group: {'FOVId' if n_fields > 4 else 'CellId'}               # {_GROUP}",
    ]
    n_cells = images.measured.n_cells * n_fields // images.measured.n_read
    return _draft(images, table, source, "fovs", n_fields, n_cells)


def _crops(images: Images) -> found.Draft:
    table, mask = images.table("CellId"), bodies.channel_name(images.label_names[0])
    if images.has_image:
        table["crop_raw"] = images.paths(lambda pair: pair.image)
    table["crop_seg"] = images.paths(lambda pair: pair.cells)
    stated, *_ = images.channels()
    crops = ["crop_raw", "crop_seg"] if images.has_image else ["crop_seg"]
    raw = f"crop_raw: {bodies.listed(stated)}, " if stated else ""
    source = [
        f"  columns: {{{', '.join(f'{one}: {one}' for one in crops)}}}",
        f"  channel_names: {{{raw}crop_seg: [{mask}]}}",
        f"  spacing_um_zyx: {bodies.spacing(images.header.spacing_um_zyx)}",
        f"  group: CellId               # {_GROUP}, such as a well or donor",
    ]
    n_cells = len(images.pairs)
    return _draft(images, table, source, "cells", n_cells, n_cells)


def _draft(
    images: Images, table: pd.DataFrame, source: list[str], key: str, n_units: int, n_cells: int
) -> found.Draft:
    mask = bodies.channel_name(images.label_names[0])
    if not images.has_image:
        # Nothing around the shape.
        kind, channels = "polymorphic", bodies.channels(mask, mask)
        body = bodies.of_segmentations(images.sizes)
    else:
        _, structure, choices = images.channels()
        kind, channels = "punctate", bodies.channels(structure, mask, choices)
        body = bodies.of_intensities(images.sizes)
    return found.Draft(kind, table, source, key, channels, body, n_units, n_cells, images.remarks())
