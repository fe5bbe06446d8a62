"""Published multi-piece cells: grids read where they lie, surfaces and query points gathered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.download.remote import Store
from morphobench.errors import InputError
from morphobench.files import file_rows, npz, shards
from morphobench.files.factors import read_factors
from morphobench.files.volumes import Layout
from morphobench.published import manifest as tables
from morphobench.published.shard import explained, fetch, rows_of

# Published names: the category, and the files of a cell below it.
CATEGORY = "0"
SURFACE, QUERIES, DISTANCES = "pointcloud.npz", "points.npz", "df.npy"
# Ours, beside the published arrays of a surface file: the points that figures and scores of shapes use.
POINTS_UM = "points_um"
_MAX_BYTES = 2**30
_DEFAULTS = dict.fromkeys(("loc_x_um", "loc_y_um", "loc_z_um", "scale_um", "scale_factor"), np.nan)


def run(
    published: str | Path,
    shard_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    download: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Write one shard of stage `sample` from published files, see `morphobench.sample.polymorphic`.

    Arrays sdf and seg are lists of the published .npy files, which stay where they are; published distances
    have axes x, y, z and are turned into z, y, x when they are read, unless sample.mode is reference;
    segmentations that are a voxel short of the grid are grown. Arrays surface, normals, queries, distances
    and points_um are gathered; points_um are drawn from the surface points where the file has none.

    For the parameters see `morphobench.published.punctate.run`; `seed` is that of the run.

    Raises
    ------
    InputError
        When too many cells fail.
    """
    store, sample = tables.store_of(dataset, download), dataset["sample"]
    cells = rows_of(published, shard, n_shards)
    cells, paths = fetch(cells, _names, store, dataset["name"])
    factors = _factors(cells, store, dataset)
    axes = "npy" if sample["mode"] == "reference" else "npy_xyz"
    lists: dict[str, list[tuple[Path, str]]] = {"sdf": [], "seg": []}
    grid = (sample["resolution"],) * 3

    def work(row: dict[str, Any]) -> shards.Result:
        volumes = {"sdf": (paths[row["sdf_path"]], axes), "seg": (paths[row["seg_path"]], "npy")}
        file_rows.read_row(*volumes["sdf"], grid)
        file_rows.read_row(*volumes["seg"], edge=grid[0])
        columns, rows = _clouds(row, paths, dataset, seed)
        factor = factors.get(row["CellId"], np.nan) / dataset["voxel_um"]
        for name, volume in volumes.items():
            lists[name].append(volume)
        return columns | {"scale_factor": factor}, rows

    arrays = {
        "surface": Layout(np.float32, (sample["n_surface"], 3)),
        "normals": Layout(np.float32, (sample["n_surface"], 3)),
        "queries": Layout(np.float32, (sample["n_queries"], 3)),
        "distances": Layout(np.float32, (sample["n_queries"],)),
        "points_um": Layout(np.float32, (sample["n_points"], 3)),
    }
    with shards.create(shard_out, "published_cells", max_failed_fraction) as created:
        created.fill(cells, work, arrays, _DEFAULTS)
        for name, volumes in lists.items():
            file_rows.write_listing(created.folder, name, volumes, edge=grid[0])


def _of_cell(row: Mapping[str, Any], name: str) -> str:
    return "/".join((row["pointcloud_folder"], CATEGORY, row["CellId"], name))


def _names(row: Mapping[str, Any]) -> list[str]:
    clouds = [_of_cell(row, name) for name in (SURFACE, QUERIES, DISTANCES)]
    return [row["sdf_path"], row["seg_path"], *clouds]


def _factors(cells: pd.DataFrame, store: Store, dataset: Mapping[str, Any]) -> dict[str, float]:
    """Return grid voxels per source voxel of the cells that a published file of factors names."""
    if "scale_factor" not in cells or cells["scale_factor"].dropna().empty:
        return {}
    name = tables.relative(cells["scale_factor"].dropna().iloc[0], dataset["published"].get("prefix"))
    return read_factors(store.fetch([name], dataset=dataset["name"])[name])


def _clouds(
    row: Mapping[str, Any], paths: Mapping[str, Path], dataset: Mapping[str, Any], seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    sample = dataset["sample"]
    surface, queries, distances = (paths[_of_cell(row, name)] for name in (SURFACE, QUERIES, DISTANCES))
    found = read_arrays(surface)
    given = {
        "surface": _points(found, "points", surface),
        "normals": _points(found, "normals", surface),
        "queries": _points(read_arrays(queries), "points", queries),
    }
    with explained(distances):
        given["distances"] = np.load(distances, allow_pickle=False).astype(np.float32)
        if given["distances"].shape != given["queries"].shape[:1]:
            raise InputError(f"shape {given['distances'].shape} for {len(given['queries'])} query points.")
    for name, key in (("surface", "n_surface"), ("queries", "n_queries")):
        if len(given[name]) != sample[key]:
            raise InputError(
                f"{row['CellId']}: {len(given[name])} points in the published {name}, but sample.{key} is "
                f"{sample[key]}. Set it in published.overrides.preprocessed to what the files hold."
            )
    columns, scale_um = _place(found, surface, dataset["voxel_um"])
    rng = seeds.generator(seed, dataset["name"], "sample", row["CellId"])
    given["points_um"] = _points_um(found, given["surface"], scale_um, sample["n_points"], rng)
    return columns, given


def _points_um(
    found: Mapping[str, np.ndarray],
    surface: np.ndarray,
    scale_um: float,
    n_points: int,
    rng: np.random.Generator,
) -> np.ndarray:
    if len(found.get(POINTS_UM, ())) == n_points:
        return found[POINTS_UM].astype(np.float32)
    return surface[rng.choice(len(surface), n_points, replace=n_points > len(surface))] * np.float32(scale_um)


def _place(found: Mapping[str, np.ndarray], path: Path, voxel_um: float) -> tuple[dict[str, float], float]:
    """Return centre and longest side of the cell's bounding box, which files tell in source voxels."""
    with explained(path):
        loc_um = np.asarray(found["loc"], dtype=np.float64).reshape(3) * voxel_um
        scale_um = float(np.asarray(found["scale"]).reshape(())) * voxel_um
        if not np.isfinite(loc_um).all() or not 0 < scale_um < np.inf:
            raise InputError("loc and scale are no place and size.")
    return dict(zip(_DEFAULTS, loc_um.tolist(), strict=False)) | {"scale_um": scale_um}, scale_um


def _points(found: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    with explained(path):
        points = found[name].astype(np.float32)
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


def example_um(row: Mapping[str, Any], store: Store, dataset: Mapping[str, Any], seed: int) -> np.ndarray:
    """Return surface points of one cell for a figure, fetching that file alone; (n, 3), micrometres."""
    name = _of_cell(row, SURFACE)
    path = store.fetch([name], dataset=dataset["name"])[name]
    found = read_arrays(path)
    _, scale_um = _place(found, path, dataset["voxel_um"])
    rng = seeds.generator(seed, dataset["name"], "sample", row["CellId"])
    n_points = dataset["sample"]["n_points"]
    return _points_um(found, _points(found, "points", path), scale_um, n_points, rng)
