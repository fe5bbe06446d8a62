"""Stage `mask` for packings: keep what lies inside the nucleus of each cell."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from morphobench import files
from morphobench.files import shards
from morphobench.files.layout import NUCLEI
from morphobench.geometry import meshes
from morphobench.geometry.packing import keep_inside


def run(
    shard_in: str | Path,
    shard_out: str | Path,
    *,
    min_points: int,
    tolerance_um: float,
    max_failed_fraction: float,
) -> None:
    """Mask one shard of point clouds; writes the layout of stage `align`.

    Adds columns n_outside, the number of points taken away, and radius_um, the largest distance of a kept
    point from the origin.

    Parameters
    ----------
    shard_in
        Shard folder of stage `align`.
    shard_out
        Folder to write, whole or not at all.
    min_points
        A cell with fewer points inside fails.
    tolerance_um
        How far outside the nucleus a point may lie, micrometres.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When too many cells fail.
    """
    shard_in = Path(shard_in)
    points_um = files.read_array(shard_in, "points_um")
    kept_clouds: list[np.ndarray] = []

    @lru_cache(maxsize=1)
    def nucleus(group: str) -> trimesh.Trimesh:
        return meshes.read_closed_mesh(shard_in / NUCLEI / f"{group}.ply")

    def work(row: dict[str, Any]) -> dict[str, Any]:
        cloud_um = shards.cloud(points_um, row)
        mesh = nucleus(row["group"])
        kept_um = keep_inside(
            cloud_um, mesh.vertices, mesh.faces, tolerance_um=tolerance_um, min_points=min_points
        )
        kept_clouds.append(kept_um)
        return {
            "n_points": len(kept_um),
            "n_outside": len(cloud_um) - len(kept_um),
            "radius_um": float(np.linalg.norm(kept_um, axis=1).max()),
        }

    defaults = {"first": 0, "n_points": 0, "n_outside": 0, "radius_um": np.nan}
    cells = shards.each_cell(files.read_cells(shard_in), work, defaults, "mask")
    with files.atomic_folder(shard_out) as part:
        if (shard_in / NUCLEI).exists():
            shutil.copytree(shard_in / NUCLEI, part / NUCLEI)
        shards.finish(part, shards.write_clouds(part, cells, kept_clouds), max_failed_fraction, "mask")
