"""Stage `sample` for packings: clouds of jittered copies of the points, and cubes of spheres at them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from morphobench import files, seeds
from morphobench.files import FilePath, shards
from morphobench.files.layout import CENTRES, stored_cloud
from morphobench.files.volumes import Layout
from morphobench.geometry.packing import check_fits, rasterise, upsample


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    dataset_name: str,
    points: Mapping[str, Any],
    cube: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Sample one shard of stage `mask`; it fails when too many of its cells do.

    Writes points_um.npy (n_ok, n_points, 3) float32 and cube.npy (n_ok, size, size, size) uint8, z, y, x; and
    centres_um.npy, the spheres of all cells, of which rotated cubes and further clouds are made.

    Parameters
    ----------
    points
        Arguments n_points, jitter_um and jitter_clip_um of `upsample`.
    cube
        Arguments size, side_um, radius_um and oversample of `rasterise`.
    """

    def sample_cell(row: dict[str, Any]) -> shards.Result:
        cloud_um = stored_cloud(shard_in, row)
        check_fits(cloud_um, cube["side_um"], cube["radius_um"])
        rng = seeds.generator(seed, dataset_name, "sample", row["CellId"])
        sampled = {"points_um": upsample(cloud_um, **points, rng=rng), "cube": rasterise(cloud_um, **cube)}
        return {}, {**sampled, "centres_um": cloud_um}

    cloud = {"points_um": Layout(np.float32, (points["n_points"], 3))}
    arrays = cloud | {"cube": Layout(np.uint8, (cube["size"],) * 3), **CENTRES}
    with shards.create(shard_out, "sample", max_failed_fraction) as shard:
        shard.fill(files.read_cells(shard_in), sample_cell, arrays)
