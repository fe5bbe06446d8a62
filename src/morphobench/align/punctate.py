"""Stage `align` for cells in images: cubic voxels, the long axis of the cell along x."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.align import inplane
from morphobench.files import FilePath, shards
from morphobench.files.crops import LABEL, MARKS, read_cell
from morphobench.files.layout import CELL, crop_folder
from morphobench.log import logger

_PLACES = [f"{name}_{axis}_um" for name in ("center", "origin") for axis in "zyx"]
_DEFAULTS = dict.fromkeys(("spacing_um", "angle_degrees", "elongation", *_PLACES), np.nan) | MARKS
_DEFAULTS |= {"nearly_square": False}


def run(
    shard_in: FilePath, shard_out: FilePath, *, dataset: Mapping[str, Any], max_failed_fraction: float
) -> None:
    """Align one shard of cells from stage `download`; it fails when too many of its cells do.

    Writes structure.npy (float32, not masked, 0 outside the crop: camera counts, or for datasets of kind
    polymorphic the share of a voxel that is foreground, 0 to 1) and mask.npy (uint8, 0 or 1). Columns:
    spacing_um, the edge of a voxel; `crops.MARKS`; elongation, how much longer than wide the cell is in the
    plane; nearly_square, whether that is below align.least_elongation, so that noise decides about its axis
    (a warning); and the transform. With c = center_{z,y,x}_um,
    the corner of the stored volume o = origin_{z,y,x}_um, and the angle of the long axis a = angle_degrees
    (see `align.inplane`), the point p of the raw crop, micrometres from its corner, lies at
    R(-a) (p - c) + c - o in the stored volume.

    Parameters
    ----------
    dataset
        Keys source, channels, align, voxel_um and kind of its configuration, mask.role and mask.reference,
        whether masks are read as published: every value above 0.
    """
    folder = crop_folder(shard_in, dataset["source"])
    with shards.create(shard_out, "align", max_failed_fraction) as shard:
        cells = files.read_cells(shard_in)
        shard.fill(cells, lambda row: align_cell(row, folder, dataset), CELL, _DEFAULTS, timed=True)
        warn_of_marks(shard.cells)
        if dataset["align"]["enabled"]:
            warn_of_squares(shard.cells)


def warn_of_marks(cells: pd.DataFrame) -> None:
    """Log one warning for each kind of mark, with the number of cells that have it and the first one."""
    found = {
        f"a mask with several labels; that in column {LABEL} is taken, or the central one": cells[
            "n_mask_labels"
        ]
        > 1,
        "stray voxels in the mask, which are left out (column mask_stray_voxels)": cells["mask_stray_voxels"]
        > 0,
    }
    faults = sorted(set(cells["structure_fault"]) - {""})
    found |= {
        f"a structure channel that is {one} in the cell": cells["structure_fault"] == one for one in faults
    }
    for what, has in found.items():
        if has.any():
            first = cells.loc[has, "CellId"].iloc[0]
            logger.warning("align: %d of %d cells have %s, first %s", has.sum(), len(cells), what, first)


def warn_of_squares(cells: pd.DataFrame) -> None:
    """Log one warning with the number of cells whose long axis is hardly one."""
    square = cells["nearly_square"].astype(bool)
    if square.any():
        what = "cells are nearly as wide as long (column nearly_square): their angle is arbitrary, first"
        first = cells.loc[square, "CellId"].iloc[0]
        logger.warning("align: %d of %d %s %s", square.sum(), len(cells), what, first)


def align_cell(row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any]) -> shards.Result:
    """Read one cell, resample it to cubic voxels and lay its long axis along x; see `run`."""
    config, spacing_um = dataset["align"], dataset["voxel_um"]
    structure_zyx, guide_zyx, kept_zyx, marks = read_cell(row, folder, dataset, spacing_um)
    center = inplane.center_zyx(guide_zyx)
    angle = inplane.inplane_angle(guide_zyx, unique=config["unique"]) if config["enabled"] else 0.0
    elongation = inplane.inplane_elongation(guide_zyx)
    box = inplane.rotated_box(kept_zyx, angle, center, margin=config["margin_voxel"])
    places = [place * spacing_um for place in (*center.tolist(), *(span.start for span in box))]
    columns = (
        {"spacing_um": spacing_um, "angle_degrees": angle, "elongation": elongation}
        | {"nearly_square": bool(elongation < config["least_elongation"])}
        | dict(zip(_PLACES, places, strict=True))
        | marks
    )
    order = int(config["interpolation"] == "linear")
    return columns, {
        "structure": inplane.rotate_inplane(structure_zyx, angle, center, order=order, box=box),
        "mask": inplane.rotate_inplane(kept_zyx, angle, center, order=0, box=box),
    }
