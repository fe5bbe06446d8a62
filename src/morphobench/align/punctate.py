"""Stage `align` for cells in images: cubic voxels, the long axis of the cell along x."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files
from morphobench.align import inplane
from morphobench.errors import InputError
from morphobench.files import images, shards, volumes
from morphobench.files.layout import CROPS, crop_folder
from morphobench.geometry import segmentation

ORDERS = {"nearest": 0, "linear": 1}
# The volumes of a shard: camera counts, and 0 or 1.
ARRAYS = {"structure": np.float32, "mask": np.uint8}
_DEFAULTS = dict.fromkeys(("first_voxel", *volumes.SIZE_COLUMNS), 0) | dict.fromkeys(
    ("spacing_um", "angle_degrees", *(f"{of}_{axis}_um" for of in ("center", "origin") for axis in "zyx")),
    np.nan,
)


def run(
    shard_in: str | Path, shard_out: str | Path, *, dataset: Mapping[str, Any], max_failed_fraction: float
) -> None:
    """Align one shard of cells.

    Writes structure.npy (float32, not masked, 0 outside the crop: camera counts, or for datasets of kind
    polymorphic the share of a voxel that is foreground, 0 to 1) and mask.npy (uint8, 0 or 1), each with all
    cells' volumes end to end and of the same shapes, see `morphobench.files.volumes`. Columns:
    first_voxel and size_{z,y,x}; spacing_um, the edge of a voxel; and the transform. With c =
    center_{z,y,x}_um and o = origin_{z,y,x}_um, the corner of the stored volume, and the angle of the long
    axis a = angle_degrees (see `align.inplane`), the point p of the raw crop, micrometres from its corner,
    lies at R(-a) (p - c) + c - o in the stored volume, micrometres from its corner.

    Parameters
    ----------
    shard_in
        Shard folder of stage `download`.
    shard_out
        Folder to write, whole or not at all.
    dataset
        Keys source; channels, the channel names by role (structure, nucleus_mask, cell_mask, ...), each in
        crop_raw or crop_seg; align, with keys mask (role of the mask whose axis and centre count), unique,
        margin_voxel, enabled and interpolation (of intensities, a key of `ORDERS`); mask, with key role, of
        the mask to keep, one or by structure_name; voxel_um, the edge of the cubic voxels; and kind.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When too many cells fail.
    """
    folder = crop_folder(shard_in, dataset["source"])
    with files.atomic_folder(shard_out) as part:
        with _writer(part, "structure") as structures, _writer(part, "mask") as masks:

            def work(row: dict[str, Any]) -> dict[str, Any]:
                start = time.perf_counter()
                structure_zyx, mask_zyx, columns = align_cell(row, folder, dataset)
                columns |= volumes.placed(structures.append(structure_zyx), structure_zyx)
                masks.append(mask_zyx)
                return columns | {"seconds": time.perf_counter() - start}

            cells = shards.each_cell(files.read_cells(shard_in), work, _DEFAULTS | {"seconds": 0.0}, "align")
        shards.finish(part, cells, max_failed_fraction, "align")


def align_cell(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Read one cell, resample it to cubic voxels and lay its long axis along x.

    Parameters
    ----------
    row
        Columns crop_raw and crop_seg, one of which may be empty, and optionally name_dict.
    folder
        Where their paths start.
    dataset
        See `run`.

    Returns
    -------
    structure_zyx
        Float32, camera counts or shares of foreground, see `run`.
    mask_zyx
        Uint8, 0 or 1, same shape.
    columns
        The spacing and the transform.

    Raises
    ------
    InputError
        When an image is missing or wrong.
    """
    settings, spacing_um = dataset["align"], dataset["voxel_um"]
    structure_zyx, guide_zyx, kept_zyx = read_cell(row, folder, dataset, spacing_um)
    center = inplane.center_zyx(guide_zyx)
    angle = inplane.inplane_angle(guide_zyx, unique=settings["unique"]) if settings["enabled"] else 0.0
    box = inplane.rotated_box(kept_zyx, angle, center, margin=settings["margin_voxel"])
    columns = {"spacing_um": spacing_um, "angle_degrees": angle}
    for index, axis in enumerate("zyx"):
        columns[f"center_{axis}_um"] = float(center[index]) * spacing_um
        columns[f"origin_{axis}_um"] = box[index].start * spacing_um
    order = ORDERS[settings["interpolation"]]
    structure_zyx = inplane.rotate_inplane(structure_zyx, angle, center, order=order, box=box)
    return structure_zyx, inplane.rotate_inplane(kept_zyx, angle, center, order=0, box=box), columns


def read_cell(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], spacing_um: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read one cell at cubic voxels: the structure, the mask to align by and the mask to keep.

    A segmented structure (kind polymorphic) becomes 0 and 1 first: interpolated labels mean nothing.

    Parameters
    ----------
    row, folder, dataset
        See `align_cell`.
    spacing_um
        Edge of the cubic voxels, micrometres.

    Returns
    -------
    structure_zyx, guide_zyx, kept_zyx
        Of one shape (z, y, x); masks uint8, 0 or 1.

    Raises
    ------
    InputError
        When an image is missing or wrong, or channels differ in shape.
    """
    guide, kept = dataset["align"]["mask"], shards.by_structure(dataset["mask"]["role"], row, "mask.role")
    roles = list(dict.fromkeys(["structure", guide, kept]))
    read, spacing_um_zyx = _read_roles(row, folder, dataset, roles)
    structure_zyx = read["structure"]
    if dataset.get("kind") == "polymorphic":
        structure_zyx = segmentation.occupancy(structure_zyx)
    masks = {}
    for role in {guide, kept}:
        mask_zyx = (read[role] > 0).view(np.uint8)
        masks[role] = images.resample_isotropic(mask_zyx, spacing_um_zyx, spacing_um, order=0)
    structure_zyx = images.resample_isotropic(structure_zyx, spacing_um_zyx, spacing_um, order=1)
    return structure_zyx, masks[guide], masks[kept]


def _read_roles(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], roles: list[str]
) -> tuple[dict[str, np.ndarray], tuple[float, float, float]]:
    """Return the channels of some roles, the structure's first, and the edges of their voxels."""
    channels, spacing_um_zyx = dataset["channels"], dataset["source"].get("spacing_um_zyx")
    paths = {crop: folder / row[crop] for crop in CROPS if row[crop]}
    named = row.get("name_dict")
    names = images.parse_name_dict(named, list(paths)) if isinstance(named, str) and named else {}
    held = {role: _holder(paths, names, channels[role], last=role != "structure") for role in roles}
    read: dict[str, np.ndarray] = {}
    for crop in dict.fromkeys(held.values()):
        here = {role: channels[role] for role in roles if held[role] == crop}
        found, spacing_um_zyx = images.read_channels(
            paths[crop],
            sorted(set(here.values())),
            channel_names=names.get(crop),
            spacing_um_zyx=spacing_um_zyx,
        )
        read |= {role: found[channel] for role, channel in here.items()}
        shape, expected = found[next(iter(here.values()))].shape, read["structure"].shape
        if shape != expected:
            raise InputError(
                f"{paths[crop]}: shape {shape}, but {row[held['structure']]} has {expected} (z, y, x). "
                "Fetch both crops of this cell again."
            )
    return read, spacing_um_zyx


def _holder(paths: Mapping[str, Path], names: Mapping[str, list[str]], channel: str, *, last: bool) -> str:
    """Return the crop that holds a channel; where both or neither do, crop_seg if `last`, else crop_raw."""
    crops = sorted(paths, reverse=last)
    if len(crops) > 1:
        for crop in crops:
            if channel in (names.get(crop) or images.channel_names(paths[crop])):
                return crop
    return crops[0]


def _writer(part: Path, name: str) -> volumes.VolumeWriter:
    return volumes.VolumeWriter(part / f"{name}.npy", ARRAYS[name])
