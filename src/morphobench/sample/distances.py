"""A mesh on a grid: signed distances, exact where models read them, and the scaled segmentation."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from morphobench.errors import InputError
from morphobench.geometry import meshes

# Models clip at two voxels; half a voxel more keeps the neighbours of trilinear resampling exact, too.
BAND_VOXEL = 2.5
# No point of the surface is farther than this from a sample of it.
_SAMPLE_REACH_VOXEL = 0.5
# Distances to the nearest marked voxel and to the surface differ by at most that reach, and half the diagonal
# of a voxel, which marking moves a sample by.
_COARSE_ERROR_VOXEL = _SAMPLE_REACH_VOXEL + np.sqrt(3) / 2


def signed_distance_grid(
    vertices_xyz: np.ndarray,
    faces: np.ndarray,
    *,
    resolution: int,
    scale_factor: float,
    band_voxel: float = BAND_VOXEL,
    reference: bool = False,
) -> np.ndarray:
    """Return the signed distances to a scaled mesh at the points of a grid, voxels, negative inside.

    The mesh is centred by its bounding box. Index (k, j, i) is the distance at the point
    (i, j, k) - resolution // 2, so an even grid has its origin one half voxel after its middle
    (Vasan et al. 2025): padded by one voxel after, it is centred.

    Exact where the true distance is at most `band_voxel`. Farther away the sign is right and the size is
    larger than `band_voxel` and off by less than 1.4 voxels, mostly less than one.

    Parameters
    ----------
    vertices_xyz, faces
        Outward; holes, overlaps and repeated faces do no harm to the sign.
    resolution
        Grid points per side.
    scale_factor
        Grid voxels per unit of `vertices_xyz`.
    reference
        Axis order x, y, z; the same values.

    Returns
    -------
    numpy.ndarray
        Shape (resolution,) * 3, axes z, y, x, float32.

    Raises
    ------
    InputError
        When there is no scale factor, or the scaled shape leaves the grid.
    """
    vertices_voxel = _scaled(vertices_xyz, resolution, scale_factor)
    distance_xyz = _coarse_distance(vertices_voxel, faces, resolution)
    near = distance_xyz <= band_voxel + _COARSE_ERROR_VOXEL
    origin = resolution // 2
    exact, _ = meshes.signed_distance(np.argwhere(near) - origin, vertices_voxel, faces)
    inside = meshes.inside(np.argwhere(~near) - origin, vertices_voxel, faces)
    distance_xyz[~near] *= np.where(inside, -1, 1)
    distance_xyz[near] = exact
    return distance_xyz if reference else np.ascontiguousarray(distance_xyz.T)


def segmentation_grid(distance_zyx: np.ndarray) -> np.ndarray:
    """Return the scaled segmentation on the grid of `signed_distance_grid`, uint8: 1 where not outside."""
    return (distance_zyx <= 0).astype(np.uint8)


def reference_segmentation_grid(
    vertices_xyz: np.ndarray, faces: np.ndarray, *, resolution: int, scale_factor: float
) -> np.ndarray:
    """Return the scaled segmentation of mode "reference", uint8, z, y, x, one voxel before the distances'.

    Its stencil (aicsshparam) marks the whole-numbered points inside the mesh, from
    trunc(min - 0.5) to trunc(max + 0.5) + 1 on each axis, and is then padded to the grid. Where the paper's
    padding left a grid one voxel short, this one pads the last voxel after. See `signed_distance_grid`.
    """
    vertices_voxel = _scaled(vertices_xyz, resolution, scale_factor)
    first_xyz = np.trunc(vertices_voxel.min(axis=0) - 0.5).astype(int)
    n_xyz = 2 + np.trunc(vertices_voxel.max(axis=0) + 0.5).astype(int) - first_xyz
    if n_xyz.max() > resolution:
        raise _too_large(np.ptp(vertices_voxel, axis=0), resolution, scale_factor)
    points_xyz = np.indices(n_xyz).reshape(3, -1).T + first_xyz
    stencil_xyz = meshes.inside(points_xyz, vertices_voxel, faces).reshape(n_xyz)
    before_xyz = (resolution - n_xyz) // 2
    padding = np.stack([before_xyz, resolution - n_xyz - before_xyz], axis=1)
    return np.ascontiguousarray(np.pad(stencil_xyz, padding).T, dtype=np.uint8)


def _scaled(vertices_xyz: np.ndarray, resolution: int, scale_factor: float) -> np.ndarray:
    """Centre a mesh by its bounding box and bring it to voxels, float64; it must fit the grid."""
    if not (np.isfinite(scale_factor) and scale_factor > 0):
        raise InputError(f"the scale factor is {scale_factor:g}. Add it to the table of scale factors.")
    vertices_xyz = np.asarray(vertices_xyz, dtype=np.float64)
    middle_xyz = (vertices_xyz.min(axis=0) + vertices_xyz.max(axis=0)) / 2
    vertices_voxel = (vertices_xyz - middle_xyz) * scale_factor
    if np.abs(vertices_voxel).max() > resolution / 2 - 0.5:
        raise _too_large(np.ptp(vertices_voxel, axis=0), resolution, scale_factor)
    return vertices_voxel


def _too_large(size_xyz: np.ndarray, resolution: int, scale_factor: float) -> InputError:
    sizes = " x ".join(f"{size:.1f}" for size in size_xyz)
    large = f"the scaled shape measures {sizes} voxels (x, y, z), too large for a grid of {resolution}"
    return InputError(f"{large}. Scale it by less than {scale_factor:g}, or raise sample.resolution.")


def _coarse_distance(vertices_voxel: np.ndarray, faces: np.ndarray, resolution: int) -> np.ndarray:
    """Return distances to the voxels that hold samples of the surface, axes x, y, z, float32."""
    samples_voxel = _surface_samples(vertices_voxel, faces, _SAMPLE_REACH_VOXEL)
    index = np.rint(samples_voxel + resolution // 2).astype(np.int64).clip(0, resolution - 1)
    free_xyz = np.ones((resolution,) * 3, dtype=bool)
    free_xyz[tuple(index.T)] = False
    return distance_transform_edt(free_xyz).astype(np.float32)


def _surface_samples(vertices: np.ndarray, faces: np.ndarray, reach: float) -> np.ndarray:
    """Return points (n, 3) of a mesh such that none of its surface is farther than `reach` from one.

    Small triangles need no more than their corners. Others get lines across, parallel to their shortest side,
    so that slivers, which halving into similar triangles would shatter, stay cheap.
    """
    corners = vertices[faces]
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - np.roll(corners, -2, axis=1), axis=2)
    large = np.flatnonzero(sides.max(axis=1) > reach)
    sides, corners = sides[large], corners[large]
    # The corner opposite to the shortest side first.
    order = (sides.argmin(axis=1)[:, None] + np.arange(3)) % 3
    apex, first, second = np.take_along_axis(corners, order[..., None], axis=1).transpose(1, 0, 2)
    n_along = np.ceil(sides.max(axis=1) / reach).astype(int)
    n_across = np.ceil(sides.min(axis=1) / reach).astype(int).clip(min=1)
    counts = (n_along + 1) * (n_across + 1)
    triangle = np.repeat(np.arange(len(large)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    line, place = np.divmod(number, (n_across + 1)[triangle])
    along, across = line / n_along[triangle], place / n_across[triangle]
    leg = (first - apex)[triangle] + across[:, None] * (second - first)[triangle]
    return np.concatenate([vertices[np.unique(faces)], apex[triangle] + along[:, None] * leg])
