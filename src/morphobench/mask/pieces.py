"""Number, sizes and distances of the pieces of a structure."""

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial.distance import cdist, pdist

from morphobench.errors import InputError
from morphobench.geometry.isosurface import face_vectors, isosurface
from morphobench.geometry.labels import piece_label

# How often normals are averaged over neighbouring vertices: more flattens the steps of curved surfaces
# further, but also the edges of boxes.
_N_AVERAGED = 3
_BLOCK = 1000
_MEASURES = ("surface_area_um2", "volume_um3", "distance_um")
FEATURES = tuple(f"{statistic}_{name}" for name in _MEASURES for statistic in ("mean", "std"))


def piece_features(
    mask_zyx: np.ndarray, spacing_um: float, surface: tuple[np.ndarray, np.ndarray] | None = None
) -> dict[str, float | int | str]:
    """Return number, sizes and distances of the pieces of a mask (z, y, x).

    Pieces are 26-connected: voxels that share a corner belong together, as in `isosurface`. Time is linear
    in the voxels, but quadratic in the pieces for their distances.

    Parameters
    ----------
    surface
        The result of `isosurface`, where at hand.

    Returns
    -------
    dict
        n_pieces; n_pieces_label, "1" to "4" or ">=5"; and mean and standard deviation (population) over the
        pieces of surface_area_um2 (see `surface_areas`) and volume_um3 (voxels), and over their pairs of
        distance_um between centroids, NaN for one piece. Areas of pieces below 3 voxels in radius are too
        small, see `surface_areas`; volumes, by voxels, are not, unlike those that their meshes enclose: -5 %
        at a radius of 3 voxels, -11 % at 2, -21 % at 1.5, -44 % at 1.

    Raises
    ------
    InputError
        When the mask is empty.
    """
    if not mask_zyx.any():
        raise InputError("the segmentation is empty: it has no pieces. Correct it, or leave the cell out.")
    label_zyx, n_pieces = ndimage.label(mask_zyx, np.ones((3, 3, 3)))
    vertices_um, faces = isosurface(mask_zyx, spacing_um) if surface is None else surface
    sizes, centroids_voxel = _sizes_and_centroids(label_zyx, n_pieces)
    areas_um2 = surface_areas(label_zyx, n_pieces, vertices_um, faces, spacing_um)
    volumes_um3 = sizes * spacing_um**3
    statistics = [f(values) for values in (areas_um2, volumes_um3) for f in (np.mean, np.std)]
    statistics += distance_statistics(centroids_voxel * spacing_um)
    features = dict(zip(FEATURES, map(float, statistics), strict=True))
    return {"n_pieces": n_pieces, "n_pieces_label": piece_label(n_pieces)} | features


def _sizes_and_centroids(label_zyx: np.ndarray, n_pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels of each piece, shape (n_pieces,), and its mean index, shape (n_pieces, 3)."""
    inside = np.flatnonzero(label_zyx)
    piece = label_zyx.ravel()[inside] - 1
    sizes = np.bincount(piece, minlength=n_pieces)
    index_zyx = np.unravel_index(inside, label_zyx.shape)
    sums = [np.bincount(piece, weights=index, minlength=n_pieces) for index in index_zyx]
    return sizes, np.stack(sums, axis=1) / sizes[:, None]


def surface_areas(
    label_zyx: np.ndarray, n_pieces: int, vertices_um: np.ndarray, faces: np.ndarray, spacing_um: float
) -> np.ndarray:
    """Estimate the surface area of each piece, labels 1 to n_pieces; shape (n_pieces,), square micrometres.

    Every face of the isosurface counts with its projection along the normal of its surroundings, so that the
    steps of a digital surface add nothing (as in Flin et al., IEEE Trans. Image Processing 14, 2005).
    Measured against closed forms: the mean over balls of radius 4 to 20 voxels within 2 % (the plain
    isosurface: +8 %; a single ball of 5 voxels may be 4 % off), smaller balls are too small: -1 % at a radius
    of 3 voxels, -5 % at 2, -11 % at 1.5, -26 % at 1; tori within 1 %; boxes lose their edges: 4 %
    for 10 x 20 x 30 voxels, 8 % for 10 x 10 x 10, 16 % for 5 x 5 x 5. A single voxel has 1.73 squares of its
    edge, the area of its octahedron.
    """
    vectors_um2 = face_vectors(vertices_um, faces)
    normals = _surrounding_normals(vectors_um2, faces, len(vertices_um))
    areas_um2 = np.abs(np.einsum("ij,ij->i", vectors_um2, normals))
    piece = _pieces_of_vertices(label_zyx, vertices_um, spacing_um)[faces].max(axis=1)
    return np.bincount(piece - 1, weights=areas_um2, minlength=n_pieces)


def _surrounding_normals(vectors_um2: np.ndarray, faces: np.ndarray, n_vertices: int) -> np.ndarray:
    """Return the unit normal of each face's surroundings, shape (n_faces, 3)."""
    corners = faces.ravel()
    following = np.roll(faces, -1, axis=1).ravel()
    # The surface is closed: each of its edges is there once in either direction.
    beside = sparse.csr_matrix((np.ones(corners.size), (corners, following)), shape=(n_vertices,) * 2)
    share = 0.5 / np.bincount(corners, minlength=n_vertices)[:, None]
    spread = np.repeat(vectors_um2, 3, axis=0)
    sums = [np.bincount(corners, weights=along, minlength=n_vertices) for along in spread.T]
    at_vertices = np.stack(sums, axis=1)
    for _ in range(_N_AVERAGED):
        at_vertices = at_vertices / 2 + share * (beside @ at_vertices)
    summed = at_vertices[faces].sum(axis=1)
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    return np.divide(summed, length, out=np.zeros_like(summed), where=length > 0)


def _pieces_of_vertices(label_zyx: np.ndarray, vertices_um: np.ndarray, spacing_um: float) -> np.ndarray:
    """Return the piece of each vertex, 0 for the few inside a cell of voxels, whose faces have others."""
    padded_zyx = np.pad(label_zyx, 1)
    index_zyx = vertices_um[:, ::-1] / spacing_um + 0.5
    # A vertex lies between two voxels along one axis, and on their centres along the others.
    low, high = (np.rint(index_zyx + sign * 0.4).astype(np.int64) for sign in (-1, 1))
    return np.maximum(padded_zyx[tuple(low.T)], padded_zyx[tuple(high.T)])


def distance_statistics(centroids: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation (population) of all pairwise distances; NaN without pairs."""
    n_pairs = len(centroids) * (len(centroids) - 1) // 2
    if n_pairs == 0:
        return np.nan, np.nan
    # About the first distance, so that equal distances have no spread by rounding.
    about = float(np.linalg.norm(centroids[1] - centroids[0]))
    total = squares = 0.0
    for start in range(0, len(centroids), _BLOCK):
        block, rest = centroids[start : start + _BLOCK], centroids[start + _BLOCK :]
        for distances in (pdist(block), cdist(block, rest).ravel()):
            above = distances - about
            total += above.sum()
            squares += above @ above
    mean = total / n_pairs
    return about + mean, float(np.sqrt(max(squares / n_pairs - mean**2, 0)))
