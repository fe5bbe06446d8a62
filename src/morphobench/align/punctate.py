"""Stage `align` for cells in images: cubic voxels, the long axis of the cell along x."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files
from morphobench.align import inplane
from morphobench.files import FilePath, shards
from morphobench.files.crops import read_crops
from morphobench.files.layout import CELL, crop_folder

_PLACES = [f"{name}_{axis}_um" for name in ("center", "origin") for axis in "zyx"]
_DEFAULTS = dict.fromkeys(("spacing_um", "angle_degrees", *_PLACES), np.nan)


def run(
    shard_in: FilePath, shard_out: FilePath, *, dataset: Mapping[str, Any], max_failed_fraction: float
) -> None:
    """Align one shard of cells from stage `download`; it fails when too many of its cells do.

    Writes structure.npy (float32, not masked, 0 outside the crop: camera counts, or for datasets of kind
    polymorphic the share of a voxel that is foreground, 0 to 1) and mask.npy (uint8, 0 or 1). Columns:
    spacing_um, the edge of a voxel, and the transform. With c = center_{z,y,x}_um, the corner of the stored
    volume o = origin_{z,y,x}_um, and the angle of the long axis a = angle_degrees (see `align.inplane`), the
    point p of the raw crop, micrometres from its corner, lies at R(-a) (p - c) + c - o in the stored volume.

    Parameters
    ----------
    dataset
        Keys source, channels, align, voxel_um and kind of its configuration, and mask.role.
    """
    folder = crop_folder(shard_in, dataset["source"])
    with shards.create(shard_out, "align", max_failed_fraction) as shard:
        cells = files.read_cells(shard_in)
        shard.fill(cells, lambda row: align_cell(row, folder, dataset), CELL, _DEFAULTS, timed=True)


def align_cell(row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any]) -> shards.Result:
    """Read one cell, resample it to cubic voxels and lay its long axis along x; see `run`."""
    config, spacing_um = dataset["align"], dataset["voxel_um"]
    structure_zyx, guide_zyx, kept_zyx = read_crops(row, folder, dataset, spacing_um)
    center = inplane.center_zyx(guide_zyx)
    angle = inplane.inplane_angle(guide_zyx, unique=config["unique"]) if config["enabled"] else 0.0
    box = inplane.rotated_box(kept_zyx, angle, center, margin=config["margin_voxel"])
    places = [place * spacing_um for place in (*center.tolist(), *(span.start for span in box))]
    columns = {"spacing_um": spacing_um, "angle_degrees": angle} | dict(zip(_PLACES, places, strict=True))
    order = int(config["interpolation"] == "linear")
    return columns, {
        "structure": inplane.rotate_inplane(structure_zyx, angle, center, order=order, box=box),
        "mask": inplane.rotate_inplane(kept_zyx, angle, center, order=0, box=box),
    }
