"""Names of stored files and columns that several stages share, and one cell's arrays of a shard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files
from morphobench.files import FilePath
from morphobench.files.volumes import Layout, select

# Columns and folders of image crops.
CROPS = ("crop_raw", "crop_seg")
# Folders of packings and of the shapes of nuclei: published, and aligned.
PACKINGS, SHAPES, NUCLEI = "packings", "reference_nuclear_shapes", "nuclei"
# Columns with the translation that centres a packing on its nucleus.
TRANSLATION = tuple(f"translation_{axis}_um" for axis in "xyz")
# Keys of the published JSON files of packings: the first packing, the spheres inside the nucleus.
POSITION_KEYS = ("0", "nucleus_interior_pcna")

# Columns that place a cell in the arrays of its shard.
POINTS, VERTICES, FACES = ("first", "n_points"), ("first_vertex", "n_vertices"), ("first_face", "n_faces")
SIZES = ("size_z", "size_y", "size_x")
VOXELS = ("first_voxel", *SIZES)
# Arrays of the shards of align and mask: packings, images, segmented structures and their surfaces.
CLOUD = {"points_um": Layout(np.float32, (3,), POINTS)}
CELL = {"structure": Layout(np.float32, (), VOXELS), "mask": Layout(np.uint8, (), VOXELS)}
# Points as they were recorded, with the weight of each.
WEIGHTED_CLOUD = CLOUD | {"weight": Layout(np.float32, (), POINTS)}
# Beside the sampled clouds and cubes of packings, which are made of them.
CENTRES = {"centres_um": Layout(np.float32, (3,), POINTS)}
SEGMENTATION = {"segmentation": Layout(np.uint8, (), VOXELS)}
MESH = {"vertices_um": Layout(np.float32, (3,), VERTICES), "faces": Layout(np.int32, (3,), FACES)}


def surface_arrays(n_surface: int, n_queries: int, n_points: int) -> dict[str, Layout]:
    """Return the layouts of the clouds of shapes in a shard of stage `sample`."""
    numbers = {"surface": n_surface, "normals": n_surface, "queries": n_queries, "points_um": n_points}
    points = {name: Layout(np.float32, (n, 3)) for name, n in numbers.items()}
    return points | {"distances": Layout(np.float32, (n_queries,))}


def positions_name(rule: str, shape: str, angle: str) -> str:
    """Return the published file name of one packing."""
    return f"positions_pcna_analyze_{rule}_{shape}_{angle}.json"


def crop_folder(shard: FilePath, source: Mapping[str, Any]) -> Path:
    """Return the folder that crop_raw and crop_seg of the cell table of a download shard start from."""
    return Path(shard) if source.get("fovs") or source.get("stack") else Path()


def stored(shard: FilePath, row: Mapping[str, Any], arrays: Mapping[str, Layout]) -> Sequence[np.ndarray]:
    """Return a cell's arrays out of a shard, in the order of their layouts."""
    # Opened for each cell: what a mapped file has read stays in memory for as long as it is mapped.
    return tuple(select(files.read_array(shard, name), row, arrays[name].columns) for name in arrays)


def stored_cloud(shard: FilePath, row: Mapping[str, Any]) -> np.ndarray:
    """Return a packing's points out of a shard of align or mask, shape (n_points, 3), micrometres."""
    return stored(shard, row, CLOUD)[0]


def stored_weighted_cloud(shard: FilePath, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a cell's points (n, 3), x, y, z, micrometres, and their weights (n,), out of a shard."""
    return stored(shard, row, WEIGHTED_CLOUD)


def stored_centres(shard: FilePath, row: Mapping[str, Any]) -> np.ndarray:
    """Return a packing's sphere centres out of a shard of stage sample, shape (n, 3), micrometres."""
    return stored(shard, row, CENTRES)[0]


def stored_cell(shard: FilePath, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a cell's intensities and mask, each of shape (z, y, x), out of a shard of align or mask."""
    return stored(shard, row, CELL)


def stored_segmentation(shard: FilePath, row: Mapping[str, Any]) -> np.ndarray:
    """Return a structure's filled segmentation out of a mask shard, uint8, shape (z, y, x)."""
    return stored(shard, row, SEGMENTATION)[0]


def stored_mesh(shard: FilePath, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a structure's closed surface out of a mask shard.

    Returns
    -------
    vertices_um
        float32, shape (n_vertices, 3), x, y, z from the corner of the aligned crop.
    faces
        int32, shape (n_faces, 3), outward.
    """
    return tuple(map(np.array, stored(shard, row, MESH)))
