"""Published packings, read and written: positions of spheres, shapes of nuclei, and images of both."""

import shutil
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import limits
from morphobench.files.layout import (
    CENTRES,
    NUCLEI,
    PACKINGS,
    SHAPES,
    TRANSLATION,
    positions_name,
    stored_cloud,
)
from morphobench.files.packings import SHAPE_MANIFEST, read_positions, read_shapes
from morphobench.files.volumes import Layout
from morphobench.geometry import meshes, packing
from morphobench.geometry.overlap import Grid, voxelise
from morphobench.geometry.rotation import packing_to_um
from morphobench.published.manifest import fetch_file
from morphobench.published.shard import Cell, Content, Shards, each_row, explained, in_published_frame
from morphobench.remote import Store

_FIGURES = f"{PACKINGS}/figures"
# Channel of the spheres in a published image; axes are packing y, channel, z, x.
_SPHERES = 1
_METADATA = {"axes": "ZCYX", "Channel": {"Name": ["nucleus", "pcna"]}}


def _file_names(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the names of a cell's positions, shape and image, below the folder of the manifest."""
    rule, shape, angle = (row[column] for column in ("rule", "group", "angle"))
    image = f"voxelized_image_pcna_analyze_{rule}_{shape}_{angle}_seed_0.ome.tiff"
    positions = f"{PACKINGS}/{positions_name(rule, shape, angle)}"
    return positions, f"{SHAPES}/{shape}_{angle}.obj", f"{_FIGURES}/{image}"


def content(dataset: Mapping[str, Any]) -> Content:
    """Return what a shard holds: points_um, and cubes of spheres, or summed up from published images.

    The spheres themselves, centres_um, are kept unless the images lie in a frame of their own.
    """
    sample, published = dataset["sample"], in_published_frame(dataset)
    cube = Layout(np.float32 if published else np.uint8, (sample["cube"]["size"],) * 3)
    arrays = {"points_um": Layout(np.float32, (sample["points"]["n_points"], 3)), "cube": cube}
    measured = dict.fromkeys((*TRANSLATION, "radius_um"), np.nan) | {"n_outside": 0}
    return Content(arrays) if published else Content(arrays | CENTRES, defaults=measured)


def with_files(cells: pd.DataFrame, store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Add the angle of each cell's shape, and the names of its positions and its shape or image.

    Raises
    ------
    InputError
        When the manifest of the shapes is missing or wrong.
    """
    root = PurePosixPath(dataset["published"]["preprocessed"]).parent
    path = fetch_file(store, str(root / SHAPES / SHAPE_MANIFEST), dataset)
    shapes = read_shapes(path).set_index("CellId")
    angle = cells["group"].map(shapes["angle"])
    errors = cells["group"].map(shapes["error"]).fillna("").where(cells["error"] == "", cells["error"])
    errors[angle.isna()] = f"{path}: this shape has no row. Add it, or leave its cells out."
    cells = cells.assign(angle=angle.fillna(""), error=errors, success=errors == "")
    places = (0, 2) if in_published_frame(dataset) else (0, 1)
    names = [_file_names(row) for row in cells.to_dict("records")]
    return cells.assign(files=[[str(root / own[place]) for place in places] for own in names])


def reader(dataset: Mapping[str, Any], seed: int) -> Callable[[dict[str, Any]], Cell]:
    """Return the function that reads a cell: as stages align, mask and sample do, or as published."""
    sample, source, voxel_um = dataset["sample"], dataset["source"], dataset["voxel_um"]

    @lru_cache(maxsize=1)
    def nucleus(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        place = {"unit_um": source["shape_unit_um"], "axes": source["shape_axes"], "centred": False}
        mesh = packing.to_packing_frame(meshes.read_closed_mesh(path), voxel_um=voxel_um, **place)
        vertices_um, translation_um = packing.centre_nucleus(mesh, voxel_um)
        # As precise as the shards of stage align hold them; so are the points.
        return vertices_um.astype(np.float32), mesh.faces, translation_um

    def read(row: dict[str, Any]) -> Cell:
        positions = read_positions(row["paths"][0])
        vertices_um, faces, translation_um = nucleus(row["paths"][1])
        cloud_um = (packing_to_um(positions, voxel_um) + translation_um).astype(np.float32)
        kept_um = packing.keep_inside(cloud_um, vertices_um, faces, **dataset["mask"])
        packing.check_fits(kept_um, sample["cube"]["side_um"], sample["cube"]["radius_um"])
        columns = dict(zip(TRANSLATION, translation_um.tolist(), strict=True))
        columns["n_outside"] = len(cloud_um) - len(kept_um)
        columns["radius_um"] = float(np.linalg.norm(kept_um, axis=1).max())
        cube = packing.rasterise(kept_um, **sample["cube"])
        arrays = {"points_um": _upsample(kept_um, row, dataset, seed), "cube": cube, "centres_um": kept_um}
        return Cell(columns, arrays)

    def read_published(row: dict[str, Any]) -> Cell:
        positions, image = row["paths"]
        points_um = _upsample(read_positions(positions) * voxel_um, row, dataset, seed)
        return Cell({}, {"points_um": points_um, "cube": read_image(image, sample["cube"]["size"])})

    return read_published if in_published_frame(dataset) else read


def _upsample(
    cloud_um: np.ndarray, row: Mapping[str, Any], dataset: Mapping[str, Any], seed: int
) -> np.ndarray:
    rng = seeds.generator(seed, dataset["name"], "sample", row["CellId"])
    return packing.upsample(cloud_um, **dataset["sample"]["points"], rng=rng)


def read_example(path: Path, row: Mapping[str, Any], dataset: Mapping[str, Any], seed: int) -> np.ndarray:
    """Read the points of one cell for a figure; shape (n_points, 3), micrometres.

    They are centred on their own mean: the nucleus is not fetched.
    """
    cloud_um = packing_to_um(read_positions(path), dataset["voxel_um"])
    return _upsample(cloud_um - cloud_um.mean(axis=0), row, dataset, seed)


def read_image(path: Path, size: int) -> np.ndarray:
    """Read the spheres of a published image and sum them up in blocks, as the published loader does.

    The image is OME-TIFF with axes packing y, channel, z, x. Its last axis, the depth, is padded on both
    sides to the length of the others, a multiple of `size`.

    Returns
    -------
    numpy.ndarray
        Shape (size, size, size), float32, axes packing y, z, x: those of the image.

    Raises
    ------
    InputError
        When the file is damaged or has other axes or sizes.
    """
    import tifffile

    with explained(path):
        limits.check_tiff(path)
        image = tifffile.imread(path)
        if image.ndim != 4 or image.shape[1] <= _SPHERES:
            raise InputError(f"shape {image.shape}, expected axes y, channel, z, x with two channels.")
        spheres = image[:, _SPHERES]
        long, missing = spheres.shape[0], spheres.shape[0] - spheres.shape[2]
        if spheres.shape[1] != long or missing < 0 or missing % 2 or long % size:
            fault = f"not square in y and z, too deep, or no multiple of sample.cube.size = {size}"
            raise InputError(f"the spheres have shape {spheres.shape}: {fault}.")
        spheres = np.pad(spheres, [(0, 0), (0, 0), (missing // 2,) * 2])
        parts = spheres.reshape((size, long // size) * 3)
        return parts.sum(axis=(1, 3, 5), dtype=np.float32)


def write(
    folder: Path, root: PurePosixPath, cells: pd.DataFrame, shards: Shards, dataset: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the files of every cell from shards of download and mask; see `punctate.write`.

    Positions and shapes are in packing units. Images hold the nucleus and the spheres in sub-voxels of the
    cubes, centred on the nucleus. The manifest needs no paths: names follow from rule, shape and angle.
    """
    import tifffile

    (folder / _FIGURES).mkdir(parents=True)
    (folder / SHAPES).mkdir()
    shapes = [
        files.read_csv(Path(shard) / SHAPES / SHAPE_MANIFEST, ["CellId", "angle"])
        for shard in shards["download"]
    ]
    files.write_table(pd.concat(shapes, ignore_index=True), folder / SHAPES / SHAPE_MANIFEST)
    cube = dataset["sample"]["cube"]
    grid = {**cube, "size": cube["size"] * cube["oversample"], "oversample": 1}

    @lru_cache(maxsize=1)
    def nucleus(shard: int, group: str) -> np.ndarray:
        mesh = meshes.read_closed_mesh(Path(shards["mask"][shard]) / NUCLEI / f"{group}.ply")
        return voxelise((mesh.vertices, mesh.faces), centred_grid(grid["size"], grid["side_um"]))

    masked = [files.read_cells(shard).set_index("CellId") for shard in shards["mask"]]
    for row in each_row(cells.sort_values(["shard", "group"])):
        shard, (positions, shape, image) = row["shard"], _file_names(row)
        for name in (positions, shape):
            shutil.copyfile(Path(shards["download"][shard]) / name, folder / name)
        cloud_um = stored_cloud(shards["mask"][shard], masked[shard].loc[row["CellId"]])
        cubes = to_image(nucleus(shard, row["group"]), packing.rasterise(cloud_um, **grid))
        tifffile.imwrite(folder / image, cubes, compression="zlib", metadata=_METADATA)
    return {}


def centred_grid(size: int, side_um: float) -> Grid:
    """Return the grid of a cube about the origin."""
    return Grid(np.full(3, -side_um / 2), np.full(3, side_um / size), (size,) * 3)


def to_image(nucleus_zyx: np.ndarray, spheres_zyx: np.ndarray) -> np.ndarray:
    """Return two cubes, zero or not, as an image of the published axes: packing y, channel, z, x.

    Empty planes at both ends of the depth, the last axis, are cut off as far as both ends allow.

    Returns
    -------
    numpy.ndarray
        Shape (s, 2, s, depth) for cubes of side s, uint8, 0 and 255.
    """
    both = np.stack([nucleus_zyx, spheres_zyx]) > 0
    used = np.flatnonzero(both.any(axis=(0, 2, 3)))
    size = both.shape[1]
    cut = min(used[0], size - 1 - used[-1]) if len(used) else 0
    # Ours x, y, z are the packing's y, z, x.
    return np.ascontiguousarray(both[:, cut : size - cut].transpose(3, 0, 2, 1), dtype=np.uint8) * 255
