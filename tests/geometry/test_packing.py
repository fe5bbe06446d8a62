"""Packings: points within a nucleus, jittered copies, and spheres as voxels."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate.packings import ellipsoid
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench.geometry import packing, rotation

POINTS = {"n_points": 64, "jitter_um": 0.01, "jitter_clip_um": 0.02}
CUBE = {"size": 16, "side_um": 8.0, "radius_um": 0.1, "oversample": 4}


def cloud(n=40, reach=2.5, seed=0):
    return np.random.default_rng(seed).uniform(-reach, reach, (n, 3))


def ball(n, radius, seed=0):
    direction = np.random.default_rng(seed).normal(size=(n, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True) * radius


def test_the_tolerance_is_a_distance_in_micrometres():
    mesh = ellipsoid([5, 5, 5], subdivisions=4)
    # The faceted sphere lies up to 0.01 um below the round one.
    cloud = np.concatenate([ball(50, 5.08), ball(60, 5.12), ball(70, 4.9)])
    kept = [
        len(packing.keep_inside(cloud, mesh.vertices, mesh.faces, tolerance_um=t)) for t in (0.0, 0.1, 0.2)
    ]
    assert kept == [70, 120, 180]


def test_masking_commutes_with_rotation():
    mesh = ellipsoid([5, 4, 3])
    cloud = np.random.default_rng(0).uniform(-5, 5, (500, 3))
    turn = rotation.uniform(1, np.random.default_rng(1))[0]
    turned = packing.keep_inside(cloud @ turn.T, mesh.vertices @ turn.T, mesh.faces, tolerance_um=0.0)
    kept = packing.keep_inside(cloud, mesh.vertices, mesh.faces, tolerance_um=0.0)
    assert 0 < len(kept) < len(cloud)
    np.testing.assert_allclose(turned, kept @ turn.T)


def voxelise(points_um, size, side_um, radius_um, oversample):
    """The published way: a whole fine volume of zeros and ones, then block sums; axes z, y, x."""
    fine = size * oversample
    centres = (np.arange(fine) + 0.5) * side_um / fine - side_um / 2
    grid = np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), -1)
    full = np.zeros((fine,) * 3, dtype=int)
    for x, y, z in points_um:
        full[((grid - [z, y, x]) ** 2).sum(-1) <= radius_um**2] = 1
    return full.reshape(size, oversample, size, oversample, size, oversample).sum((1, 3, 5))


@pytest.mark.parametrize("radius_um", [0.3, 0.5, 0.9])
def test_a_cube_is_the_block_sum_of_the_voxelised_spheres(radius_um):
    shape = {"size": 10, "side_um": 6.0, "radius_um": radius_um, "oversample": 3}
    points_um = cloud(25, reach=1.9)  # dense enough that spheres of 0.9 um overlap
    expected = voxelise(points_um, **shape)
    np.testing.assert_array_equal(packing.rasterise(points_um, **shape), expected)


@given(st.integers(0, 23), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_cube_turns_with_its_points(which, seed):
    turn = rotation.cube_rotations()[which]
    points_um = cloud(seed=seed)
    turned = packing.rasterise(rotation.rotate_points(points_um, turn), **CUBE)
    np.testing.assert_array_equal(
        turned, rotation.rotate_cube_lattice(packing.rasterise(points_um, **CUBE), turn)
    )


def test_one_voxel_along_x_moves_the_last_axis():
    edge = CUBE["side_um"] / CUBE["size"]
    moved = packing.rasterise(cloud() + [edge, 0, 0], **CUBE)
    np.testing.assert_array_equal(moved, np.roll(packing.rasterise(cloud(), **CUBE), 1, axis=2))


def test_the_total_is_the_volume_of_the_spheres():
    steps = np.arange(-5, 6)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) * 2.0
    points_um = lattice + np.random.default_rng(0).uniform(-0.4, 0.4, lattice.shape)
    cube = packing.rasterise(points_um, size=60, side_um=30.0, radius_um=0.5, oversample=4)
    volume_um3 = cube.sum() * (0.5 / 4) ** 3
    # 1331 spheres of 268 sub-voxels each: the error of the sum is well below a percent.
    assert volume_um3 == pytest.approx(len(points_um) * 4 / 3 * np.pi * 0.5**3, rel=0.01)


def test_a_sphere_smaller_than_a_sub_voxel_still_counts():
    cube = packing.rasterise(np.array([[1.1, -2.3, 3.2]]), **CUBE | {"radius_um": 1e-6})
    assert cube.sum() == 1
    k, j, i = np.argwhere(cube)[0]
    edge = CUBE["side_um"] / CUBE["size"]
    np.testing.assert_allclose((np.array([i, j, k]) + 0.5) * edge - 4, [1.1, -2.3, 3.2], atol=edge / 2)


def test_a_full_voxel_saturates():
    cube = packing.rasterise(np.zeros((1, 3)), size=5, side_um=5.0, radius_um=1.5, oversample=7)
    assert cube.dtype == np.uint8
    assert cube[2, 2, 2] == 255  # of 343 sub-voxels


def test_upsampling_repeats_whole_jittered_copies():
    points_um = cloud(16)
    up = packing.upsample(points_um, **POINTS, rng=np.random.default_rng(0))
    assert up.shape == (64, 3)
    assert up.dtype == np.float32
    jitter = up.reshape(4, 16, 3) - points_um
    assert np.abs(jitter).max() <= POINTS["jitter_clip_um"] + 1e-6
    # Normal numbers clipped at two standard deviations have 0.96 of the spread; 192 of them, so +- 5 %.
    assert jitter.std() == pytest.approx(0.96 * POINTS["jitter_um"], rel=0.2)
    assert len(np.unique(jitter[:, 0, 0])) == 4


def test_without_jitter_copies_are_exact_and_the_rest_is_a_subset():
    points_um = cloud(30)
    up = packing.upsample(points_um, n_points=64, jitter_um=0, jitter_clip_um=0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(up[:60], np.tile(points_um, (2, 1)).astype(np.float32))
    rest = {tuple(point) for point in up[60:]}
    assert len(rest) == 4
    assert rest < {tuple(point) for point in points_um.astype(np.float32)}


def test_a_cloud_that_is_too_large_is_thinned():
    points_um = cloud(100)
    up = packing.upsample(points_um, n_points=64, jitter_um=0, jitter_clip_um=0, rng=np.random.default_rng(0))
    assert len({tuple(point) for point in up}) == 64
