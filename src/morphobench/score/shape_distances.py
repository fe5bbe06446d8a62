"""Distances between the shapes of an interpolation, and the energy of a path that follows from them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.geometry.assignment import assign
from morphobench.geometry.overlap import Mesh, common_grid, iou_error, voxelise, voxelise_own_box

# Distances below this share of a cloud's size are rounding.
_ROUNDING = 1e-6


def evolution_energy(d_to_start: np.ndarray, d_to_end: np.ndarray, d_ends: np.ndarray | float) -> np.ndarray:
    """Evolution energy of decoded interpolants, shape (..., fractions).

    Formula: ``(d(x_f, x_a) + d(x_f, x_b)) / d(x_a, x_b)`` from the distances of the interpolants to both
    ends, shape (..., fractions), and between the ends, shape (...); at least 1 if d is a metric, 1 on a
    shortest path. NaN where the ends coincide or a distance is not finite.

    Source: Vasan et al. 2025, "Evolution Energy". All shapes must be in one frame: decode the ends with the
    decoder that decodes the interpolants.
    """
    path = np.asarray(d_to_start, np.float64) + np.asarray(d_to_end, np.float64)
    d_ends = np.asarray(d_ends, np.float64)[..., None]
    usable = np.isfinite(path) & np.isfinite(d_ends) & (d_ends > 0)
    return np.divide(path, d_ends, out=np.full(path.shape, np.nan), where=usable)


class Distances(NamedTuple):
    """Distances from each interpolant to both ends of a pair, shape (n,), and between the ends."""

    to_start: np.ndarray
    to_end: np.ndarray
    ends: float


def no_distances(n: int) -> Distances:
    """Return the distances of n interpolants that have none: NaN."""
    return Distances(*[np.full(n, np.nan)] * 2, np.nan)


def transport_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Earth mover's distance (W1) of two clouds of equally many points, shape (n_points, 3), exact; a metric.

    Zero below the rounding of the coordinates; NaN for clouds that are not finite.
    """
    from scipy.spatial.distance import cdist

    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.nan
    costs = cdist(a, b)
    distance = float(costs[np.arange(len(costs)), assign(costs)].mean())
    return distance if distance > _ROUNDING * np.abs(a).max() else 0.0


def transport_distances(interpolants: Sequence[np.ndarray], ends: Sequence[np.ndarray]) -> Distances:
    """Earth mover's distances of clouds of equally many points."""
    start, end = (np.array([transport_distance(one, side) for one in interpolants]) for side in ends)
    return Distances(start, end, transport_distance(*ends))


def chamfer_distances(interpolants: Sequence[np.ndarray], ends: Sequence[np.ndarray]) -> Distances:
    """Symmetric Chamfer distances of clouds, shape (n_points, 3) each, indexed once.

    Mean distance to the nearest point, there and back, summed; no metric: a superposition of both ends is
    nearer to each than a shape half-way. NaN for clouds that are not finite.
    """
    from scipy.spatial import cKDTree

    def tree(cloud: np.ndarray) -> cKDTree | None:
        return cKDTree(cloud) if np.isfinite(cloud).all() else None

    def chamfer(a: cKDTree | None, b: cKDTree | None) -> float:
        if a is None or b is None:
            return np.nan
        return float(b.query(a.data)[0].mean() + a.query(b.data)[0].mean())

    between, (start, end) = list(map(tree, interpolants)), map(tree, ends)
    to_start, to_end = (np.array([chamfer(one, side) for one in between]) for side in (start, end))
    return Distances(to_start, to_end, chamfer(start, end))


def mesh_distances(
    interpolants: Sequence[Mesh], end_sets: Sequence[Sequence[Mesh]], n_voxels: int, speck_share: float
) -> list[Distances]:
    """1 - Jaccard index of closed meshes, all in one common grid of `n_voxels` along its longest side.

    For `speck_share` see `common_grid`. One result for each pair of meshes to take for the ends. An
    interpolant without faces is at 1 from both ends; an end without faces has no distances: NaN.
    """
    n = len(interpolants)
    meshes = [*interpolants, *(mesh for ends in end_sets for mesh in ends)]
    missing = np.array([len(faces) == 0 for _, faces in meshes])
    if missing.all():
        return [no_distances(n)] * len(end_sets)
    grid = common_grid(meshes, n_voxels, speck_share)
    masks_zyx = np.stack([voxelise(mesh, grid) for mesh in meshes])
    distances = []
    for place in range(n, len(meshes), 2):
        start, end = masks_zyx[place], masks_zyx[place + 1]
        errors = iou_error(masks_zyx[:n], start), iou_error(masks_zyx[:n], end), iou_error(start, end)
        distances.append(no_distances(n) if missing[place : place + 2].any() else Distances(*errors))
    return distances


def own_box_distances(interpolants: Sequence[Mesh], ends: Sequence[Mesh], voxel_um: float) -> Distances:
    """1 - Jaccard index as published, each mesh scaled to its own box, see `iou_error_legacy`.

    The grid has as many voxels of edge `voxel_um` as the larger of both ends along each axis.
    """
    if any(len(faces) == 0 for _, faces in ends):
        return no_distances(len(interpolants))
    extents_um = np.max([np.ptp(vertices, axis=0) for vertices, _ in ends], axis=0)
    n_xyz = np.ceil(extents_um / voxel_um - 1e-4).astype(int).clip(min=1)
    *between, start, end = (voxelise_own_box(mesh, n_xyz) for mesh in (*interpolants, *ends))
    masks_zyx = np.stack(between)
    missing = np.array([len(faces) == 0 for _, faces in interpolants])
    to_ends = (np.where(missing, np.nan, iou_error(masks_zyx, side)) for side in (start, end))
    return Distances(*to_ends, float(iou_error(start, end)))
