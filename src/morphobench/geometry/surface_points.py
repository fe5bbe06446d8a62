"""A mesh in its own unit cube: points on its surface, and points in space with their signed distances."""

import numpy as np

from morphobench.geometry import meshes


def unit_cube(vertices_um: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre a mesh by its bounding box and scale its longest side to 1 (Vasan et al. 2025).

    Returns
    -------
    vertices
        Shape (n, 3), float64, within -0.5 to 0.5: (vertices_um - loc_um) / scale_um.
    loc_um
        Shape (3,), centre of the bounding box, micrometres.
    scale_um
        Its longest side, micrometres.
    """
    vertices_um = np.asarray(vertices_um, dtype=np.float64)
    low_um, high_um = vertices_um.min(axis=0), vertices_um.max(axis=0)
    loc_um, scale_um = (low_um + high_um) / 2, float((high_um - low_um).max())
    return (vertices_um - loc_um) / scale_um, loc_um, scale_um


def surface_points(
    vertices: np.ndarray, faces: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sample `n` points uniformly by area from a mesh, with the unit normals of their faces.

    Both have shape (n, 3), float32; not all faces may be of zero area.
    """
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.cross(first, second)
    doubled_area = np.linalg.norm(normals, axis=1)
    up_to = np.cumsum(doubled_area)
    # Right of equals: a face of no area is never chosen.
    face = np.searchsorted(up_to, rng.random(n) * up_to[-1], side="right")
    along = rng.random((n, 2, 1))
    # Folding the far half of the parallelogram back keeps the density uniform.
    along = np.where(along.sum(axis=1, keepdims=True) > 1, 1 - along, along)
    points = corners[face, 0] + along[:, 0] * first[face] + along[:, 1] * second[face]
    return points.astype(np.float32), (normals[face] / doubled_area[face, None]).astype(np.float32)


def query_points(n: int, rng: np.random.Generator) -> np.ndarray:
    """Sample points uniformly from the unit cube, -0.5 to 0.5, shape (n, 3), float32."""
    return rng.random((n, 3), dtype=np.float32) - np.float32(0.5)


def signed_distances(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the exact signed distances of points, shape (n,), float32; see `meshes.signed_distance`."""
    return meshes.signed_distance(points, vertices, faces)[0].astype(np.float32)
