"""Stage `align` for meshes: the long axis of the solid along x, the origin one voxel beside its corner."""

from functools import partial

import numpy as np

from morphobench.align import coordinates
from morphobench.files.layout import MESH


def _covariance(vertices_um: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the covariance (3, 3) of x, y, z over the solid, square micrometres."""
    import trimesh

    centred_um = vertices_um - vertices_um.mean(axis=0)
    solid = trimesh.Trimesh(centred_um, faces, process=False).mass_properties
    # The inertia about the centre of mass is the trace less the second moments.
    moments = np.eye(3) * np.trace(solid.inertia) / 2 - solid.inertia
    return moments / solid.mass


def _corner(vertices_um: np.ndarray, spacing_um: float) -> np.ndarray:
    return vertices_um.min(axis=0) - spacing_um


run = partial(coordinates.run, arrays=MESH, covariance=_covariance, origin=_corner)
