"""Stage `align` for packings: into this project's frame, in micrometres, centred on the nucleus."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files
from morphobench.files import FilePath, shards
from morphobench.files.layout import CLOUD, NUCLEI, PACKINGS, SHAPES, TRANSLATION, positions_name
from morphobench.files.packings import read_positions
from morphobench.geometry import meshes
from morphobench.geometry.packing import centre_nucleus
from morphobench.geometry.rotation import packing_to_um


def run(
    shard_in: FilePath, shard_out: FilePath, *, dataset: Mapping[str, Any], max_failed_fraction: float
) -> None:
    """Align one shard of packings from stage `download`; it fails when too many of its cells do.

    Writes points_um.npy, and ``nuclei/<group>.ply`` in the same frame. Columns translation_{x,y,z}_um: added
    to the permuted and scaled coordinates of the packing to bring the nucleus' centroid of volume to 0.
    """
    shard_in, voxel_um = Path(shard_in), dataset["voxel_um"]
    with shards.create(shard_out, "align", max_failed_fraction) as shard:

        @lru_cache(maxsize=1)
        def write_nucleus(group: str, angle: str) -> np.ndarray:
            mesh = meshes.read_closed_mesh(shard_in / SHAPES / f"{group}_{angle}.obj")
            vertices_um, translation_um = centre_nucleus(mesh, voxel_um)
            meshes.write_ply(shard.folder / NUCLEI / f"{group}.ply", vertices_um, mesh.faces)
            return translation_um

        def align_cell(row: dict[str, Any]) -> shards.Result:
            name = positions_name(row["rule"], row["group"], row["angle"])
            positions = read_positions(shard_in / PACKINGS / name)
            translation_um = write_nucleus(row["group"], row["angle"])
            columns = dict(zip(TRANSLATION, translation_um.tolist(), strict=True))
            return columns, {"points_um": packing_to_um(positions, voxel_um) + translation_um}

        shard.fill(files.read_cells(shard_in), align_cell, CLOUD, dict.fromkeys(TRANSLATION, np.nan))
