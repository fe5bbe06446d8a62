"""Multi-piece cells in the published layout: grids, a mesh, surface and query points, scale factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import trimesh

from morphobench import files
from morphobench.files.layout import stored_mesh
from morphobench.log import logger
from morphobench.published.polymorphic import CATEGORY, DISTANCES, POINTS_UM, QUERIES, SURFACE

_ARRAYS = ("sdf", "seg", "surface", "normals", "queries", "distances", "points_um")
_LOC = ("loc_x_um", "loc_y_um", "loc_z_um")


def write(
    folder: Path,
    root: PurePosixPath,
    cells: pd.DataFrame,
    shards: Mapping[str, Sequence[str | Path]],
    dataset: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the files of every cell, and the table of scale factors.

    Lengths are in source voxels and distance grids have axes x, y, z, as published; points are float32, not
    rounded to float16, so that distances belong to them. Meshes are those of stage `mask`, centred on the
    mean of their vertices.

    Parameters
    ----------
    folder, root
        Folder of the manifest, and its name in the published folder.
    cells
        Rows of the manifest, all of cells that were sampled.
    shards
        Shard folders of stages `sample` and `mask`, in the same order.
    dataset
        Keys voxel_um and sample of its configuration.

    Returns
    -------
    dict
        Columns sdf_path, seg_path, mesh_folder, pointcloud_folder and scale_factor for the manifest.
    """
    names = {"sdf_path": "outputs_sdf", "seg_path": "outputs_seg"}
    for name in (*names.values(), "outputs_mesh", f"pointcloud/{CATEGORY}"):
        (folder / name).mkdir(parents=True)
    opened = {name: [files.read_array(shard, name) for shard in shards["sample"]] for name in _ARRAYS}
    masked = [files.read_cells(shard).set_index("CellId") for shard in shards["mask"]]
    as_published = dataset["sample"].get("mode") == "reference"
    for number, row in enumerate(cells.to_dict("records"), start=1):
        found = {name: np.asarray(arrays[row["shard"]][row["index"]]) for name, arrays in opened.items()}
        sdf = found["sdf"] if as_published else found["sdf"].T
        np.save(folder / f"outputs_sdf/{row['CellId']}.npy", np.ascontiguousarray(sdf, dtype=np.float64))
        np.save(folder / f"outputs_seg/{row['CellId']}.npy", found["seg"])
        mesh_row = masked[row["shard"]].loc[row["CellId"]]
        mesh = stored_mesh(shards["mask"][row["shard"]], mesh_row)
        _write_mesh(folder / f"outputs_mesh/{row['CellId']}.stl", *mesh, dataset["voxel_um"])
        _write_clouds(folder / f"pointcloud/{CATEGORY}/{row['CellId']}", row, found, dataset["voxel_um"])
        if number % 100 == 0 or number == len(cells):
            logger.info("published %d of %d cells", number, len(cells))
    _write_lists(folder / f"pointcloud/{CATEGORY}", cells)
    factors = cells["scale_factor"].to_numpy(np.float64) * dataset["voxel_um"]
    np.savez(folder / "scale_factor.npz", keys=cells["CellId"].to_numpy(str), values=factors)
    paths = {
        column: [str(root / f"{place}/{cell}.npy") for cell in cells["CellId"]]
        for column, place in names.items()
    }
    return {
        **paths,
        "mesh_folder": f"{root / 'outputs_mesh'}/",
        "pointcloud_folder": f"{root / 'pointcloud'}/",
        "scale_factor": str(root / "scale_factor.npz"),
    }


def _write_mesh(path: Path, vertices_um: np.ndarray, faces: np.ndarray, voxel_um: float) -> None:
    vertices = vertices_um.astype(np.float64) / voxel_um
    mesh = trimesh.Trimesh(vertices - vertices.mean(axis=0), faces, process=False)
    path.write_bytes(trimesh.exchange.stl.export_stl(mesh))


def _write_clouds(
    folder: Path, row: Mapping[str, Any], found: Mapping[str, np.ndarray], voxel_um: float
) -> None:
    folder.mkdir()
    place = {
        "loc": np.array([row[column] for column in _LOC]) / voxel_um,
        "scale": np.float64(row["scale_um"] / voxel_um),
    }
    clouds = {"points": found["surface"], "normals": found["normals"], POINTS_UM: found["points_um"]}
    np.savez(folder / SURFACE, **clouds, **place)
    occupancies = np.packbits(found["distances"] < 0)
    np.savez(folder / QUERIES, points=found["queries"], occupancies=occupancies, **place)
    np.save(folder / DISTANCES, found["distances"])


def _write_lists(folder: Path, cells: pd.DataFrame) -> None:
    for split in ("train", "val", "test"):
        ids = cells.loc[cells["split"] == split, "CellId"]
        (folder / f"{split}.lst").write_text("".join(f"{cell}\n" for cell in ids))
