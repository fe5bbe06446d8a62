"""Volumes to closed surfaces in micrometres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.filters import threshold_otsu
from skimage.measure import marching_cubes

from morphobench.files.layout import stored_mesh
from morphobench.geometry.overlap import Mesh

EMPTY_MESH: Mesh = (np.empty((0, 3)), np.empty((0, 3), dtype=np.int32))


def volume_mesh(inside_zyx: np.ndarray, *, edge_um: float, origin_voxel: float) -> Mesh:
    """Return the closed surface around where a field is positive.

    Marching cubes at 0; what reaches the border of the volume is closed there. A field that is nowhere
    positive, or not finite, has no surface: its mesh is empty.

    Parameters
    ----------
    inside_zyx
        Shape (z, y, x), positive inside.
    edge_um
        Distance of two neighbouring values, micrometres.
    origin_voxel
        Index, the same along each axis, of the value at the origin.

    Returns
    -------
    vertices_um
        float64, shape (n_vertices, 3), x, y, z.
    faces
        int32, shape (n_faces, 3), outward.
    """
    # A false comparison with NaN, too.
    if not (inside_zyx.max() > 0 and np.isfinite(inside_zyx).all()):
        return EMPTY_MESH
    least = min(float(inside_zyx.min()), -float(inside_zyx.max()))
    padded_zyx = np.pad(inside_zyx.astype(np.float32), 1, constant_values=least)
    vertices_zyx, faces, _, _ = marching_cubes(padded_zyx, 0.0)
    # Turning z, y, x into x, y, z mirrors the surface, and with it the faces, which pointed inwards.
    return (vertices_zyx[:, ::-1].astype(np.float64) - 1 - origin_voxel) * edge_um, faces


def inside_field(volume_zyx: np.ndarray, representation: str, scale: float, legacy: bool) -> np.ndarray:
    """Return a field that is positive inside the shape of a volume in model units.

    Parameters
    ----------
    volume_zyx
        Signed distances, or occupancies.
    representation
        "seg": occupancy above one half, between the 0 and 1 it was trained on. Others: distances below 0.
    scale
        Model units per voxel, or per 1 of occupancy.
    legacy
        The published threshold of occupancies: Otsu's, which every volume sets anew.
    """
    if representation != "seg":
        return -volume_zyx
    # Otsu's threshold needs two values; false with NaN, too.
    spread = 0 < np.ptp(volume_zyx) < np.inf
    level = threshold_otsu(volume_zyx) if legacy and spread else scale / 2
    return volume_zyx - level


def volume_meshes(
    volumes_zyx: np.ndarray,
    representation: str,
    scale: float,
    edges_um: Sequence[float],
    origin_voxel: float,
    *,
    legacy: bool = False,
) -> list[Mesh]:
    """Return the surface of each volume, shape (n, z, y, x), in model units; see `inside_field`."""
    return [
        volume_mesh(
            inside_field(volume, representation, scale, legacy),
            edge_um=float(edge_um),
            origin_voxel=origin_voxel,
        )
        for volume, edge_um in zip(volumes_zyx, edges_um, strict=True)
    ]


def masked_mesh(row: Mapping[str, Any], shards: Sequence[str | Path]) -> Mesh:
    """Return the masked surface of a cell, micrometres from the centre of its bounding box.

    `row` is the cell's row of the manifest of stage `sample`, `shards` the shard folders of stage `mask`.
    """
    vertices_um, faces = stored_mesh(shards[row["shard"]], row)
    return vertices_um - np.array([row[f"loc_{axis}_um"] for axis in "xyz"], dtype=np.float64), faces
