"""Stage `align` for punctate structures: cubic voxels, the long axis of the cell along x."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files, images, stage, volumes
from morphobench.align import inplane
from morphobench.download.punctate import crop_folder
from morphobench.errors import InputError

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

    Writes structure.npy (float32, camera counts, not masked; 0 outside the crop) and mask.npy (uint8, 0 or
    1), each with all cells' volumes end to end and of the same shapes, see `morphobench.volumes`. Columns:
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
        Keys source; channels, the channel names by role (structure, nucleus_mask, cell_mask, ...); align,
        with keys mask (role of the mask whose axis and centre count), unique, margin_voxel, enabled and
        interpolation (of intensities, a key of `ORDERS`); mask, with key role, of the mask to keep, one or
        by structure_name; and voxel_um, the edge of the cubic voxels.
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

            cells = stage.each_cell(files.read_cells(shard_in), work, _DEFAULTS | {"seconds": 0.0}, "align")
        stage.finish(part, cells, max_failed_fraction, "align")


def align_cell(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Read one cell, resample it to cubic voxels and lay its long axis along x.

    Parameters
    ----------
    row
        Columns crop_raw, crop_seg and optionally name_dict.
    folder
        Where their paths start.
    dataset
        See `run`.

    Returns
    -------
    structure_zyx
        Float32, camera counts.
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
    """Read one cell at cubic voxels: the structure's counts, the mask to align by and the mask to keep.

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
        When an image is missing or wrong, or the two differ in shape.
    """
    named, channels = row.get("name_dict"), dataset["channels"]
    names = images.parse_name_dict(named) if isinstance(named, str) and named else {}
    raw, spacing_um_zyx = images.read_channels(
        folder / row["crop_raw"],
        [channels["structure"]],
        channel_names=names.get("crop_raw"),
        spacing_um_zyx=dataset["source"].get("spacing_um_zyx"),
    )
    structure_zyx = raw[channels["structure"]]
    guide, kept = dataset["align"]["mask"], stage.by_structure(dataset["mask"]["role"], row, "mask.role")
    roles = {guide, kept}
    seg, _ = images.read_channels(
        folder / row["crop_seg"],
        sorted(channels[role] for role in roles),
        channel_names=names.get("crop_seg"),
        spacing_um_zyx=spacing_um_zyx,
    )
    masks = {}
    for role in roles:
        mask_zyx = (seg[channels[role]] > 0).view(np.uint8)
        if mask_zyx.shape != structure_zyx.shape:
            raise InputError(
                f"{folder / row['crop_seg']}: shape {mask_zyx.shape}, but {row['crop_raw']} has "
                f"{structure_zyx.shape} (z, y, x). Fetch both crops of this cell again."
            )
        masks[role] = images.resample_isotropic(mask_zyx, spacing_um_zyx, spacing_um, order=0)
    structure_zyx = images.resample_isotropic(structure_zyx, spacing_um_zyx, spacing_um, order=1)
    return structure_zyx, masks[guide], masks[kept]


def _writer(part: Path, name: str) -> volumes.VolumeWriter:
    return volumes.VolumeWriter(part / f"{name}.npy", ARRAYS[name])
