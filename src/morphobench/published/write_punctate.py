"""Punctate cells in the published layout: a PLY file and an image each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import plyfile
import tifffile

from morphobench import files
from morphobench.log import logger

_PROPERTIES = ("z", "y", "x", "s")


def write(
    folder: Path,
    root: PurePosixPath,
    cells: pd.DataFrame,
    shards: Mapping[str, Sequence[str | Path]],
    dataset: Mapping[str, Any],
) -> dict[str, list[str]]:
    """Write the files of every cell.

    Parameters
    ----------
    folder, root
        Folder of the manifest, and its name in the published folder.
    cells
        Rows of the manifest, all of cells that were sampled.
    shards
        Shard folders of stage `sample`.
    dataset
        Key voxel_um of its configuration.

    Returns
    -------
    dict
        Columns pointcloud_path and image_path for the manifest. Images hold counts.
    """
    for name in ("pointcloud", "image"):
        (folder / name).mkdir()
    opened = {
        name: [files.read_array(shard, name) for shard in shards["sample"]]
        for name in ("points_um", "intensity", "cube")
    }
    for number, row in enumerate(cells.itertuples(), start=1):
        found = {name: arrays[row.shard][row.index] for name, arrays in opened.items()}
        write_cloud(
            folder / f"pointcloud/{row.CellId}.ply",
            found["points_um"],
            found["intensity"],
            dataset["voxel_um"],
        )
        image = folder / f"image/{row.CellId}.tiff"
        tifffile.imwrite(image, np.asarray(found["cube"]), compression="zlib", metadata={"axes": "ZYX"})
        if number % 100 == 0 or number == len(cells):
            logger.info("published %d of %d cells", number, len(cells))
    return {
        "pointcloud_path": [str(root / f"pointcloud/{cell}.ply") for cell in cells["CellId"]],
        "image_path": [str(root / f"image/{cell}.tiff") for cell in cells["CellId"]],
    }


def write_cloud(path: Path, points_um: np.ndarray, intensity: np.ndarray, voxel_um: float) -> None:
    """Write a cloud as published: binary PLY with double properties z, y, x (voxels) and s.

    Parameters
    ----------
    path
        File to write.
    points_um
        Shape (n, 3), x, y, z, micrometres.
    intensity
        Shape (n,).
    voxel_um
        Micrometres per voxel.
    """
    vertices = np.empty(len(points_um), dtype=[(name, "<f8") for name in _PROPERTIES])
    for axis, name in enumerate("xyz"):
        vertices[name] = np.asarray(points_um[:, axis], dtype=np.float64) / voxel_um
    vertices["s"] = intensity
    element = plyfile.PlyElement.describe(vertices, "vertex")
    plyfile.PlyData([element], byte_order="<").write(str(path))
