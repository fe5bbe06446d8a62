"""Synthetic punctate cells: non-overlapping spheres packed into a nucleus along a spatial rule.

Mode `gradient` of cellPACK (mesoscope/cellpack) as in the recipes of Vasan et al. 2025: a point of a grid
over the packing box is drawn with a probability that decays with a scaled distance. All in packing units,
depth first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.geometry import meshes

# Edge, in grid points, of the blocks for which one distance at their middle may be enough.
_BLOCK = 4


@dataclass(frozen=True)
class NucleusGrid:
    """Packing grid over one nucleus, in packing units."""

    # Closed mesh, shapes (n_vertices, 3) and (n_faces, 3).
    surface: tuple[np.ndarray, np.ndarray]
    # Edge of a grid cell; lower and upper corner of the packing box, (2, 3); corners of its grid, (8, 3).
    spacing: float
    box: np.ndarray
    corners: np.ndarray
    # Grid points inside the nucleus, (n_inside, 3); lower bounds of their distances to the mesh.
    points: np.ndarray
    depth: np.ndarray
    # Distance of each inside point to the nearest grid point of the surface; the largest over the whole box.
    surface_distance: np.ndarray
    surface_distance_max: float


def nucleus_grid(
    vertices: np.ndarray, faces: np.ndarray, *, box: Sequence[Sequence[float]], spacing: float
) -> NucleusGrid:
    """Lay the packing grid over a nucleus: `spacing` apart, from the lower to the upper corner of `box`.

    Raises
    ------
    InputError
        When the nucleus leaves the box, or is too small to hold a grid point.
    """
    from scipy.ndimage import distance_transform_edt

    low, high = np.asarray(box, dtype=np.float64)
    bottom, top = vertices.min(axis=0), vertices.max(axis=0)
    if (bottom < low).any() or (top > high).any():
        raise InputError(
            f"the nucleus spans {bottom.round(1).tolist()} to {top.round(1).tolist()}, outside packing.box "
            f"{box} (packing units). Enlarge packing.box, or check source.shape_unit_um and shape_axes."
        )
    n_steps = np.floor((high - low) / spacing + 1e-9)
    axes = [start + spacing * np.arange(n + 1) for start, n in zip(low, n_steps, strict=True)]
    edges = zip(axes, bottom - spacing, top + spacing, strict=True)
    crop = tuple(slice(*np.searchsorted(axis, [first, last])) for axis, first, last in edges)
    cropped = [axis[part] for axis, part in zip(axes, crop, strict=True)]
    signed, on_surface = _signed_field(cropped, vertices, faces, spacing)
    inside = np.nonzero(signed < 0)
    if len(inside[0]) == 0:
        raise InputError(f"the nucleus holds no point at packing.spacing {spacing:g}. Use a finer spacing.")
    not_surface = np.ones([len(axis) for axis in axes], dtype=bool)
    not_surface[crop] = ~on_surface
    surface_distance = distance_transform_edt(not_surface, sampling=spacing)
    return NucleusGrid(
        surface=(vertices, faces),
        spacing=spacing,
        box=np.stack([low, high]),
        corners=np.stack(np.meshgrid(*[axis[[0, -1]] for axis in axes], indexing="ij"), -1).reshape(-1, 3),
        points=_at(cropped, inside),
        depth=-signed[inside],
        surface_distance=surface_distance[crop][inside],
        surface_distance_max=float(surface_distance.max()),
    )


def _at(axes: Sequence[np.ndarray], index: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.stack([axis[i] for axis, i in zip(axes, index, strict=True)], axis=-1)


def _signed_field(
    axes: Sequence[np.ndarray], vertices: np.ndarray, faces: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return signed distances on a grid, and which points have the nearest surface point in their cell.

    Distances change by at most the length of a step, so one exact distance is enough for a block far from the
    surface; there the field is the bound nearest to zero.
    """
    half_diagonal = 0.5 * (_BLOCK - 1) * spacing * np.sqrt(3)
    middles = [axis[::_BLOCK] + 0.5 * (_BLOCK - 1) * spacing for axis in axes]
    blocks = np.stack(np.meshgrid(*middles, indexing="ij"), -1)
    field, _ = meshes.signed_distance(blocks.reshape(-1, 3), vertices, faces)
    field = field.reshape(blocks.shape[:3])
    for dimension, axis in enumerate(axes):
        field = np.repeat(field, _BLOCK, axis=dimension).take(np.arange(len(axis)), axis=dimension)
    field = np.sign(field) * (np.abs(field) - half_diagonal).clip(min=0)
    near = np.nonzero(np.abs(field) <= spacing)
    points = _at(axes, near)
    field[near], nearest = meshes.signed_distance(points, vertices, faces)
    on_surface = np.zeros(field.shape, dtype=bool)
    on_surface[near] = np.abs(nearest - points).max(axis=1) <= spacing / 2
    return field, on_surface


def gradient_weights(grid: NucleusGrid, rule: Mapping[str, Any]) -> np.ndarray:
    """Return the logarithm of each inside point's weight under a rule, the largest being 0.

    With d a distance and s = d / max(d) over the grid of the whole box, the weight is exp(-s / decay):

    - "radial": d to the centre of the box: dense at the centre;
    - "surface": d to the nearest surface grid point: a thin shell;
    - "vector": d to the plane through the origin across `direction`, and 1 - s for s: dense at both ends;
    - "random": all weights equal.

    Shape (n_inside,), natural logarithms: with small decays the weights themselves would underflow.
    """
    mode = rule["mode"]
    if mode == "random":
        return np.zeros(len(grid.points))
    if mode == "vector":
        direction = np.asarray(rule["direction"], dtype=np.float64)
        # A convex distance has its maximum over a box at a corner, so the whole grid need not be visited.
        scaled = 1 - np.abs(grid.points @ direction) / np.abs(grid.corners @ direction).max()
    elif mode == "radial":
        # The published cap at the box diagonal never acts: no point of the box is that far from its centre.
        centre = grid.box.mean(axis=0)
        farthest = np.linalg.norm(grid.corners - centre, axis=1).max()
        scaled = np.linalg.norm(grid.points - centre, axis=1) / farthest
    else:
        scaled = grid.surface_distance / grid.surface_distance_max
    return (scaled.min() - scaled) / rule["decay"]


def pack_spheres(
    grid: NucleusGrid, log_weights: np.ndarray, *, n_spheres: int, radius: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw sphere centres by weight, one after the other, where they overlap no earlier sphere.

    Sorting by log weight plus Gumbel noise is weighted drawing without replacement (Efraimidis and Spirakis
    2006; Gumbel-top-k). Each point moves to a random position in its grid cell; candidates that leave the
    nucleus or overlap an earlier sphere are rejected. When the list ends too soon, all are drawn again.

    Returns
    -------
    numpy.ndarray
        Shape (n_spheres, 3), packing units, in the order drawn.

    Raises
    ------
    InputError
        When a whole round of draws finds no room for a further sphere.
    """
    placed = np.empty((0, 3))
    while len(placed) < n_spheres:
        order = np.argsort(-(log_weights + rng.gumbel(size=len(log_weights))))
        offsets = rng.uniform(-0.5, 0.5, size=grid.points.shape)[order] * grid.spacing
        # The depth shrinks by at most the length of the move.
        depth = grid.depth[order] - np.linalg.norm(offsets, axis=1)
        before = len(placed)
        placed = _place(grid, grid.points[order] + offsets, depth, placed, n_spheres, radius)
        if len(placed) == before:
            sizes = f"packing.n_spheres = {n_spheres} of packing.radius = {radius:g}: {before} fit"
            raise InputError(f"the nucleus is too small for {sizes}. Remove the shape, or lower them.")
    return placed


def _place(
    grid: NucleusGrid, moved: np.ndarray, depth: np.ndarray, placed: np.ndarray, n_spheres: int, radius: float
) -> np.ndarray:
    """Add moved points in their order until `n_spheres` are placed; batches only save work."""
    from scipy.spatial import cKDTree

    batch_size = 4 * n_spheres
    for start in range(0, len(moved), batch_size):
        batch, bound = moved[start : start + batch_size], depth[start : start + batch_size]
        fits = bound >= radius
        distance, _ = meshes.signed_distance(batch[~fits], *grid.surface)
        fits[~fits] = -distance >= radius
        batch = batch[fits]
        if len(placed):
            batch = batch[cKDTree(placed).query(batch)[0] >= 2 * radius]
        placed = np.concatenate([placed, batch[_first_come(batch, 2 * radius)]])[:n_spheres]
        if len(placed) == n_spheres:
            break
    return placed


def _first_come(points: np.ndarray, distance: float) -> np.ndarray:
    """Return which points stay when each one yields to every earlier, staying point within `distance`."""
    from scipy.spatial import cKDTree

    stays = np.ones(len(points), dtype=bool)
    if len(points) == 0:
        return stays
    pairs = cKDTree(points).query_pairs(distance, output_type="ndarray")
    # By later point: the fate of the earlier one is then known.
    for earlier, later in pairs[np.argsort(pairs[:, 1], kind="stable")].tolist():
        if stays[earlier]:
            stays[later] = False
    return stays
