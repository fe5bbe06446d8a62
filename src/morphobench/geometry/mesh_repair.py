"""Surfaces as they come from programs: oriented outwards, and closed where little of them is missing."""

import igl
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from morphobench.errors import InputError
from morphobench.geometry.isosurface import enclosed_volume, face_vectors

# Of the cube of the longest side: less is a sheet, or the surface is folded onto itself.
_NO_VOLUME = 1e-6


def closed(vertices: np.ndarray, faces: np.ndarray, max_open: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Orient a surface of one or more pieces outwards, and close its openings by fans about their middles.

    An opening is a connected set of edges that faces traverse more often one way than the other. Faces of no
    area and repeated ones are dropped. Where faces are oriented alike, cavities stay cavities.

    Parameters
    ----------
    vertices, faces
        Shapes (n_vertices, 3) and (n_faces, 3).
    max_open
        Largest share of the closed surface that may be made of fans.

    Returns
    -------
    vertices, faces
        float64 and int64; every edge is traversed as often one way as the other.
    open_share
        Share of the surface's area that are fans.

    Raises
    ------
    InputError
        When the openings are larger, or the surface encloses no volume.
    """
    vertices, faces = np.asarray(vertices, np.float64), _distinct(np.asarray(faces, np.int64))
    faces = faces[np.linalg.norm(face_vectors(vertices, faces), axis=1) > 0] if len(faces) else faces
    if not len(faces):
        raise InputError("no face of the mesh has an area. Export it again, or remove the cell.")
    faces = _oriented(vertices, faces)
    vertices, fans = _fans(vertices, faces)
    whole = np.concatenate([faces, fans])
    areas = np.linalg.norm(face_vectors(vertices, whole), axis=1)
    open_share = float(areas[len(faces) :].sum() / areas.sum())
    if open_share > max_open:
        found = f"{open_share:.0%} of its surface is missing, source.mesh.max_open = {max_open:g}"
        raise InputError(
            f"the mesh is open: {found}. Close it where it was cut, raise max_open, or remove the cell."
        )
    volume = enclosed_volume(vertices, whole)
    if abs(volume) <= _NO_VOLUME * np.ptp(vertices[whole], axis=(0, 1)).max() ** 3:
        raise InputError("the mesh encloses no volume: it is a sheet. Close it, or remove the cell.")
    return vertices, whole if volume > 0 else whole[:, ::-1], open_share


def _distinct(faces: np.ndarray) -> np.ndarray:
    """Return faces of three different vertices, each set of vertices once, in their order."""
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = faces[np.sort(first)]
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]


def _oriented(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return faces oriented alike over each piece; where they were not before, every piece outwards."""
    if not _excess(faces)[1].max(initial=0) > 1:
        return faces
    alike, piece = igl.bfs_orient(faces)
    alike = np.array(alike, np.int64)
    for number in range(int(piece.max()) + 1):
        own = piece == number
        if enclosed_volume(vertices, alike[own]) < 0:
            alike[own] = alike[own][:, ::-1]
    return alike


def _excess(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the directed edges that are traversed more often than their reverse, and how much more often."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    up = directed[:, 0] < directed[:, 1]
    edges, which = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True)
    net = np.bincount(which.ravel(), weights=np.where(up, 1, -1), minlength=len(edges)).astype(np.int64)
    more, less = edges[net > 0], edges[net < 0][:, ::-1]
    return np.concatenate([more, less]), np.concatenate([net[net > 0], -net[net < 0]])


def _fans(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices with the middle of each opening, and the faces between it and its edges."""
    edges, n_missing = _excess(faces)
    if not len(edges):
        return vertices, np.empty((0, 3), np.int64)
    size = (len(vertices),) * 2
    _, opening = connected_components(sparse.coo_matrix((np.ones(len(edges)), tuple(edges.T)), shape=size))
    names, own = np.unique(opening[edges[:, 0]], return_inverse=True)
    sums = [np.bincount(own, weights=along) for along in vertices[edges[:, 0]].T]
    middles = np.stack(sums, axis=1) / np.bincount(own)[:, None]
    fans = np.column_stack([edges[:, ::-1], len(vertices) + own])
    return np.concatenate([vertices, middles]), np.repeat(fans, n_missing, axis=0)
