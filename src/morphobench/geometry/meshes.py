"""Triangle meshes: checked reading, writing, points inside, and exact distances to the surface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from morphobench.errors import InputError

if TYPE_CHECKING:
    import trimesh

# The fast winding number is off by a few hundredths; this close to one half it does not decide the side.
_UNSURE = 0.1


def read_closed_mesh(path: str | Path) -> trimesh.Trimesh:
    """Read a mesh file as `read_mesh` does, and check that it encloses a volume.

    Raises
    ------
    InputError
        When the file is missing or unreadable, or its surface is open, inconsistently oriented or inside out.
    """
    mesh = read_mesh(path)
    if not mesh.is_watertight:
        raise InputError(f"{path}: the mesh is not watertight. Close its holes (e.g. trimesh fill_holes).")
    if not mesh.is_winding_consistent or mesh.volume <= 0:
        found = f"the faces do not all point outwards (signed volume {mesh.volume:g})"
        raise InputError(f"{path}: {found}. Orient them (e.g. trimesh fix_normals).")
    return mesh


def read_mesh(path: str | Path) -> trimesh.Trimesh:
    """Read a mesh file (OBJ, OFF, PLY, STL), open or closed, and merge repeated vertices.

    Raises
    ------
    InputError
        When the file is missing or unreadable, has no faces, or vertices that are not finite.
    """
    import trimesh

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such mesh file. Add it, or remove its row from the manifest.")
    try:
        mesh = trimesh.load(path, process=False, force="mesh")
    except Exception as error:  # the parsers behind trimesh raise whatever a broken byte leads them to
        raise InputError(f"{path}: not readable as a mesh ({error!r}). Export it again.") from error
    if len(mesh.faces) == 0:
        remedy = "Export the surface again; points alone as CSV with columns x, y, z"
        raise InputError(f"{path}: the mesh has no faces. {remedy}.")
    if not np.isfinite(mesh.vertices).all():
        raise InputError(f"{path}: the mesh has vertices that are not finite. Export it again.")
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    return mesh


def write_ply(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a mesh as binary PLY with float32 vertices and nothing else, in a folder made where missing."""
    import trimesh
    from trimesh.exchange.ply import export_ply

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    Path(path).write_bytes(export_ply(mesh, vertex_normal=False, include_attributes=False))


def inside(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return which points (n, 3) lie inside a mesh, bool: its generalised winding number exceeds one half.

    Holes, overlaps and repeated faces of the mesh do no harm (Jacobson et al. 2013). The number is the fast
    one of Barill et al. 2018, and the exact one for points where that comes close to one half.
    """
    import igl

    if len(points) == 0:
        return np.empty(0, dtype=bool)
    points, vertices, faces = _contiguous(points, vertices, faces)
    winding = igl.fast_winding_number(vertices, faces, points)
    unsure = np.abs(winding - 0.5) < _UNSURE
    if unsure.any():
        winding[unsure] = igl.winding_number(vertices, faces, points[unsure])
    return winding > 0.5


def distance(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact distance (n,) of points to a mesh, and the closest points (n, 3) of its surface."""
    import igl

    if len(points) == 0:
        return np.empty(0), np.empty((0, 3))
    squared, _, nearest = igl.point_mesh_squared_distance(*_contiguous(points, vertices, faces))
    return np.sqrt(squared), nearest


def signed_distance(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return `distance`, negative inside a mesh with outward faces, and the closest points of its surface.

    The sign comes from `inside`: the signs of pseudonormals are wrong by micrometres near slivers and folds
    of real meshes.
    """
    size, nearest = distance(points, vertices, faces)
    return size * np.where(inside(points, vertices, faces), -1.0, 1.0), nearest


def _contiguous(*arrays: np.ndarray) -> list[np.ndarray]:
    kinds = (np.float64, np.float64, np.int64)
    return [np.ascontiguousarray(array, dtype=kind) for array, kind in zip(arrays, kinds, strict=True)]
