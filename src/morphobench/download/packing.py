"""Stage `download` for packings: packed here, or copied when published.

A shard folder has the published layout: ``packings/positions_pcna_analyze_<rule>_<shape>_<angle>.json``
(packing units, depth first), ``reference_nuclear_shapes/<shape>_<angle>.obj`` with a manifest, and the cell
table.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.download import first_cells, pack, stage
from morphobench.download.crops import InShard
from morphobench.errors import InputError, named
from morphobench.files import FilePath, derived, manifests, shards
from morphobench.files.layout import PACKINGS, POSITION_KEYS, SHAPES, positions_name
from morphobench.files.packings import (
    SHAPE_MANIFEST,
    chosen_shapes,
    file_names,
    mesh_names,
    read_positions,
    read_shapes,
)
from morphobench.geometry import meshes, packing
from morphobench.log import logger
from morphobench.remote import Store, is_remote, local_folder, open_store
from morphobench.remote.connections import FileError, checked

Config = Mapping[str, Any]

_COLUMNS = (
    dict.fromkeys(("CellId", "group", "rule", "angle"), "object")
    | {"volume_of_nucleus_um3": "float64", "seed": "int64"}
    | {"seconds": "float64", "success": "bool", "error": "object"}
)


def write(created: shards.Shard, request: stage.Request) -> None:
    """Write the packings and shapes of a shard; InputError when the source is missing or incomplete."""
    dataset = request.dataset
    shapes, find = locate(dataset, request.in_shard, request.manifest, request.download_config)
    (created.folder / PACKINGS).mkdir()
    (created.folder / SHAPES).mkdir()
    rows: list[dict[str, Any]] = []
    for number, shape in enumerate(shapes.itertuples(index=False), start=1):
        rows += _write_shape(created.folder, dataset, find, shape, request.seed)
        logger.info("download: shape %s, %d of %d", shape.CellId, number, len(shapes))
    created.cells = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
    derive = dataset["source"].get("derive") or {}
    derived.check_names(derive, created.cells, "source.derive")
    created.cells = derived.add(created.cells, derive, "source.derive")
    written = created.cells.dropna(subset="volume_of_nucleus_um3").drop_duplicates("group")
    written = written[["group", "angle", "volume_of_nucleus_um3"]].rename(columns={"group": "CellId"})
    files.write_table(written, created.folder / SHAPES / SHAPE_MANIFEST)


run = partial(stage.run, write)


def _write_shape(
    part: Path, dataset: Config, find: Callable[..., Path], described: NamedTuple, seed: int
) -> list[dict[str, Any]]:
    """Write a shape and its packings by all rules; return one row per rule."""
    source, recipe = dataset["source"], dataset["packing"]
    shape, angle, error = described
    rows = [
        {"CellId": f"{shape}_{index}", "group": shape, "rule": rule, "angle": angle, "seed": -1}
        | {"volume_of_nucleus_um3": np.nan, "seconds": 0.0, "success": True, "error": ""}
        for index, rule in enumerate(dataset["rules"])
    ]
    start, grid = time.perf_counter(), None
    try:
        if error:
            raise InputError(error)
        mesh_path = find(*mesh_names(source, shape, angle))
        units = {"unit_um": source["shape_unit_um"], "voxel_um": dataset["voxel_um"]}
        frame = {"axes": source["shape_axes"], "centred": source["packings"] is None}
        mesh = packing.to_packing_frame(meshes.read_closed_mesh(mesh_path), **units, **frame)
        if source["packings"] is None:
            vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
            with named(mesh_path):
                grid = pack.nucleus_grid(vertices, faces, box=recipe["box"], spacing=recipe["spacing"])
    except InputError as error:
        return [row | {"success": False, "error": str(error)} for row in rows]
    mesh.export(part / SHAPES / f"{shape}_{angle}.obj", include_normals=False)
    volume_um3 = float(mesh.volume) * dataset["voxel_um"] ** 3
    shared = (time.perf_counter() - start) / len(rows)
    for row in rows:
        start, name = time.perf_counter(), positions_name(row["rule"], shape, angle)
        try:
            if grid is None:
                shutil.copyfile(find(f"{source['packings']}/{name}"), part / PACKINGS / name)
            else:
                with named(mesh_path):
                    row |= _pack(grid, part / PACKINGS / name, dataset, row, seed)
        except InputError as error:
            row |= {"success": False, "error": str(error)}
        row |= {"volume_of_nucleus_um3": volume_um3, "seconds": shared + time.perf_counter() - start}
    return rows


def _pack(grid: pack.NucleusGrid, path: Path, dataset: Config, row: Config, seed: int) -> dict[str, int]:
    """Write the packing of one cell; return the column with its seed."""
    parts = (seed, dataset["name"], "download", row["CellId"])
    weights = pack.gradient_weights(grid, dataset["rules"][row["rule"]])
    sizes = {key: dataset["packing"][key] for key in ("n_spheres", "radius")}
    positions = pack.pack_spheres(grid, weights, **sizes, rng=seeds.generator(*parts))
    first, ingredient = POSITION_KEYS
    path.write_text(json.dumps({first: {ingredient: positions.tolist()}}), encoding="utf-8")
    return {"seed": seeds.integer(*parts)}


def locate(
    dataset: Config, in_shard: InShard, manifest: FilePath | None, download_config: Config | None
) -> tuple[pd.DataFrame, Callable[..., Path]]:
    """Locate the files of a shard's shapes; those of a remote source are fetched.

    Returns
    -------
    shapes
        Columns CellId, angle and error.
    find
        Returns the path of the first of some names that the source has; a `FileError` when it has none.

    Raises
    ------
    InputError
        When a folder or table is missing or wrong, or the remote source cannot be reached.
    """
    source, location = dataset["source"], dataset["source"].get("location")
    if is_remote(location):
        store = open_store(location, download_config)
        shapes = fetch_shapes(store, dataset)
        shapes = shapes[in_shard(shapes["CellId"])]
        index = pd.read_parquet(manifest).set_index("name")
        listed = index[index.index.isin(file_names(dataset, shapes))].to_dict()
        known = {"expected": listed["checksum"], "sizes": listed["size"]}
        paths = store.fetch_each(list(listed["size"]), dataset=dataset["name"], **known)
    else:
        root = local_folder(location)
        if source["packings"] is not None and not (root / source["packings"]).is_dir():
            raise InputError(
                f"{root / source['packings']}: no such folder (source.packings). Download the published "
                "packings there, or set source.packings to null to make packings."
            )
        shapes = chosen_shapes(read_shapes(root / source["shapes"] / SHAPE_MANIFEST), dataset)
        shapes = shapes[in_shard(shapes["CellId"])]
        paths = {name: root / name for name in file_names(dataset, shapes) if (root / name).is_file()}

    def find(*names: str) -> Path:
        name = next((name for name in names if name in paths), names[0])
        reason = "the source has no such file. Download it, or remove the shape from the source's"
        return checked(paths.get(name) or FileError(f"{name}: {reason} {SHAPE_MANIFEST}."))

    return shapes, find


def index(store: Store, dataset: Config) -> pd.DataFrame:
    """Index a dataset's files: name, size and checksum."""
    return store.describe(file_names(dataset, fetch_shapes(store, dataset)), dataset=dataset["name"])


def check_first(store: Store, dataset: Config, index: pd.DataFrame) -> None:
    """Fetch and read three shapes, each with one of its packings; see `first_cells.check`."""
    source, there = dataset["source"], set(index["name"])

    def read(row: pd.DataFrame) -> None:
        shape, angle = row.iloc[0][["CellId", "angle"]]
        name = next((name for name in mesh_names(source, shape, angle) if name in there), None)
        if name is None:
            raise InputError(f"{store.location}: shape {shape} has no mesh. Restore it, or remove its row.")
        meshes.read_closed_mesh(store.fetch([name], dataset=dataset["name"])[name])
        if source["packings"] is not None:
            packed = f"{source['packings']}/{positions_name(next(iter(dataset['rules'])), shape, angle)}"
            read_positions(store.fetch([packed], dataset=dataset["name"])[packed])

    first_cells.check(fetch_shapes(store, dataset), read, dataset["name"])


def fetch_shapes(store: Store, dataset: Config) -> pd.DataFrame:
    """Fetch the table of a remote source's shapes; columns CellId and angle."""
    name = manifests.name_inside(store.location, f"{dataset['source']['shapes']}/{SHAPE_MANIFEST}")
    return chosen_shapes(read_shapes(store.fetch([name], dataset=dataset["name"])[name]), dataset)
