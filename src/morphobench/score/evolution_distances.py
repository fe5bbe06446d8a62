"""Distances between what is decoded along a way and its two ends, each shape prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.geometry.overlap import Mesh, common_grid, iou_error, own_box_voxelised, voxelised


class Distances(NamedTuple):
    """Distances of one pair, NaN where a shape is missing.

    Attributes
    ----------
    to_start, to_end
        From each interpolant, shape (n,).
    ends
        From one end to the other.
    """

    to_start: np.ndarray
    to_end: np.ndarray
    ends: float


def cloud_distances(
    between: Sequence[np.ndarray], end_sets: Sequence[Sequence[np.ndarray]]
) -> list[Distances]:
    """Return symmetric Chamfer distances: mean distance to the nearest point, there and back, summed.

    Parameters
    ----------
    between
        Clouds of the interpolants, each of shape (n_points, 3), micrometres.
    end_sets
        Pairs of clouds to take for the ends; one result each.

    Returns
    -------
    list of Distances
        Micrometres; NaN for clouds that are not finite.
    """
    from scipy.spatial import cKDTree

    def planted(cloud: np.ndarray) -> tuple[np.ndarray, cKDTree | None]:
        return cloud, cKDTree(cloud) if np.isfinite(cloud).all() else None

    def chamfer(a: tuple[np.ndarray, cKDTree | None], b: tuple[np.ndarray, cKDTree | None]) -> float:
        if a[1] is None or b[1] is None:
            return np.nan
        return float(b[1].query(a[0])[0].mean() + a[1].query(b[0])[0].mean())

    way = [planted(cloud) for cloud in between]
    found = []
    for ends in end_sets:
        start, end = map(planted, ends)
        to_start, to_end = (np.array([chamfer(one, side) for one in way]) for side in (start, end))
        found.append(Distances(to_start, to_end, chamfer(start, end)))
    return found


def shape_distances(
    between: Sequence[Mesh], end_sets: Sequence[Sequence[Mesh]], n_voxels: int
) -> list[Distances]:
    """Return 1 - Jaccard index of closed meshes, all in one common grid.

    Parameters
    ----------
    between
        Meshes of the interpolants, micrometres, in one frame with the ends.
    end_sets
        Pairs of meshes to take for the ends; one result each.
    n_voxels
        Along the longest side of the box that holds all of them.

    Returns
    -------
    list of Distances
        Pure numbers; an interpolant without faces is at 1 from both ends, an end without faces has no
        distances: NaN.
    """
    meshes = [*between, *(mesh for ends in end_sets for mesh in ends)]
    missing = np.array([len(faces) == 0 for _, faces in meshes])
    nowhere = Distances(*[np.full(len(between), np.nan)] * 2, np.nan)
    if missing.all():
        return [nowhere] * len(end_sets)
    grid = common_grid(meshes, n_voxels)
    masks_zyx = np.stack([voxelised(mesh, grid) for mesh in meshes])
    n = len(between)

    found = []
    for place in range(n, len(meshes), 2):
        start, end = masks_zyx[place], masks_zyx[place + 1]
        errors = iou_error(masks_zyx[:n], start), iou_error(masks_zyx[:n], end), iou_error(start, end)
        found.append(nowhere if missing[place : place + 2].any() else Distances(*errors))
    return found


def own_box_distances(between: Sequence[Mesh], ends: Sequence[Mesh], voxel_um: float) -> Distances:
    """Return the published 1 - Jaccard index, each mesh stretched over its own box, see `iou_error_legacy`.

    Parameters
    ----------
    between, ends
        Meshes, micrometres.
    voxel_um
        Edge of the voxels in which the published grid counts the extents of the ends.
    """
    if any(len(faces) == 0 for _, faces in ends):
        nowhere = np.full(len(between), np.nan)
        return Distances(nowhere, nowhere, np.nan)
    extents_um = np.max([np.ptp(vertices, axis=0) for vertices, _ in ends], axis=0)
    n_xyz = np.ceil(extents_um / voxel_um - 1e-4).astype(int).clip(min=1)
    *way, start, end = (own_box_voxelised(mesh, n_xyz) for mesh in (*between, *ends))

    missing = np.array([len(faces) == 0 for _, faces in between])
    to_start, to_end = (np.where(missing, np.nan, iou_error(np.stack(way), side)) for side in (start, end))
    return Distances(to_start, to_end, float(iou_error(start, end)))
