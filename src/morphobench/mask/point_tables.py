"""Stage `mask` for clouds of recorded points: there is no mask; cells with too few points fail."""

from typing import Any

import numpy as np

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, shards
from morphobench.files.layout import WEIGHTED_CLOUD, stored_weighted_cloud
from morphobench.geometry.region import AXES

_BOX = tuple(f"box_{axis}" for axis in AXES)
_DEFAULTS = dict.fromkeys(_BOX, 0) | {"radius_um": np.nan}


def run(shard_in: FilePath, shard_out: FilePath, *, min_points: int, max_failed_fraction: float) -> None:
    """Check and measure one shard of point clouds from stage `align`, in its layout.

    Adds box_{z,y,x}, their extent in voxels, from which the common box is made, and radius_um, the largest
    distance of a point from the middle. The shard fails when too many of its cells do.

    Parameters
    ----------
    min_points
        A cell with fewer points fails.
    """

    def mask_cell(row: dict[str, Any]) -> shards.Result:
        points_um, weight = stored_weighted_cloud(shard_in, row)
        if len(points_um) < min_points:
            few = f"the cell has {len(points_um)} points, fewer than mask.min_points = {min_points}"
            raise InputError(f"{few}. Lower it (and sample.points), or remove the cell.")
        extent_voxel = np.ptp(points_um, axis=0)[::-1] / row["spacing_um"]
        columns = dict(zip(_BOX, np.ceil(extent_voxel).astype(int).clip(min=1).tolist(), strict=True))
        columns["radius_um"] = float(np.linalg.norm(points_um, axis=1).max())
        return columns, {"points_um": points_um, "weight": weight}

    with shards.create(shard_out, "mask", max_failed_fraction) as shard:
        shard.fill(files.read_cells(shard_in), mask_cell, WEIGHTED_CLOUD, _DEFAULTS, timed=True)
