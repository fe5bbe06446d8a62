"""Packings of spheres in a nucleus: frames, masking, jittered copies of the points, and spheres as voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from morphobench.errors import InputError
from morphobench.geometry import meshes
from morphobench.geometry.rotation import packing_to_um, um_to_packing

if TYPE_CHECKING:
    import trimesh


def to_packing_frame(
    mesh: trimesh.Trimesh, *, unit_um: float, voxel_um: float, axes: str, centred: bool
) -> trimesh.Trimesh:
    """Return a copy of a mesh in units of `unit_um` in packing units of `voxel_um`, depth first.

    Parameters
    ----------
    axes
        "depth_last" (x, y, z with z optical) or "depth_first" (as in packings).
    centred
        Whether to move the centroid of the volume to the origin. Shapes of published packings must stay.
    """
    import trimesh

    vertices = np.asarray(mesh.vertices) - (mesh.center_mass if centred else 0.0)
    is_last = axes == "depth_last"
    vertices = um_to_packing(vertices * unit_um, voxel_um) if is_last else vertices * (unit_um / voxel_um)
    return trimesh.Trimesh(vertices, mesh.faces, process=False)


def centre_nucleus(mesh: trimesh.Trimesh, voxel_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices of a nucleus in micrometres, its centroid of volume at 0, and the translation."""
    translation_um = -packing_to_um(mesh.center_mass, voxel_um)
    return packing_to_um(np.asarray(mesh.vertices), voxel_um) + translation_um, translation_um


def keep_inside(
    points_um: np.ndarray,
    vertices_um: np.ndarray,
    faces: np.ndarray,
    tolerance_um: float,
    min_points: int = 0,
) -> np.ndarray:
    """Return the points inside a closed mesh, or outside by at most `tolerance_um`, in their order.

    Raises
    ------
    InputError
        When fewer than `min_points` are left.
    """
    distance_um, _ = meshes.signed_distance(points_um, vertices_um, faces)
    kept_um = points_um[distance_um <= tolerance_um]
    if len(kept_um) < min_points:
        found = f"{len(kept_um)} of {len(points_um)} points lie inside the nucleus"
        remedy = "Lower it, raise mask.tolerance_um, or check source.shape_unit_um and shape_axes"
        raise InputError(f"{found}, fewer than mask.min_points = {min_points}. {remedy}.")
    return kept_um


def check_fits(points_um: np.ndarray, side_um: float, radius_um: float) -> None:
    """Raise an InputError with the side that is needed when a sphere leaves a centred cube."""
    reach_um = float(np.abs(points_um).max()) + radius_um
    if reach_um >= side_um / 2:
        found = f"the cell reaches {reach_um:.3f} um, beyond sample.cube.side_um = {side_um:g}"
        raise InputError(f"{found}. Raise sample.cube.side_um above {2 * reach_um:.3f}, or remove the cell.")


def upsample(
    points_um: np.ndarray, *, n_points: int, jitter_um: float, jitter_clip_um: float, rng: np.random.Generator
) -> np.ndarray:
    """Repeat a cloud up to a number of points, each copy with its own clipped Gaussian jitter.

    Published scheme (Vasan et al. 2025, cellPACK loader): whole copies, all jittered. Where `n_points` is no
    multiple of the cloud's size, the last copy is a random subset. `jitter_um` and `jitter_clip_um` are the
    standard deviation of the jitter per axis and its largest size; the result is float32, (n_points, 3).
    """
    whole, rest = divmod(n_points, len(points_um))
    last = rng.choice(len(points_um), rest, replace=False)
    index = np.concatenate([np.tile(np.arange(len(points_um)), whole), last])
    jitter = rng.normal(0.0, jitter_um, (n_points, 3)).clip(-jitter_clip_um, jitter_clip_um)
    return (points_um[index] + jitter).astype(np.float32)


def rasterise(
    points_um: np.ndarray, *, size: int, side_um: float, radius_um: float, oversample: int
) -> np.ndarray:
    """Voxelise spheres in a centred cube: each voxel counts its sub-voxels that some sphere covers.

    Equals voxelising all spheres at the sub-voxel size and summing blocks, as the published images were made,
    without the oversampled volume. A sub-voxel is covered when its centre lies within the radius of a sphere,
    or when it holds a sphere's centre.

    Parameters
    ----------
    points_um
        Sphere centres, shape (n, 3), origin at the middle of the cube, which cuts off what leaves it.
    size, side_um
        Voxels per side, and side of the cube.
    oversample
        Sub-voxels per voxel edge.

    Returns
    -------
    numpy.ndarray
        Shape (size, size, size), axes z, y, x, uint8, saturating at 255.
    """
    edge_um = side_um / size / oversample
    position = np.asarray(points_um, dtype=np.float64)[:, ::-1] / edge_um + size * oversample / 2
    home = np.floor(position).astype(np.int64)
    reach = int(np.ceil(radius_um / edge_um))
    steps = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    # Squared distances separate by axis, so only (n, 3, steps) numbers need the offset within the sub-voxel.
    along = (steps + (home - position)[..., None] + 0.5) ** 2
    squared = sum(along[:, axis, around[:, axis] + reach] for axis in range(3))
    covered = (squared <= (radius_um / edge_um) ** 2) | ~around.any(axis=1)
    sphere, step = np.nonzero(covered)
    fine = np.full(3, size * oversample)
    place = home[sphere] + around[step]
    place = place[((place >= 0) & (place < fine)).all(axis=1)]
    # The same sub-voxel under two spheres counts once.
    flat = np.unique(np.ravel_multi_index(tuple(place.T), fine))
    voxel = np.ravel_multi_index(tuple(i // oversample for i in np.unravel_index(flat, fine)), (size,) * 3)
    filled, counts = np.unique(voxel, return_counts=True)
    cube_zyx = np.zeros(size**3, dtype=np.uint8)
    cube_zyx[filled] = counts.clip(max=255)
    return cube_zyx.reshape(size, size, size)
