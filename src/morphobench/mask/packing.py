"""Stage `mask` for packings: keep what lies inside the nucleus of each cell."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morphobench import files
from morphobench.files import FilePath, shards
from morphobench.files.layout import CLOUD, NUCLEI, stored_cloud
from morphobench.geometry import meshes
from morphobench.geometry.packing import keep_inside

if TYPE_CHECKING:
    import trimesh


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    min_points: int,
    tolerance_um: float,
    max_failed_fraction: float,
) -> None:
    """Mask one shard of point clouds from stage `align`, in its layout; it fails when too many cells do.

    Adds columns n_outside, the number of points taken away, and radius_um, the largest distance of a kept
    point from the origin.

    Parameters
    ----------
    min_points
        A cell with fewer points inside fails.
    tolerance_um
        How far outside the nucleus a point may lie, micrometres.
    """
    shard_in = Path(shard_in)

    @lru_cache(maxsize=1)
    def read_nucleus(group: str) -> trimesh.Trimesh:
        return meshes.read_closed_mesh(shard_in / NUCLEI / f"{group}.ply")

    def mask_cell(row: dict[str, Any]) -> shards.Result:
        cloud_um, mesh = stored_cloud(shard_in, row), read_nucleus(row["group"])
        kept_um = keep_inside(cloud_um, mesh.vertices, mesh.faces, tolerance_um, min_points)
        radius_um = float(np.linalg.norm(kept_um, axis=1).max())
        columns = {"n_outside": len(cloud_um) - len(kept_um), "radius_um": radius_um}
        return columns, {"points_um": kept_um}

    with shards.create(shard_out, "mask", max_failed_fraction) as shard:
        if (shard_in / NUCLEI).exists():
            shutil.copytree(shard_in / NUCLEI, shard.folder / NUCLEI)
        defaults = {"n_outside": 0, "radius_um": np.nan}
        shard.fill(files.read_cells(shard_in), mask_cell, CLOUD, defaults)
