"""Published punctate cells, read and written: a PLY file of points and an image each."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import file_rows
from morphobench.files.volumes import Layout
from morphobench.published.manifest import paths_of
from morphobench.published.shard import Cell, Content, Shards, each_row, explained
from morphobench.remote import Store

# Properties of a vertex: coordinates in voxels, and the intensity.
_AXES, _INTENSITY = ("x", "y", "z"), "s"
# Columns of the manifest, and the published file of a cell.
_FILES = {"pointcloud_path": "pointcloud/{}.ply", "image_path": "image/{}.tiff"}


def content(dataset: Mapping[str, Any]) -> Content:
    """Return what a shard holds: points_um and intensity, and the images as volumes `cube`."""
    n_points = dataset["sample"]["points"]["n_points"]
    arrays = {"points_um": Layout(np.float32, (n_points, 3)), "intensity": Layout(np.float32, (n_points,))}
    return Content(arrays, volumes=("cube",))


def with_files(cells: pd.DataFrame, store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Add the names of each cell's cloud and image."""
    return cells.assign(files=cells[list(_FILES)].to_numpy().tolist())


def reader(dataset: Mapping[str, Any], seed: int) -> Callable[[dict[str, Any]], Cell]:
    """Return the function that reads a cell; nothing is random."""
    n_points, size = dataset["sample"]["points"]["n_points"], dataset["sample"]["cube"]["size"]

    def read(row: dict[str, Any]) -> Cell:
        cloud, image = row["paths"]
        points_um, intensity = read_cloud(cloud, dataset["voxel_um"])
        if len(points_um) != n_points:
            fault = f"{row['pointcloud_path']} has {len(points_um)} points, not {n_points}"
            key = "published.overrides.preprocessed.sample.points.n_points"
            raise InputError(f"{fault}. Set {key} to what the files hold.")
        file_rows.read_row(image, "tiff", (size,) * 3)
        return Cell({}, {"points_um": points_um, "intensity": intensity}, {"cube": (image, "tiff")})

    return read


def read_example(path: Path, row: Mapping[str, Any], dataset: Mapping[str, Any], seed: int) -> np.ndarray:
    """Read the cloud of one cell for a figure; shape (n, 3), micrometres."""
    return read_cloud(path, dataset["voxel_um"])[0]


def read_cloud(path: Path, voxel_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Read a cloud: x, y, z in micrometres, shape (n, 3), and intensities, shape (n,); both float32.

    Intensities that are not a number are 1, as in the published reader.

    Raises
    ------
    InputError
        When the file is damaged, lacks a property, or has coordinates that are not finite.
    """
    import plyfile

    with explained(path):
        vertices = plyfile.PlyData.read(str(path))["vertex"].data
        if missing := [name for name in (*_AXES, _INTENSITY) if name not in (vertices.dtype.names or ())]:
            raise InputError(f"its vertices lack {', '.join(missing)}. Leave the cell out.")
        points_um = np.stack([vertices[axis] for axis in _AXES], axis=1).astype(np.float64) * voxel_um
        if not len(points_um) or not np.isfinite(points_um).all():
            raise InputError("it has no points, or some are not finite. Leave the cell out.")
        intensity = np.nan_to_num(vertices[_INTENSITY].astype(np.float32), nan=1.0)
    return points_um.astype(np.float32), intensity


def write(
    folder: Path, root: PurePosixPath, cells: pd.DataFrame, shards: Shards, dataset: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Write the files of every cell from shards of stage `sample`; return the columns with their paths.

    Parameters
    ----------
    folder, root
        Folder of the manifest, and its name in the published folder.
    cells
        Rows of the manifest, all of sampled cells.
    shards
        Shard folders by stage, in the order of the manifest's column `shard`.
    dataset
        Its configuration.
    """
    import tifffile

    for name in _FILES.values():
        (folder / name).parent.mkdir()
    names = ("points_um", "intensity", "cube")
    arrays = [[files.read_array(shard, name) for shard in shards["sample"]] for name in names]
    for row in each_row(cells):
        points_um, intensity, cube = (stored[row["shard"]][row["index"]] for stored in arrays)
        cloud, image = (folder / name.format(row["CellId"]) for name in _FILES.values())
        write_cloud(cloud, points_um, intensity, dataset["voxel_um"])
        tifffile.imwrite(image, np.asarray(cube), compression="zlib", metadata={"axes": "ZYX"})
    return paths_of(_FILES, root, cells)


def write_cloud(path: Path, points_um: np.ndarray, intensity: np.ndarray, voxel_um: float) -> None:
    """Write points, shape (n, 3), and intensities, (n,), as binary PLY: double properties z, y, x, s."""
    import plyfile

    vertices = np.empty(len(points_um), dtype=[(name, "<f8") for name in (*_AXES[::-1], _INTENSITY)])
    for name, column in zip(_AXES, np.asarray(points_um, dtype=np.float64).T, strict=True):
        vertices[name] = column / voxel_um
    vertices[_INTENSITY] = intensity
    plyfile.PlyData([plyfile.PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(path))
