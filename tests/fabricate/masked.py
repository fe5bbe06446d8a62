"""Shards of cells as stage align leaves them, made up in a temporary folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from fabricate.cells import VOXEL_UM, ellipsoid_mask, spots

from morphobench import files
from morphobench.files import volumes


def cell(shape_zyx=(14, 20, 24), semi_axes_zyx=(4, 6, 8), seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Counts with bright spots, and the mask they lie in."""
    mask_zyx = ellipsoid_mask(shape_zyx, semi_axes_zyx)
    counts = spots(mask_zyx, np.random.default_rng(seed), n=12).round()
    return counts.astype(np.float32), mask_zyx.astype(np.uint8)


def write_aligned(
    folder: Path, cells: Mapping[str, tuple[np.ndarray, np.ndarray]], structure_name: str = "SON"
) -> Path:
    """A shard of stage align with these cells, and one that failed before."""
    folder.mkdir(parents=True)
    rows = []
    with (
        volumes.VolumeWriter(folder / "structure.npy", np.float32) as structures,
        volumes.VolumeWriter(folder / "mask.npy", np.uint8) as masks,
    ):
        for name, (structure_zyx, mask_zyx) in cells.items():
            masks.append(mask_zyx)
            placed = volumes.placed(structures.append(structure_zyx), structure_zyx)
            rows.append({"CellId": name, "success": True, "error": "", **placed})
    nowhere = {"first_voxel": 0} | dict.fromkeys(volumes.SIZE_COLUMNS, 0)
    rows.append({"CellId": "old", "success": False, "error": "no file", **nowhere})
    table = pd.DataFrame(rows).assign(spacing_um=VOXEL_UM, structure_name=structure_name, note="kept")
    files.write_table(table.assign(group=table["CellId"], excluded=False), folder / files.CELL_TABLE)
    return folder
