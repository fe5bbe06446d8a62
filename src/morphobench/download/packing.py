"""Stage `download` for packings: packed here, or copied when published.

A shard folder has the published layout: ``packings/positions_pcna_analyze_<rule>_<shape>_<angle>.json``
(packing units, depth first), ``reference_nuclear_shapes/<shape>_<angle>.obj`` with a manifest, and the cell
table.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.download import pack, packing_files
from morphobench.download.crops import shard_filter
from morphobench.errors import InputError, named
from morphobench.files import shards
from morphobench.files.layout import PACKINGS, POSITION_KEYS, SHAPES, positions_name
from morphobench.geometry import meshes, packing
from morphobench.log import logger

_COLUMNS = (
    dict.fromkeys(("CellId", "group", "rule", "angle"), "object")
    | {"volume_of_nucleus_um3": "float64", "seed": "int64"}
    | {"seconds": "float64", "success": "bool", "error": "object"}
)


def run(
    shard_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    seed: int,
    max_failed_fraction: float,
    manifest: str | Path | None = None,
    download_config: Mapping[str, Any] | None = None,
) -> None:
    """Write one shard of raw cells; a remote source needs its `manifest` (`index.run`) and `download_config`.

    Raises
    ------
    InputError
        When the source is missing or incomplete, or too many cells fail.
    """
    in_shard = shard_filter(shard, n_shards)
    shapes, find = packing_files.locate(dataset, in_shard, manifest, download_config)
    with shards.create(shard_out, "download", max_failed_fraction) as created:
        (created.folder / PACKINGS).mkdir()
        (created.folder / SHAPES).mkdir()
        rows: list[dict[str, Any]] = []
        for number, shape in enumerate(shapes.itertuples(index=False), start=1):
            rows += _write_shape(created.folder, dataset, find, shape.CellId, shape.angle, seed)
            logger.info("download: shape %s, %d of %d", shape.CellId, number, len(shapes))
        created.cells = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
        written = created.cells.dropna(subset="volume_of_nucleus_um3").drop_duplicates("group")
        written = written[["group", "angle", "volume_of_nucleus_um3"]].rename(columns={"group": "CellId"})
        files.write_table(written, created.folder / SHAPES / "manifest.csv")


def _write_shape(
    part: Path, dataset: Mapping[str, Any], find: Callable[..., Path], shape: str, angle: str, seed: int
) -> list[dict[str, Any]]:
    """Write a shape and its packings by all rules; return one row per rule."""
    source, recipe = dataset["source"], dataset["packing"]
    rows = [
        {"CellId": f"{shape}_{index}", "group": shape, "rule": rule, "angle": angle, "seed": -1}
        | {"volume_of_nucleus_um3": np.nan, "seconds": 0.0, "success": True, "error": ""}
        for index, rule in enumerate(dataset["rules"])
    ]
    start, grid = time.perf_counter(), None
    try:
        mesh_path = find(*packing_files.mesh_names(source, shape, angle))
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


def _pack(
    grid: pack.NucleusGrid, path: Path, dataset: Mapping[str, Any], row: Mapping[str, Any], seed: int
) -> dict[str, int]:
    """Write the packing of one cell; return the column with its seed."""
    parts = (seed, dataset["name"], "download", row["CellId"])
    weights = pack.gradient_weights(grid, dataset["rules"][row["rule"]])
    sizes = {key: dataset["packing"][key] for key in ("n_spheres", "radius")}
    positions = pack.pack_spheres(grid, weights, **sizes, rng=seeds.generator(*parts))
    first, ingredient = POSITION_KEYS
    path.write_text(json.dumps({first: {ingredient: positions.tolist()}}))
    return {"seed": seeds.integer(*parts)}
