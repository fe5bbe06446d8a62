"""Points on the surface of a mesh and in the space around it."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import trimesh
from scipy.stats import chisquare

from morphobench.geometry.surface_points import query_points, signed_distances, surface_points, unit_cube


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_unit_cube_holds_the_mesh_and_says_the_way_back():
    vertices_um = trimesh.creation.box((8.0, 4.0, 2.0)).vertices + [100.0, -20.0, 3.0]
    vertices, loc_um, scale_um = unit_cube(vertices_um)
    np.testing.assert_allclose(vertices.max(axis=0), [0.5, 0.25, 0.125])
    np.testing.assert_allclose(vertices.min(axis=0), [-0.5, -0.25, -0.125])
    np.testing.assert_allclose(loc_um, [100.0, -20.0, 3.0])
    assert scale_um == pytest.approx(8.0)
    np.testing.assert_allclose(loc_um + scale_um * vertices, vertices_um)


def test_surface_points_lie_on_the_mesh():
    mesh = trimesh.creation.torus(0.35, 0.15)
    points, normals = surface_points(mesh.vertices, mesh.faces, 5000, rng())
    assert points.shape == normals.shape == (5000, 3)
    assert points.dtype == normals.dtype == np.float32
    squared, face, _ = igl.point_mesh_squared_distance(
        points.astype(float), np.array(mesh.vertices), np.array(mesh.faces)
    )
    assert np.sqrt(squared).max() < 1e-6
    # An edge between two faces may be nearer to either by rounding.
    assert (np.abs(normals - mesh.face_normals[face]).max(axis=1) < 1e-5).mean() > 0.99


def test_normals_have_length_one_and_point_outward():
    mesh = trimesh.creation.icosphere(subdivisions=3)
    points, normals = surface_points(mesh.vertices, mesh.faces, 2000, rng())
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert ((points * normals).sum(axis=1) > 0.9).all()


def test_points_are_uniform_by_area_over_faces_and_within_them():
    sides = np.array([1.0, 0.5, 0.25])
    mesh = trimesh.creation.box(sides)
    points, normals = surface_points(mesh.vertices, mesh.faces, 20000, rng())
    side = np.abs(normals).argmax(axis=1) * 2 + (normals.sum(axis=1) > 0)
    areas = np.repeat(sides.prod() / sides, 2)
    counts = np.bincount(side, minlength=6)
    assert chisquare(counts, areas / areas.sum() * counts.sum()).pvalue > 1e-3
    # Within the largest face, z = constant, by a grid of equal parts: triangles must leave no pattern.
    top = points[side == 5]
    parts, _, _ = np.histogram2d(top[:, 0], top[:, 1], bins=(8, 4), range=[[-0.5, 0.5], [-0.25, 0.25]])
    assert chisquare(parts.ravel()).pvalue > 1e-3


def test_faces_of_no_area_are_never_chosen():
    mesh = trimesh.creation.box()
    faces = np.concatenate([[[0, 0, 1]], mesh.faces, [[2, 2, 2]]])
    _, normals = surface_points(mesh.vertices, faces, 2000, rng())
    assert np.isfinite(normals).all()


def test_queries_fill_the_unit_cube():
    points = query_points(20000, rng())
    assert points.dtype == np.float32
    assert np.abs(points).max() <= 0.5
    counts, _ = np.histogramdd(points, bins=4, range=[[-0.5, 0.5]] * 3)
    assert chisquare(counts.ravel()).pvalue > 1e-3


def test_distances_belong_to_the_stored_points():
    mesh = trimesh.creation.icosphere(subdivisions=6, radius=0.5)
    points = query_points(4000, rng())
    found = signed_distances(points, mesh.vertices, mesh.faces)
    assert found.dtype == np.float32
    truth = np.linalg.norm(points.astype(float), axis=1) - 0.5
    # Flat faces lie inside the sphere by at most their sagitta.
    assert np.abs(found - truth).max() < 1.5e-4


def test_the_same_generator_gives_the_same_points():
    mesh = trimesh.creation.box()
    one, other = (surface_points(mesh.vertices, mesh.faces, 50, rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, surface_points(mesh.vertices, mesh.faces, 50, rng(4)))
