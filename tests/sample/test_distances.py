"""Signed distances on a grid against closed forms, full evaluations and damaged meshes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from paths import ROOT
from scipy.spatial import cKDTree

from morphobench.errors import InputError
from morphobench.geometry import meshes, rotation
from morphobench.geometry.surface_points import surface_points
from morphobench.sample import distances
from morphobench.sample.distances import (
    BAND_VOXEL,
    reference_segmentation_grid,
    segmentation_grid,
    signed_distance_grid,
)

COMMITTED = ROOT / "workflow/resources/nuclei_series006"
SHARED = ROOT.parent / "shared/data/nuclei_series006"
MODELS_CLIP = 2.0


def sphere(radius=1.0, center=(0, 0, 0), subdivisions=5):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return mesh.apply_translation(center)


def box(sides=(1.0, 0.7, 0.4)):
    return trimesh.creation.box(sides)


def torus():
    return trimesh.creation.torus(1.0, 0.4, major_sections=128, minor_sections=64)


def pair():
    return trimesh.util.concatenate(sphere(0.5, (-0.7, 0, 0)), sphere(0.4, (0.7, 0.1, 0.2)))


SHAPES = {"sphere": sphere, "box": box, "torus": torus, "pair": pair}


def grid_points(resolution):
    """Points x, y, z of index k, j, i, shape (R, R, R, 3)."""
    z, y, x = np.indices((resolution,) * 3) - resolution // 2
    return np.stack([x, y, z], -1).astype(float)


def factor(mesh, resolution, share=0.7):
    return share * resolution / mesh.extents.max()


def placed(mesh, scale_factor):
    """Vertices in grid voxels from the origin of the grid."""
    return (mesh.vertices - mesh.bounds.mean(axis=0)) * scale_factor


def sdf_of(mesh, resolution, **changes):
    place = {"resolution": resolution, "scale_factor": factor(mesh, resolution)} | changes
    return signed_distance_grid(mesh.vertices, mesh.faces, **place)


def exact(points, radius):
    return np.linalg.norm(points, axis=-1) - radius


def box_distance(points, half):
    beyond = np.abs(points) - half
    return np.linalg.norm(beyond.clip(min=0), axis=-1) + beyond.max(axis=-1).clip(max=0)


def torus_distance(points, major, minor):
    return np.hypot(np.hypot(points[..., 0], points[..., 1]) - major, points[..., 2]) - minor


def true_distance(name, points, mesh, scale):
    if name == "sphere":
        return exact(points, scale), 0.01
    if name == "box":
        return box_distance(points, scale * mesh.extents / 2), 1e-5
    if name == "torus":
        return torus_distance(points, scale, 0.4 * scale), 0.03
    low, high = mesh.bounds
    centres = np.array([[-0.7, 0, 0], [0.7, 0.1, 0.2]]) - (low + high) / 2
    one, other = (
        exact(points - scale * at, scale * radius) for at, radius in zip(centres, (0.5, 0.4), strict=True)
    )
    return np.minimum(one, other), 0.01


@pytest.mark.parametrize("resolution", [32, 33, 64])
@pytest.mark.parametrize("name", SHAPES)
def test_distances_have_their_closed_form(name, resolution):
    mesh = SHAPES[name]()
    sdf = sdf_of(mesh, resolution)
    truth, mesh_error = true_distance(name, grid_points(resolution), mesh, factor(mesh, resolution))
    assert sdf.dtype == np.float32
    assert sdf.flags.c_contiguous
    inside_band = np.abs(truth) <= BAND_VOXEL - 0.1
    assert np.abs(sdf - truth)[inside_band].max() < mesh_error * resolution / 32
    # Beyond: right sign, never taken for near, and the coarse distance is what it is said to be.
    assert ((sdf < 0) == (truth < 0))[~inside_band].all()
    assert np.abs(sdf)[np.abs(truth) > BAND_VOXEL + 0.1].min() > MODELS_CLIP
    assert np.abs(np.abs(sdf) - np.abs(truth)).max() < 1.4


@pytest.mark.parametrize("name", SHAPES)
def test_the_band_equals_a_full_evaluation(name):
    mesh = SHAPES[name]()
    scale = factor(mesh, 32)
    full, _ = meshes.signed_distance(grid_points(32).reshape(-1, 3), placed(mesh, scale), mesh.faces)
    full = full.reshape(32, 32, 32)
    sdf = sdf_of(mesh, 32)
    band = np.abs(full) <= BAND_VOXEL
    np.testing.assert_allclose(sdf[band], full[band], atol=1e-5)
    np.testing.assert_array_equal(sdf < 0, full < 0)
    assert np.abs(sdf[~band]).min() > BAND_VOXEL


def test_a_wider_band_is_exact_farther_out():
    mesh = torus()
    scale = factor(mesh, 32)
    full, _ = meshes.signed_distance(grid_points(32).reshape(-1, 3), placed(mesh, scale), mesh.faces)
    sdf = sdf_of(mesh, 32, band_voxel=100.0)
    np.testing.assert_allclose(sdf.ravel(), full, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("resolution", [32, 64])
def test_the_segmentation_has_the_volume_of_the_shape(name, resolution):
    mesh = SHAPES[name]()
    # In line with the grid, a box or torus gains or loses whole layers.
    mesh.vertices = rotation.rotate_points(mesh.vertices, rotation.uniform(1, np.random.default_rng(1))[0])
    expected = mesh.volume * factor(mesh, resolution) ** 3
    assert expected > 500
    seg = segmentation_grid(sdf_of(mesh, resolution))
    assert seg.dtype == np.uint8
    assert seg.sum() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("turn", rotation.cube_rotations()[[1, 7, 23]])
def test_turning_the_mesh_turns_the_grid(turn):
    mesh = pair()
    scale = factor(mesh, 33)
    turned = signed_distance_grid(mesh.vertices @ turn.T, mesh.faces, resolution=33, scale_factor=scale)
    expected = rotation.rotate_cube_lattice(sdf_of(mesh, 33), turn)
    clipped = (array.clip(-MODELS_CLIP, MODELS_CLIP) for array in (turned, expected))
    np.testing.assert_allclose(*clipped, atol=1e-5)


def test_an_even_grid_is_the_odd_one_without_its_last_planes():
    mesh = torus()
    even = sdf_of(mesh, 32)
    odd = sdf_of(mesh, 33, scale_factor=factor(mesh, 32))
    cut = odd[:-1, :-1, :-1]
    np.testing.assert_allclose(*(array.clip(-2, 2) for array in (even, cut)), atol=1e-5)


def test_the_published_order_of_axes_is_the_transpose():
    mesh = box()
    np.testing.assert_array_equal(sdf_of(mesh, 32, reference=True), sdf_of(mesh, 32).T)
    # x is the longest side, and the last axis.
    inside = np.argwhere(sdf_of(mesh, 32) < 0)
    assert np.ptp(inside, axis=0).argmax() == 2


def test_a_few_missing_faces_do_not_spill_the_inside():
    mesh = sphere()
    order = np.argsort(mesh.triangles_center[:, 2])
    opened = mesh.faces[order[:-60]]
    truth = exact(grid_points(32), factor(mesh, 32))
    sdf = signed_distance_grid(mesh.vertices, opened, resolution=32, scale_factor=factor(mesh, 32))
    # The surface that the winding number closes the hole with is not the sphere's, but near it.
    far = np.abs(truth) > 0.5
    np.testing.assert_array_equal((sdf < 0)[far], (truth < 0)[far])


def test_overlapping_spheres_are_their_union():
    parts = sphere(0.6, (-0.3, 0, 0)), sphere(0.6, (0.3, 0, 0))
    mesh = trimesh.util.concatenate(parts)
    scale, points = factor(mesh, 32), grid_points(32)
    union = np.minimum(*(exact(points - [side * 0.3 * scale, 0, 0], 0.6 * scale) for side in (-1, 1)))
    sdf = sdf_of(mesh, 32)
    sure = np.abs(union) > 0.02
    np.testing.assert_array_equal((sdf < 0)[sure], (union < 0)[sure])


@pytest.mark.parametrize("mesh", [trimesh.creation.cylinder(1.0, 3.0, sections=500), box(), sphere(1.0)])
def test_samples_leave_no_gap_and_slivers_are_cheap(mesh):
    samples = distances._surface_samples(mesh.vertices * 10, mesh.faces, 0.5)
    points, _ = surface_points(mesh.vertices * 10, mesh.faces, 20000, np.random.default_rng(0))
    gaps, _ = cKDTree(samples).query(points)
    assert gaps.max() < 0.5 + 1e-5
    # Halved into similar triangles, the cylinder would be two million.
    assert len(samples) < 200_000


def test_a_repeated_face_changes_nothing():
    mesh = box()
    place = {"resolution": 32, "scale_factor": factor(mesh, 32)}
    repeated = np.concatenate([mesh.faces, mesh.faces[[3]]])
    doubled = signed_distance_grid(mesh.vertices, repeated, **place)
    np.testing.assert_allclose(doubled, signed_distance_grid(mesh.vertices, mesh.faces, **place), atol=1e-6)


def test_the_published_segmentation_sits_one_voxel_before_the_distances():
    mesh = torus()
    place = {"resolution": 32, "scale_factor": factor(mesh, 32)}
    seg = reference_segmentation_grid(mesh.vertices, mesh.faces, **place)
    expected = segmentation_grid(signed_distance_grid(mesh.vertices, mesh.faces, **place))
    assert seg.shape == (32, 32, 32)
    assert seg.dtype == np.uint8
    np.testing.assert_array_equal(np.roll(seg, (1, 1, 1), axis=(0, 1, 2)), expected)


def test_an_odd_published_segmentation_still_fills_the_grid():
    mesh = sphere(subdivisions=3)
    seg = reference_segmentation_grid(mesh.vertices, mesh.faces, resolution=33, scale_factor=10.0)
    assert seg.shape == (33, 33, 33)
    assert seg.sum() == pytest.approx(mesh.volume * 1000, rel=0.02)


@pytest.mark.parametrize("make", [signed_distance_grid, reference_segmentation_grid])
def test_a_shape_larger_than_the_grid_is_named(make):
    mesh = box((4.0, 2.0, 1.0))
    with pytest.raises(InputError, match=r"40\.0 x 20\.0 x 10\.0 voxels.*grid of 32.*resolution"):
        make(mesh.vertices, mesh.faces, resolution=32, scale_factor=10.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_a_scale_factor_that_is_none_is_named(bad):
    with pytest.raises(InputError, match="scale factor is"):
        signed_distance_grid(box().vertices, box().faces, resolution=32, scale_factor=bad)


def nuclei():
    return [meshes.read_closed_mesh(path) for path in sorted(COMMITTED.glob("*.ply"))]


def sub_voxel_volume(sdf):
    """Volume of the inside, voxels, each border voxel counted by its share: a slope of one voxel."""
    return (0.5 - sdf).clip(0, 1).sum()


@pytest.mark.long
def test_real_nuclei_keep_their_volume_on_the_grid():
    errors = []
    for mesh in nuclei():
        scale = factor(mesh, 64)
        sdf = sdf_of(mesh, 64)
        errors.append(segmentation_grid(sdf).sum() / scale**3 / mesh.volume - 1)
        assert sub_voxel_volume(sdf) / scale**3 == pytest.approx(mesh.volume, rel=0.01)
    assert len(errors) == 32
    assert np.median(np.abs(errors)) < 0.01


def test_the_authors_meshes_have_the_areas_and_volumes_of_their_table():
    path = SHARED / "meshes_um.npz"
    if not path.is_file():
        pytest.skip("the authors' meshes (../shared/data/nuclei_series006) are not here")
    stored = np.load(path)
    table = np.genfromtxt(SHARED / "areas_volumes.csv", delimiter=",", names=True)
    known = {int(row["record"]): row for row in table}
    for number, record in enumerate(stored["record"]):
        vertices, faces = (
            stored[name][slice(*stored[f"{offsets}_offsets"][number : number + 2])]
            for name, offsets in (("vertices_um_xyz", "vertex"), ("faces", "face"))
        )
        # The authors' faces point inwards.
        mesh = trimesh.Trimesh(vertices.astype(float), faces[:, ::-1], process=False)
        assert mesh.volume == pytest.approx(known[int(record)]["volume_um3"], rel=1e-6)
        assert mesh.area == pytest.approx(known[int(record)]["surface_area_um2"], rel=1e-6)
