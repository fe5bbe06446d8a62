"""Stage `sample` for packings: clouds of jittered copies of the points, and cubes drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files, seeds
from morphobench.files import shards
from morphobench.files.arrays import write_rows
from morphobench.geometry.packing import check_fits, rasterise, upsample


def run(
    shard_in: str | Path,
    shard_out: str | Path,
    *,
    dataset_name: str,
    points: Mapping[str, Any],
    cube: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Sample one shard: points_um.npy (n_ok, n_points, 3) float32 and cube.npy (n_ok, s, s, s) uint8, zyx.

    Adds column `index`, the cell's row in both arrays, -1 for failed cells.

    Parameters
    ----------
    shard_in
        Shard folder of stage `mask`.
    shard_out
        Folder to write, whole or not at all.
    dataset_name
        Part of each cell's seed.
    points
        Arguments n_points, jitter_um and jitter_clip_um of `upsample`.
    cube
        Arguments size, side_um, radius_um and oversample of `rasterise`.
    seed
        Seed of the run.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When too many cells fail.
    """
    shard_in = Path(shard_in)
    points_um = files.read_array(shard_in, "points_um")

    def work(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        cloud_um = shards.cloud(points_um, row)
        check_fits(cloud_um, cube["side_um"], cube["radius_um"])
        rng = seeds.generator(seed, dataset_name, "sample", row["CellId"])
        return {}, {"points_um": upsample(cloud_um, **points, rng=rng), "cube": rasterise(cloud_um, **cube)}

    arrays = {
        "points_um": (np.float32, (points["n_points"], 3)),
        "cube": (np.uint8, (cube["size"],) * 3),
    }
    with files.atomic_folder(shard_out) as part:
        cells = write_rows(part, files.read_cells(shard_in), arrays, work)
        shards.finish(part, cells, max_failed_fraction, "sample")
