"""Closed meshes of known shape, micrometres."""

import numpy as np
import trimesh

NOTHING = (np.empty((0, 3)), np.empty((0, 3), int))


def ball(radius_um=20.0, centre_um=(0, 0, 0), stretch=(1, 1, 1), subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.array(mesh.vertices) * radius_um * np.array(stretch) + centre_um, np.array(mesh.faces)


def box(sides_um, centre_um=(0, 0, 0)):
    mesh = trimesh.creation.box(sides_um)
    return np.array(mesh.vertices) + centre_um, np.array(mesh.faces)
