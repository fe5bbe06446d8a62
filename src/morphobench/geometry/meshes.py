"""Closed triangle meshes of nuclei and cells: reading with checks, bare writing, exact depth of points."""

from __future__ import annotations

from pathlib import Path

import igl
import numpy as np
import trimesh
from trimesh.exchange.ply import export_ply

from morphobench.errors import InputError

# The fast winding number is off by a few hundredths; this close to one half it does not tell the side.
_UNSURE = 0.1


def read_closed_mesh(path: str | Path) -> trimesh.Trimesh:
    """Read a mesh, join repeated vertices, and make sure that it encloses a volume.

    Parameters
    ----------
    path
        File in any format that trimesh reads (OBJ, PLY, STL, ...). Unit and axes stay as they are.

    Raises
    ------
    InputError
        When the file is missing or unreadable, or its surface is open, inconsistently oriented or turned
        inside out.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such mesh file. Add it, or remove its row from the manifest.")
    try:
        mesh = trimesh.load(path, process=False, force="mesh")
    except Exception as error:  # the parsers behind trimesh raise whatever a broken byte leads them to
        raise InputError(
            f"{path}: not readable as a mesh ({type(error).__name__}: {error}). Export it again."
        ) from error
    if len(mesh.faces) == 0 or not np.isfinite(mesh.vertices).all():
        raise InputError(f"{path}: the mesh has no faces, or vertices that are not finite. Export it again.")
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    if not mesh.is_watertight:
        raise InputError(f"{path}: the mesh is not watertight. Close its holes (e.g. trimesh fill_holes).")
    if not mesh.is_winding_consistent or mesh.volume <= 0:
        raise InputError(
            f"{path}: the faces do not all point outwards (signed volume {mesh.volume:g}). "
            "Orient them (e.g. trimesh fix_normals)."
        )
    return mesh


def write_ply(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a mesh as binary PLY with float32 vertices and nothing else.

    Parameters
    ----------
    path
        File to write; its folder is made when missing.
    vertices
        Shape (n_vertices, 3).
    faces
        Shape (n_faces, 3), indices into `vertices`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    path.write_bytes(export_ply(mesh, vertex_normal=False, include_attributes=False))


def inside(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Tell which points lie inside a mesh: where its generalised winding number exceeds one half.

    Holes, overlaps and repeated faces of the mesh do no harm (Jacobson et al. 2013). The number is the fast
    one of Barill et al. 2018, and the exact one for points where that comes close to one half.

    Parameters
    ----------
    points
        Shape (n, 3), unit of `vertices`.
    vertices
        Shape (n_vertices, 3).
    faces
        Shape (n_faces, 3), outward.

    Returns
    -------
    numpy.ndarray
        Shape (n,), bool.
    """
    if len(points) == 0:
        return np.empty(0, dtype=bool)
    points, vertices = (np.ascontiguousarray(array, dtype=np.float64) for array in (points, vertices))
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    winding = igl.fast_winding_number(vertices, faces, points)
    unsure = np.abs(winding - 0.5) < _UNSURE
    if unsure.any():
        winding[unsure] = igl.winding_number(vertices, faces, points[unsure])
    return winding > 0.5


def signed_distance(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact signed distance of points to a mesh, and the nearest surface points.

    The distance is exact (AABB tree of libigl). The sign comes from `inside`: the signs of pseudonormals are
    wrong by micrometres near slivers and folds of real meshes.

    Parameters
    ----------
    points
        Shape (n, 3), unit of `vertices`.
    vertices
        Shape (n_vertices, 3).
    faces
        Shape (n_faces, 3), outward.

    Returns
    -------
    distance
        Shape (n,), negative inside, unit of `vertices`.
    nearest
        Shape (n, 3), the closest point of the surface.
    """
    if len(points) == 0:
        return np.empty(0), np.empty((0, 3))
    points, vertices = (np.ascontiguousarray(array, dtype=np.float64) for array in (points, vertices))
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    squared, _, nearest = igl.point_mesh_squared_distance(points, vertices, faces)
    return np.sqrt(squared) * np.where(inside(points, vertices, faces), -1.0, 1.0), nearest
