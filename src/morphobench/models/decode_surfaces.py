"""Closed surfaces of decoded volumes and of masked cells, in micrometres."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from morphobench.files import FilePath
from morphobench.files.layout import stored_mesh
from morphobench.geometry.overlap import Mesh

EMPTY_MESH: Mesh = (np.empty((0, 3)), np.empty((0, 3), dtype=np.int32))


def volume_mesh(inside_zyx: np.ndarray, edge_um: float, origin_voxel: float) -> Mesh:
    """Return the closed surface of a field at 0 (marching cubes), positive inside; x, y, z, micrometres.

    What reaches the border of the volume is closed there. `origin_voxel` is the index of the value at the
    origin, the same along each axis. A field that is nowhere positive, or not finite, gives an empty mesh.
    """
    from skimage.measure import marching_cubes

    # A false comparison with NaN, too.
    if not (inside_zyx.max() > 0 and np.isfinite(inside_zyx).all()):
        return EMPTY_MESH
    least = min(float(inside_zyx.min()), -float(inside_zyx.max()))
    padded_zyx = np.pad(inside_zyx.astype(np.float32), 1, constant_values=least)
    vertices_zyx, faces, _, _ = marching_cubes(padded_zyx, 0.0)
    # Reversing the axes mirrors the surface, and with it the faces, which pointed inwards.
    return (vertices_zyx[:, ::-1].astype(np.float64) - 1 - origin_voxel) * edge_um, faces


def inside_field(volume_zyx: np.ndarray, representation: str, scale: float, legacy: bool) -> np.ndarray:
    """Return a field that is positive inside the shape of a volume of signed distances or occupancies.

    Distances are negative inside; "seg" is inside above one half of the occupancy 1, which is `scale` in
    model units, or with `legacy` above Otsu's threshold of each volume, as published.
    """
    from skimage.filters import threshold_otsu

    if representation != "seg":
        return -volume_zyx
    # Otsu's threshold needs two values; false with NaN, too.
    spread = 0 < np.ptp(volume_zyx) < np.inf
    return volume_zyx - (threshold_otsu(volume_zyx) if legacy and spread else scale / 2)


def masked_mesh(row: Mapping[str, Any], shards: Sequence[FilePath]) -> Mesh:
    """Return the masked surface of a cell, micrometres from the centre of its bounding box.

    `row` is the cell's row of the manifest of stage `sample`, `shards` the shard folders of stage `mask`.
    """
    vertices_um, faces = stored_mesh(shards[row["shard"]], row)
    return vertices_um - np.array([row[f"loc_{axis}_um"] for axis in "xyz"], dtype=np.float64), faces
