"""Shards of cells as stages align and mask leave them, made up in a temporary folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import trimesh
from fabricate.cells import VOXEL_UM

from morphobench.files import shards
from morphobench.files.layout import CELL, CLOUD, MESH


def write_aligned(
    folder: Path, cells: Mapping[str, tuple[np.ndarray, np.ndarray]], structure_name: str = "SON"
) -> Path:
    """A shard of stage align with these cells, and one that failed before."""
    rows = [{"CellId": name, "success": True, "error": ""} for name in cells]
    rows.append({"CellId": "old", "success": False, "error": "no file"})
    table = pd.DataFrame(rows).assign(spacing_um=VOXEL_UM, structure_name=structure_name, note="kept")
    table = table.assign(group=table["CellId"], excluded=False)
    with shards.create(folder, "align", 1.0) as shard:
        shard.fill(table, lambda row: ({}, dict(zip(CELL, cells[row["CellId"]], strict=True))), CELL)
    return folder


def write_clouds(folder: Path, clouds: Mapping[str, np.ndarray]) -> Path:
    """A shard of packings as align and mask leave them, one that failed before; groups by first letter."""
    rows = [{"CellId": name, "success": True, "error": ""} for name in clouds]
    rows.append({"CellId": "old", "success": False, "error": "no file"})
    table = pd.DataFrame(rows)
    with shards.create(folder, "align", 1.0) as shard:
        cells = table.assign(group=table["CellId"].str[0])
        shard.fill(cells, lambda row: ({}, {"points_um": clouds[row["CellId"]]}), CLOUD)
    return folder


def write_meshes(folder: Path, meshes: Mapping[str, trimesh.Trimesh]) -> Path:
    """A shard of structures as mask leaves them, with their surfaces alone."""
    table = pd.DataFrame({"CellId": list(meshes), "group": list(meshes), "success": True, "error": ""})

    def surface(row: dict) -> shards.Result:
        mesh = meshes[row["CellId"]]
        return {}, dict(zip(MESH, (mesh.vertices, mesh.faces), strict=True))

    with shards.create(folder, "mask", 0.0) as shard:
        shard.fill(table.assign(excluded=False, spacing_um=0.5), surface, MESH)
    return folder
