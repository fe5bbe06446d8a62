"""Geometry in micrometres: rotations, meshes, isosurfaces, labels and surface points."""
