"""Published multi-piece cells, read and written: grids, a mesh, surface and query points, scale factors."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import file_rows, limits, npz
from morphobench.files.factors import read_factors
from morphobench.files.layout import stored_mesh, surface_arrays
from morphobench.published.manifest import paths_of, relative_path
from morphobench.published.shard import Cell, Content, Shards, each_row, explained, in_published_frame
from morphobench.remote import Store

# Below the folder of clouds: the category, and the files of a cell.
_CATEGORY = "0"
_SURFACE, _QUERIES, _DISTANCES = "pointcloud.npz", "points.npz", "df.npy"
# Ours, beside the published arrays of a surface file: the points that figures and scores of shapes use.
_POINTS_UM = "points_um"
_GRIDS = {"sdf_path": "outputs_sdf/{}.npy", "seg_path": "outputs_seg/{}.npy"}
_FACTORS = "scale_factor.npz"
_LOC_UM = ("loc_x_um", "loc_y_um", "loc_z_um")
_MAX_BYTES = 2**30


def content(dataset: Mapping[str, Any]) -> Content:
    """Return what a shard holds: points on and about the surface, and the grids sdf and seg as volumes."""
    sample = dataset["sample"]
    arrays = surface_arrays(**{key: sample[key] for key in ("n_surface", "n_queries", "n_points")})
    defaults = dict.fromkeys((*_LOC_UM, "scale_um", "scale_factor"), np.nan)
    return Content(arrays, ("sdf", "seg"), sample["resolution"], defaults)


def with_files(cells: pd.DataFrame, store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Add the names of each cell's surface, query points, distances, grids and, if any, scale factors."""
    prefixes = dataset["published"].get("prefixes") or ()

    errors = cells["error"].copy()

    def factors(index: int, row: Mapping[str, Any]) -> list[str]:
        try:
            return [relative_path(name, prefixes) for name in (row.get("scale_factor"),) if pd.notna(name)]
        except InputError as error:
            errors[index] = errors[index] or f"scale_factor: {error}"
            return []

    def names(index: int, row: Mapping[str, Any]) -> list[str]:
        folder = f"{row['pointcloud_folder']}/{_CATEGORY}/{row['CellId']}"
        clouds = [f"{folder}/{name}" for name in (_SURFACE, _QUERIES, _DISTANCES)]
        return [*clouds, row["sdf_path"], row["seg_path"], *factors(index, row)]

    listed = [names(*pair) for pair in zip(cells.index, cells.to_dict("records"), strict=True)]
    return cells.assign(files=listed, error=errors, success=errors == "")


def reader(dataset: Mapping[str, Any], seed: int) -> Callable[[dict[str, Any]], Cell]:
    """Return the function that reads a cell.

    Published distance grids have axes x, y, z and are read as z, y, x, unless they keep the published frame.
    Segmentations a voxel short of the grid are padded.
    """
    sample, voxel_um, edge = dataset["sample"], dataset["voxel_um"], dataset["sample"]["resolution"]
    axes = "npy" if in_published_frame(dataset) else "npy_xyz"
    factors_of = cache(read_factors)

    def read(row: dict[str, Any]) -> Cell:
        surface, queries, distances, sdf, seg, *factors = row["paths"]
        volumes = {"sdf": (sdf, axes), "seg": (seg, "npy")}
        file_rows.read_row(*volumes["sdf"], (edge,) * 3)
        file_rows.read_row(*volumes["seg"], edge=edge)
        stored = read_arrays(surface)
        arrays = _clouds(stored, surface, queries, distances)
        for name in ("surface", "queries"):
            n, key = len(arrays[name]), f"n_{name}"
            if n != sample[key]:
                fault = f"{n} points in the published {name}, but sample.{key} is {sample[key]}"
                remedy = "Set it in published.overrides.preprocessed to what the files hold."
                raise InputError(f"{row['CellId']}: {fault}. {remedy}")
        factor = factors_of(factors[0]).get(row["CellId"], np.nan) if factors else np.nan
        columns = _place(stored, surface, voxel_um) | {"scale_factor": factor / voxel_um}
        arrays["points_um"] = _points_um(stored, surface, row, dataset, seed)
        return Cell(columns, arrays, volumes)

    return read


def _clouds(
    stored: Mapping[str, np.ndarray], surface: Path, queries: Path, distances: Path
) -> dict[str, np.ndarray]:
    arrays = {"surface": _points(stored, "points", surface), "normals": _points(stored, "normals", surface)}
    arrays["queries"] = _points(read_arrays(queries), "points", queries)
    with explained(distances):
        limits.check_npy(distances)
        arrays["distances"] = np.load(distances, allow_pickle=False).astype(np.float32)
        if arrays["distances"].shape != arrays["queries"].shape[:1]:
            raise InputError(f"shape {arrays['distances'].shape} for {len(arrays['queries'])} query points.")
    return arrays


def read_example(path: Path, row: Mapping[str, Any], dataset: Mapping[str, Any], seed: int) -> np.ndarray:
    """Read points on the surface of one cell for a figure; shape (n_points, 3), micrometres."""
    return _points_um(read_arrays(path), path, row, dataset, seed)


def _points_um(
    stored: dict[str, np.ndarray], path: Path, row: Mapping[str, Any], dataset: Mapping[str, Any], seed: int
) -> np.ndarray:
    """Return the stored points where they are as many as sample.n_points, else some of the surface points."""
    n_points = dataset["sample"]["n_points"]
    if len(stored.get(_POINTS_UM, ())) == n_points:
        return stored[_POINTS_UM].astype(np.float32)
    surface = _points(stored, "points", path)
    scale_um = _place(stored, path, dataset["voxel_um"])["scale_um"]
    rng = seeds.generator(seed, dataset["name"], "sample", row["CellId"])
    chosen = rng.choice(len(surface), n_points, replace=n_points > len(surface))
    return surface[chosen] * np.float32(scale_um)


def _place(stored: Mapping[str, np.ndarray], path: Path, voxel_um: float) -> dict[str, float]:
    """Return centre and longest side of the cell's bounding box, which files hold in source voxels."""
    with explained(path):
        loc_um = np.asarray(stored["loc"], dtype=np.float64).reshape(3) * voxel_um
        scale_um = float(np.asarray(stored["scale"]).reshape(())) * voxel_um
        if not np.isfinite(loc_um).all() or not 0 < scale_um < np.inf:
            raise InputError("loc and scale are no place and size.")
    return dict(zip(_LOC_UM, loc_um.tolist(), strict=True)) | {"scale_um": scale_um}


def _points(stored: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    with explained(path):
        points = stored[name].astype(np.float32)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise InputError(f"{name} has shape {points.shape}, or numbers that are not finite.")
    return points


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a published .npz file; nothing in it is unpickled.

    Raises
    ------
    InputError
        When the file is damaged, would unpack to more than a gigabyte, or holds objects.
    """
    with explained(path):
        npz.check_sizes(path, _MAX_BYTES)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def write(
    folder: Path, root: PurePosixPath, cells: pd.DataFrame, shards: Shards, dataset: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the files of every cell from shards of sample and mask, and a file of scale factors.

    For parameters and result see `punctate.write`.

    Lengths are in source voxels and distance grids have axes x, y, z, as published; points are float32, not
    rounded to float16, so that distances belong to them. Meshes are centred on the mean of their vertices.
    """
    import trimesh

    clouds, meshes = folder / f"pointcloud/{_CATEGORY}", folder / "outputs_mesh"
    for path in (clouds, meshes, *((folder / name).parent for name in _GRIDS.values())):
        path.mkdir(parents=True)
    names = ("sdf", "seg", *content(dataset).arrays)
    opened = {name: [files.read_array(shard, name) for shard in shards["sample"]] for name in names}
    masked = [files.read_cells(shard).set_index("CellId") for shard in shards["mask"]]
    as_published, voxel_um = in_published_frame(dataset), dataset["voxel_um"]
    for row in each_row(cells):
        cell, shard = row["CellId"], row["shard"]
        arrays = {name: np.asarray(stored[shard][row["index"]]) for name, stored in opened.items()}
        sdf, seg = (folder / name.format(cell) for name in _GRIDS.values())
        np.save(sdf, np.ascontiguousarray(arrays["sdf"] if as_published else arrays["sdf"].T, np.float64))
        np.save(seg, arrays["seg"])
        vertices_um, faces = stored_mesh(shards["mask"][shard], masked[shard].loc[cell])
        vertices = vertices_um.astype(np.float64) / voxel_um
        mesh = trimesh.Trimesh(vertices - vertices.mean(axis=0), faces, process=False)
        (meshes / f"{cell}.stl").write_bytes(trimesh.exchange.stl.export_stl(mesh))
        _write_clouds(clouds / cell, row, arrays, voxel_um)
    for split in ("train", "val", "test"):
        ids = cells.loc[cells["split"] == split, "CellId"]
        (clouds / f"{split}.lst").write_text("".join(f"{cell}\n" for cell in ids), encoding="utf-8")
    factors = cells["scale_factor"].to_numpy(np.float64) * voxel_um
    np.savez(folder / _FACTORS, keys=cells["CellId"].to_numpy(str), values=factors)
    folders = {"mesh_folder": f"{root / 'outputs_mesh'}/", "pointcloud_folder": f"{root / 'pointcloud'}/"}
    return paths_of(_GRIDS, root, cells) | folders | {"scale_factor": str(root / _FACTORS)}


def _write_clouds(
    folder: Path, row: Mapping[str, Any], arrays: Mapping[str, np.ndarray], voxel_um: float
) -> None:
    folder.mkdir()
    loc = np.array([row[column] for column in _LOC_UM]) / voxel_um
    place = {"loc": loc, "scale": np.float64(row["scale_um"] / voxel_um)}
    surface = {"points": arrays["surface"], "normals": arrays["normals"], _POINTS_UM: arrays["points_um"]}
    np.savez(folder / _SURFACE, **surface, **place)
    occupancies = np.packbits(arrays["distances"] < 0)
    np.savez(folder / _QUERIES, points=arrays["queries"], occupancies=occupancies, **place)
    np.save(folder / _DISTANCES, arrays["distances"])
