"""Stage `download` for packings: made here, or copied when published.

A shard folder has the published layout: ``packings/positions_pcna_analyze_<rule>_<shape>_<angle>.json``
(packing units, depth first), ``reference_nuclear_shapes/<shape>_<angle>.obj`` with a manifest, and the cell
table.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import trimesh

from morphobench import files, seeds
from morphobench.download import pack, packing_files
from morphobench.download.packing_files import Found
from morphobench.errors import InputError
from morphobench.files import shards
from morphobench.files.layout import PACKINGS, POSITION_KEYS, SHAPES, positions_name
from morphobench.geometry import meshes, packing
from morphobench.log import logger

_COLUMNS = {
    "CellId": "object",
    "group": "object",
    "rule": "object",
    "angle": "object",
    "volume_of_nucleus_um3": "float64",
    "seed": "int64",
    "seconds": "float64",
    "success": "bool",
    "error": "object",
}


def run(
    shard_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    seed: int,
    max_failed_fraction: float,
    manifest: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write one shard of raw cells.

    Parameters
    ----------
    shard_out
        Folder to write, whole or not at all.
    dataset
        Keys name, voxel_um, source, rules and packing of the dataset's configuration.
    shard, n_shards
        This shard and their number; a shape's shard follows from its id alone.
    seed
        Seed of the run.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.
    manifest, settings
        For a remote source, the index of its files (`index.run`) and section `download` of the configuration.

    Raises
    ------
    InputError
        When the source is missing or incomplete, or too many cells fail.
    """
    found = packing_files.here(dataset, shard, n_shards, manifest, settings)
    shapes = found.shapes
    with files.atomic_folder(shard_out) as part:
        (part / PACKINGS).mkdir()
        (part / SHAPES).mkdir()
        rows: list[dict[str, Any]] = []
        for number, shape in enumerate(shapes.itertuples(index=False), start=1):
            rows += _fetch_shape(part, dataset, found, shape.CellId, shape.angle, seed)
            logger.info("download: shape %s, %d of %d", shape.CellId, number, len(shapes))
        cells = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
        _write_shape_manifest(part / SHAPES, cells)
        shards.finish(part, cells, max_failed_fraction, "download")


def _fetch_shape(
    part: Path, dataset: Mapping[str, Any], found: Found, shape: str, angle: str, seed: int
) -> list[dict[str, Any]]:
    """Write a shape and its packings by all rules; return one row per rule."""
    source = dataset["source"]
    rows = [
        {"CellId": f"{shape}_{index}", "group": shape, "rule": rule, "angle": angle, "seed": -1}
        | {"volume_of_nucleus_um3": np.nan, "seconds": 0.0, "success": True, "error": ""}
        for index, rule in enumerate(dataset["rules"])
    ]
    start = time.perf_counter()
    try:
        mesh_path = found.mesh(f"{shape}_{angle}")
        mesh = packing.to_packing_frame(
            meshes.read_closed_mesh(mesh_path),
            unit_um=source["shape_unit_um"],
            voxel_um=dataset["voxel_um"],
            axes=source["shape_axes"],
            centred=source["packings"] is None,
        )
        if source["packings"] is None:
            fetch = _packer(part, mesh, mesh_path, dataset, seed)
        else:
            fetch = _copier(part, found)
    except InputError as error:
        return [row | {"success": False, "error": str(error)} for row in rows]
    mesh.export(part / SHAPES / f"{shape}_{angle}.obj", include_normals=False)
    volume_um3 = float(mesh.volume) * dataset["voxel_um"] ** 3
    shared = (time.perf_counter() - start) / len(rows)
    return [row | {"volume_of_nucleus_um3": volume_um3} | _timed(fetch, row, shared) for row in rows]


def _timed(
    fetch: Callable[[dict[str, Any]], dict[str, Any]], row: dict[str, Any], shared: float
) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        new = fetch(row)
    except InputError as error:
        new = {"success": False, "error": str(error)}
    return new | {"seconds": shared + time.perf_counter() - start}


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name the file in the errors of functions that know only arrays."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _packer(
    part: Path, mesh: trimesh.Trimesh, mesh_path: Path, dataset: Mapping[str, Any], seed: int
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that packs one cell of a shape; the grid is laid once for all rules."""
    settings = dataset["packing"]
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    with _about(mesh_path):
        grid = pack.nucleus_grid(vertices, faces, box=settings["box"], spacing=settings["spacing"])

    def make(row: dict[str, Any]) -> dict[str, Any]:
        parts = (seed, dataset["name"], "download", row["CellId"])
        with _about(mesh_path):
            positions = pack.pack_spheres(
                grid,
                pack.gradient_weights(grid, dataset["rules"][row["rule"]]),
                n_spheres=settings["n_spheres"],
                radius=settings["radius"],
                rng=seeds.generator(*parts),
            )
        packing, ingredient = POSITION_KEYS
        path = part / PACKINGS / positions_name(row["rule"], row["group"], row["angle"])
        path.write_text(json.dumps({packing: {ingredient: positions.tolist()}}))
        return {"seed": seeds.integer(*parts)}

    return make


def _copier(part: Path, found: Found) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that copies one published packing."""

    def copy(row: dict[str, Any]) -> dict[str, Any]:
        name = positions_name(row["rule"], row["group"], row["angle"])
        shutil.copyfile(found.packing(name), part / PACKINGS / name)
        return {}

    return copy


def _write_shape_manifest(folder: Path, cells: pd.DataFrame) -> None:
    written = cells[cells["volume_of_nucleus_um3"].notna()].drop_duplicates("group")
    columns = {"group": "CellId", "angle": "angle", "volume_of_nucleus_um3": "volume_of_nucleus_um3"}
    files.write_table(written[list(columns)].rename(columns=columns), folder / "manifest.csv")
