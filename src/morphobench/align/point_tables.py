"""Stage `align` for clouds of recorded points: centred, the long axis along x where asked."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from morphobench import files
from morphobench.align.inplane import long_axis, rotate_to_x
from morphobench.files import FilePath, shards
from morphobench.files.layout import WEIGHTED_CLOUD, stored_weighted_cloud

_DEFAULTS = dict.fromkeys(("spacing_um", "angle_degrees", "elongation"), np.nan)


def run(
    shard_in: FilePath, shard_out: FilePath, *, dataset: Mapping[str, Any], max_failed_fraction: float
) -> None:
    """Align one shard of point clouds from stage `download`; it fails when too many of its cells do.

    Writes points_um.npy about the mean of each cell's points, and weight.npy. Columns: spacing_um, voxels in
    which extents are counted; angle_degrees and elongation of the points, see `align.inplane`.

    Parameters
    ----------
    dataset
        Keys align.enabled and voxel_um of its configuration.
    """
    spacing_um, enabled = dataset["voxel_um"], dataset["align"]["enabled"]

    def align_cell(row: dict[str, Any]) -> shards.Result:
        points_um, weight = stored_weighted_cloud(shard_in, row)
        points_um = points_um.astype(np.float64)
        angle, elongation = long_axis(np.cov(points_um, rowvar=False, ddof=0))
        angle = angle if enabled else 0.0
        columns = {"spacing_um": spacing_um, "angle_degrees": angle, "elongation": elongation}
        return columns, {
            "points_um": rotate_to_x(points_um - points_um.mean(axis=0), angle),
            "weight": weight,
        }

    with shards.create(shard_out, "align", max_failed_fraction) as shard:
        shard.fill(files.read_cells(shard_in), align_cell, WEIGHTED_CLOUD, _DEFAULTS, timed=True)
