"""Stage `align` for cells of coordinates, vertices or points: the long axis along x where asked."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from morphobench import files
from morphobench.align.inplane import long_axis, rotate_to_x
from morphobench.files import FilePath, shards
from morphobench.files.layout import stored
from morphobench.files.volumes import Layout

_DEFAULTS = dict.fromkeys(("spacing_um", "angle_degrees", "elongation"), np.nan)


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    dataset: Mapping[str, Any],
    max_failed_fraction: float,
    arrays: Mapping[str, Layout],
    covariance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    origin: Callable[[np.ndarray, float], np.ndarray],
) -> None:
    """Align one shard of coordinates from stage `download`; it fails when too many of its cells do.

    Writes its arrays, of which the first are the coordinates (n, 3), x, y, z, micrometres, and are moved.
    Columns: spacing_um, the edge of the voxels in which the cell is counted later; angle_degrees by which it
    was rotated back about z, and elongation (see `align.inplane`).

    Parameters
    ----------
    dataset
        Keys align.enabled and voxel_um of its configuration.
    arrays
        Layouts of both arrays of a cell.
    covariance
        Returns the covariance (3, 3) of a cell from its arrays.
    origin
        Returns the new origin (3,) of rotated coordinates, from these and spacing_um.
    """
    spacing_um, enabled = dataset["voxel_um"], dataset["align"]["enabled"]
    moved, kept = arrays

    def align_cell(row: dict[str, Any]) -> shards.Result:
        xyz_um, other = stored(shard_in, row, arrays)
        xyz_um = xyz_um.astype(np.float64)
        angle, elongation = long_axis(covariance(xyz_um, other))
        angle = angle if enabled else 0.0
        xyz_um = rotate_to_x(xyz_um, angle)
        columns = {"spacing_um": spacing_um, "angle_degrees": angle, "elongation": elongation}
        return columns, {moved: xyz_um - origin(xyz_um, spacing_um), kept: other}

    with shards.create(shard_out, "align", max_failed_fraction) as shard:
        shard.fill(files.read_cells(shard_in), align_cell, arrays, _DEFAULTS, timed=True)
