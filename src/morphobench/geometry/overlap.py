"""Agreement of two shapes: overlap in one grid, distance between surfaces, and the legacy overlap."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.errors import InputError

# Vertices x, y, z in micrometres, shape (n_vertices, 3); faces, outward, shape (n_faces, 3).
Mesh = tuple[np.ndarray, np.ndarray]

# Meshes of grids have edges exactly above voxel centres of other grids. Moving the rays by unlike shares of a
# voxel, far below what any length here means, decides such ties once for all triangles.
_OFFSET_VOXEL = np.array([1.414e-7, 1.732e-7, 0.0])


class Grid(NamedTuple):
    """Corner of the first voxel and edges of a voxel, x, y, z, shape (3,), and numbers of voxels."""

    low_um: np.ndarray
    edge_um: np.ndarray
    n_xyz: tuple[int, int, int]


def common_grid(meshes: Sequence[Mesh], n_longest: int, speck_share: float) -> Grid:
    """Return a grid of cubic voxels over the bounding box of all meshes, `n_longest` along its longest side.

    Specks far away would make voxels coarse everywhere: the box is that of each mesh without its smallest
    pieces, which together hold at most `speck_share` of its volume. What of them lies outside is not counted.

    Raises
    ------
    InputError
        When no mesh has a vertex, or the box is a point.
    """
    bodies = [_without_specks(mesh, speck_share) for mesh in meshes if len(mesh[0])]
    boxes = [(vertices.min(axis=0), vertices.max(axis=0)) for vertices in bodies]
    if not boxes:
        raise InputError("none of the shapes to compare has a surface. Leave the cell out of the comparison.")
    low_um = np.min([low for low, _ in boxes], axis=0).astype(np.float64)
    extent_um = np.max([high for _, high in boxes], axis=0) - low_um
    edge_um = extent_um.max() / n_longest
    if not edge_um > 0:
        raise InputError("the shapes to compare are one point. Check the segmentation.")
    n_xyz = np.ceil(extent_um / edge_um - 1e-9).astype(int).clip(min=1)
    return Grid(low_um, np.full(3, edge_um), tuple(n_xyz.tolist()))


def _without_specks(mesh: Mesh, speck_share: float) -> np.ndarray:
    """Return the vertices of all pieces but the smallest, which hold at most this share of the volume."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    vertices, faces = np.asarray(mesh[0]), np.asarray(mesh[1])
    if not len(faces):
        return vertices
    ones = np.ones(2 * len(faces))
    edges = (ones, (np.tile(faces[:, 0], 2), faces[:, 1:].T.ravel()))
    n_pieces, piece = connected_components(coo_matrix(edges, shape=(len(vertices),) * 2), directed=False)
    corners = (vertices - vertices.mean(axis=0))[faces].astype(np.float64)
    cones = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    volumes = np.abs(np.bincount(piece[faces[:, 0]], cones, n_pieces))
    order = np.argsort(volumes, kind="stable")
    kept = np.ones(n_pieces, dtype=bool)
    kept[order[volumes[order].cumsum() <= speck_share * volumes.sum()]] = False
    # A flat mesh has no volume to go by.
    return vertices[kept[piece]] if kept.any() else vertices


def voxelise(mesh: Mesh, grid: Grid) -> np.ndarray:
    """Return the voxels of a grid whose centres lie inside a closed mesh, bool, axes z, y, x.

    Rays run along z through all columns at once. Each triangle above a column's centre changes the winding
    number there by one: inside is where it is positive, so that overlapping pieces do no harm.
    """
    n_x, n_y, n_z = grid.n_xyz
    vertices = (np.asarray(mesh[0], np.float64) - grid.low_um) / grid.edge_um - 0.5 + _OFFSET_VOXEL
    column, height, change = _crossings(vertices, mesh[1], n_x, n_y)
    # The first voxel above the triangle; one more slot holds what is above the grid.
    first = np.ceil(height).clip(0, n_z).astype(np.int64)
    changes = np.bincount(column * (n_z + 1) + first, change, n_x * n_y * (n_z + 1))
    winding = changes.reshape(n_y, n_x, n_z + 1)[..., :-1].cumsum(axis=2)
    return np.ascontiguousarray(np.moveaxis(winding > 0.5, 2, 0))


def voxelise_own_box(mesh: Mesh, n_xyz: Sequence[int]) -> np.ndarray:
    """Voxelise a mesh in `n_xyz` voxels stretched over its own bounding box; axes z, y, x."""
    if not len(mesh[1]):
        return np.zeros(tuple(n_xyz)[::-1], dtype=bool)
    low_um = mesh[0].min(axis=0).astype(np.float64)
    extent_um = (mesh[0].max(axis=0) - low_um).clip(min=1e-12)
    return voxelise(mesh, Grid(low_um, extent_um / np.asarray(n_xyz), tuple(int(n) for n in n_xyz)))


def _crossings(
    vertices: np.ndarray, faces: np.ndarray, n_x: int, n_y: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where rays along z cross triangles: column y n_x + x, height, and the change of the winding."""
    corners = vertices[faces]
    low = np.ceil(corners[..., :2].min(axis=1)).clip(0, None).astype(np.int64)
    high = np.floor(corners[..., :2].max(axis=1)).clip(None, [n_x - 1, n_y - 1]).astype(np.int64)
    sides = (high - low + 1).clip(min=0)
    counts = sides.prod(axis=1)
    triangle = np.repeat(np.arange(len(corners)), counts)
    number = np.arange(len(triangle)) - np.repeat(counts.cumsum() - counts, counts)
    y, x = np.divmod(number, sides[triangle, 0])
    x, y = x + low[triangle, 0], y + low[triangle, 1]
    # Twice the areas that the column's centre makes with each side; their sum is the triangle's.
    offset = corners[triangle]
    dx, dy = offset[..., 0] - x[:, None], offset[..., 1] - y[:, None]
    one, other = [1, 2, 0], [2, 0, 1]
    areas = dx[:, one] * dy[:, other] - dx[:, other] * dy[:, one]
    crossed = (areas > 0).all(axis=1) | (areas < 0).all(axis=1)
    areas, total = areas[crossed], areas[crossed].sum(axis=1)
    height = (areas * offset[crossed, :, 2]).sum(axis=1) / total
    # From below one enters where the outward normal looks down.
    return (y * n_x + x)[crossed], height, -np.sign(total)


def iou_error(a_zyx: np.ndarray, b_zyx: np.ndarray) -> np.ndarray | float:
    """Return 1 - Jaccard index of two shapes in one grid, ``1 - |A and B| / |A or B|``.

    Source: Vasan et al. 2025, "scaled image evaluation", here in a common frame and grid, so that size,
    position and stretch count, unlike in `iou_error_legacy`.

    Parameters
    ----------
    a_zyx, b_zyx
        Bool, shapes (..., z, y, x) that broadcast, on one grid (`common_grid`, `voxelise`).

    Returns
    -------
    numpy.ndarray or float
        Shape (...), 0 for equal shapes, 1 for disjoint ones or when one is empty; NaN where both are empty.

    Raises
    ------
    InputError
        When the last three axes differ: these are not two shapes in one grid.
    """
    a_zyx, b_zyx = np.asarray(a_zyx, bool), np.asarray(b_zyx, bool)
    if a_zyx.ndim < 3 or a_zyx.shape[-3:] != b_zyx.shape[-3:]:
        found = f"grids of {a_zyx.shape[-3:]} and {b_zyx.shape[-3:]} voxels"
        raise InputError(f"shapes in {found} do not overlap. Voxelise both in one common grid.")
    shared, either = (np.count_nonzero(both, axis=(-3, -2, -1)) for both in (a_zyx & b_zyx, a_zyx | b_zyx))
    # Counts are whole, so a divisor of one half of a voxel stands for none.
    error = np.where(either > 0, 1 - shared / np.maximum(either, 0.5), np.nan)
    return error if error.ndim else float(error)


def iou_error_legacy(a: Mesh, b: Mesh, n_xyz: Sequence[int]) -> float:
    """Return 1 - Jaccard index of two shapes, each stretched over a grid of its own box.

    Size, position and stretch along an axis cancel: a half-size, a shifted or a stretched copy has error 0.
    NaN when a mesh has no faces. Source: Vasan et al. 2025, reconstruction error and evolution energy of
    polymorphic structures. The two voxels of padding around both of its grids change no count.

    Parameters
    ----------
    a, b
        Closed meshes, see `Mesh`, in any unit.
    n_xyz
        Voxels along x, y, z: the extents of the target in voxels, rounded up; between two ends of
        an interpolation, the larger of the two along each axis.
    """
    if not (len(a[1]) and len(b[1])):
        return float("nan")
    return iou_error(voxelise_own_box(a, n_xyz), voxelise_own_box(b, n_xyz))


def mean_surface_distance_um(a: Mesh, b: Mesh, *, n_points: int = 2048, seed: int = 0) -> float:
    """Return the symmetric mean distance between two surfaces, micrometres; NaN when one has no faces.

    ``(mean over A of d(p, B) + mean over B of d(q, A)) / 2``, with `n_points` points uniform by area on each
    surface and exact distances to the other.
    """
    if not (len(a[1]) and len(b[1])):
        return float("nan")
    # Imported here: environments that only train have no library of meshes.
    from morphobench.geometry.meshes import distance
    from morphobench.geometry.surface_points import surface_points

    means = []
    for source, target in ((a, b), (b, a)):
        points, _ = surface_points(*source, n_points, np.random.default_rng(seed))
        means.append(float(distance(points, *target)[0].mean()))
    return sum(means) / 2
