"""Stage `align` for packings: into this project's frame, in micrometres, centred on the nucleus."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files
from morphobench.files import shards
from morphobench.files.layout import NUCLEI, PACKINGS, SHAPES, positions_name
from morphobench.files.packings import read_positions
from morphobench.geometry import meshes
from morphobench.geometry.packing import centre_nucleus
from morphobench.geometry.rotation import packing_to_um


def run(
    shard_in: str | Path, shard_out: str | Path, *, dataset: Mapping[str, Any], max_failed_fraction: float
) -> None:
    """Align one shard of packings.

    Writes points_um.npy, all clouds end to end, with columns `first` and `n_points`;
    ``nuclei/<group>.ply`` in the same frame; and columns translation_{x,y,z}_um, which were added to the
    permuted and scaled coordinates of the packing to bring the nucleus' centroid of volume to the origin.

    Parameters
    ----------
    shard_in
        Shard folder of stage `download`.
    shard_out
        Folder to write, whole or not at all.
    dataset
        Key voxel_um of the dataset's configuration.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When too many cells fail.
    """
    shard_in = Path(shard_in)
    cells = files.read_cells(shard_in)
    clouds: list[np.ndarray] = []
    with files.atomic_folder(shard_out) as part:

        @lru_cache(maxsize=1)
        def translation_of(group: str, angle: str) -> np.ndarray:
            mesh = meshes.read_closed_mesh(shard_in / SHAPES / f"{group}_{angle}.obj")
            vertices_um, translation_um = centre_nucleus(mesh, dataset["voxel_um"])
            meshes.write_ply(part / NUCLEI / f"{group}.ply", vertices_um, mesh.faces)
            return translation_um

        def work(row: dict[str, Any]) -> dict[str, Any]:
            name = positions_name(row["rule"], row["group"], row["angle"])
            positions = read_positions(shard_in / PACKINGS / name)
            translation_um = translation_of(row["group"], row["angle"])
            clouds.append(packing_to_um(positions, dataset["voxel_um"]) + translation_um)
            return {"n_points": len(positions)} | _translation(translation_um)

        defaults = {"first": 0, "n_points": 0} | _translation(np.full(3, np.nan))
        cells = shards.each_cell(cells, work, defaults, "align")
        shards.finish(part, shards.write_clouds(part, cells, clouds), max_failed_fraction, "align")


def _translation(translation_um: np.ndarray) -> dict[str, float]:
    return {f"translation_{axis}_um": float(value) for axis, value in zip("xyz", translation_um, strict=True)}
