"""Stage `align` for meshes: the long axis along x where asked, and a corner as the origin."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import trimesh

from morphobench import files
from morphobench.align.inplane import long_axis, rotate_to_x
from morphobench.files import FilePath, shards
from morphobench.files.layout import MESH, stored_mesh

_DEFAULTS = dict.fromkeys(("spacing_um", "angle_degrees", "elongation"), np.nan)


def run(
    shard_in: FilePath, shard_out: FilePath, *, dataset: Mapping[str, Any], max_failed_fraction: float
) -> None:
    """Align one shard of meshes from stage `download`; it fails when too many of its cells do.

    Writes vertices_um.npy, from a corner one voxel beside the mesh, and faces.npy. Columns: spacing_um, the
    edge of the voxels that the mesh is cut into later; angle_degrees by which it was rotated back about z,
    and elongation, of the solid (see `align.inplane`).

    Parameters
    ----------
    dataset
        Keys align.enabled and voxel_um of its configuration.
    """
    spacing_um, enabled = dataset["voxel_um"], dataset["align"]["enabled"]

    def align_cell(row: dict[str, Any]) -> shards.Result:
        vertices_um, faces = stored_mesh(shard_in, row)
        angle, elongation = long_axis(_covariance(vertices_um.astype(np.float64), faces))
        angle = angle if enabled else 0.0
        rotated_um = rotate_to_x(vertices_um, angle)
        columns = {"spacing_um": spacing_um, "angle_degrees": angle, "elongation": elongation}
        return columns, {"vertices_um": rotated_um - rotated_um.min(axis=0) + spacing_um, "faces": faces}

    with shards.create(shard_out, "align", max_failed_fraction) as shard:
        shard.fill(files.read_cells(shard_in), align_cell, MESH, _DEFAULTS, timed=True)


def _covariance(vertices_um: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the covariance (3, 3) of x, y, z over the solid, square micrometres."""
    centred_um = vertices_um - vertices_um.mean(axis=0)
    solid = trimesh.Trimesh(centred_um, faces, process=False).mass_properties
    # The inertia about the centre of mass is the trace less the second moments.
    moments = np.eye(3) * np.trace(solid.inertia) / 2 - solid.inertia
    return moments / solid.mass
