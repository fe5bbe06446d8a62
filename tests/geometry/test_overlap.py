"""Overlap and distance of shapes: known answers, and what the published overlap is blind to."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate.meshes import NOTHING, ball, box
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench.errors import InputError
from morphobench.geometry import meshes, rotation
from morphobench.geometry.overlap import (
    Grid,
    common_grid,
    iou_error,
    iou_error_legacy,
    mean_surface_distance_um,
    voxelise,
)

GRID_XYZ = (44, 44, 44)


def error_of(a, b, n=64):
    grid = common_grid([a, b], n, 0.01)
    return iou_error(voxelise(a, grid), voxelise(b, grid))


# What the published overlap cancels: size, stretch, place. The truths are by volume.
COUNTER_EXAMPLES = {
    "half the size": (ball(10.0), 7 / 8),
    "three times as long": (ball(stretch=(3, 1, 1)), 2 / 3),
    "elsewhere": (ball(centre_um=(50, 0, 0)), 1.0),
}


@pytest.mark.parametrize("name", COUNTER_EXAMPLES)
def test_what_the_published_overlap_is_blind_to_counts(name):
    other, truth = COUNTER_EXAMPLES[name]
    assert iou_error_legacy(ball(), other, GRID_XYZ) == pytest.approx(0, abs=1e-3)
    assert error_of(ball(), other) == pytest.approx(truth, abs=0.01)
    assert mean_surface_distance_um(ball(), other) > 5


@pytest.mark.parametrize(("shift", "truth"), [(0, 0), (1, 1 - 3 / 5), (2, 1 - 2 / 6), (4, 1), (8, 1)])
def test_overlap_of_shifted_boxes(shift, truth):
    a, b = box((4, 4, 4)), box((4, 4, 4), (shift, 0, 0))
    # Eight voxels to a micrometre divide both evenly.
    assert error_of(a, b, (4 + shift) * 8) == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("ratio", [0.9, 0.7, 0.5])
def test_overlap_and_distance_of_concentric_balls(ratio):
    assert error_of(ball(), ball(20 * ratio), 96) == pytest.approx(1 - ratio**3, abs=0.01)
    assert mean_surface_distance_um(ball(), ball(20 * ratio)) == pytest.approx(20 * (1 - ratio), rel=0.01)


def test_distance_of_boxes():
    # From each of the six faces 1 um outwards, but at edges and corners of the outer box.
    found = mean_surface_distance_um(box((20, 20, 20)), box((22, 22, 22)), n_points=20000)
    assert found == pytest.approx(1.0, rel=0.02)
    assert mean_surface_distance_um(box((2, 2, 2)), box((2, 2, 2))) < 1e-6


def test_agreement_is_symmetric_and_worse_the_farther():
    moved = [ball(centre_um=(shift, 0, 0)) for shift in (0, 2, 5, 11)]
    errors = [error_of(ball(), one, 96) for one in moved]
    lengths = [mean_surface_distance_um(ball(), one) for one in moved]
    assert errors == sorted(errors)
    assert lengths == sorted(lengths)
    assert errors[2] == error_of(moved[2], ball(), 96)
    assert lengths[2] == mean_surface_distance_um(moved[2], ball())


def bumpy(seed):
    vertices, faces = ball(4.0, subdivisions=3)
    tops = np.random.default_rng(seed).normal(size=(6, 3))
    bumps = np.exp(-6 * (1 - vertices / 4.0 @ (tops / np.linalg.norm(tops, axis=1, keepdims=True)).T))
    return vertices * (1 + 0.4 * bumps.sum(axis=1, keepdims=True)), faces


def centres(grid):
    z, y, x = np.indices(grid.n_xyz[::-1])
    return (np.stack([x, y, z], axis=-1).reshape(-1, 3) + 0.5) * grid.edge_um + grid.low_um


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_voxels_are_those_whose_centres_lie_inside(seed):
    (turn,) = rotation.uniform(1, np.random.default_rng(seed))
    vertices, faces = bumpy(seed)
    mesh = rotation.rotate_points(vertices, turn), faces
    grid = common_grid([mesh], 21, 0.01)
    expected = meshes.inside(centres(grid), *mesh).reshape(grid.n_xyz[::-1])
    np.testing.assert_array_equal(voxelise(mesh, grid), expected)


def test_voxels_of_a_mesh_on_the_grid_itself():
    """Edges exactly above centres: marching cubes of a volume, voxelised on the same lattice."""
    field = np.random.default_rng(0).normal(size=(9, 9, 9))
    field = np.pad(field, 1, constant_values=-1.0)
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(field, 0.0)
    grid = Grid(np.full(3, -0.5), np.ones(3), (11, 11, 11))
    np.testing.assert_array_equal(voxelise((vertices[:, ::-1], faces), grid), field > 0)


def test_overlapping_pieces_are_inside_once():
    one, other = ball(3.0, subdivisions=3), ball(3.0, (2, 0, 0), subdivisions=3)
    both = np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1] + len(one[0])])
    grid = common_grid([both], 32, 0.01)
    np.testing.assert_array_equal(voxelise(both, grid), voxelise(one, grid) | voxelise(other, grid))


def test_parts_beyond_the_grid_are_left_out():
    grid = Grid(np.zeros(3), np.ones(3), (4, 4, 4))
    assert voxelise(box((100, 100, 100)), grid).all()
    assert not voxelise(box((2, 2, 2), (50, 0, 0)), grid).any()
    assert not voxelise(NOTHING, grid).any()


def test_nothing_has_no_overlap_with_something_and_no_distance():
    assert error_of(ball(), NOTHING) == 1
    assert np.isnan(iou_error(np.zeros((2, 2, 2)), np.zeros((2, 2, 2))))
    assert np.isnan(mean_surface_distance_um(ball(), NOTHING))
    assert np.isnan(iou_error_legacy(NOTHING, ball(), GRID_XYZ))


def test_shapes_in_two_grids_are_refused():
    with pytest.raises(InputError, match="one common grid"):
        iou_error(np.ones((2, 2, 2)), np.ones((2, 2, 3)))
    with pytest.raises(InputError, match="none of the shapes"):
        common_grid([NOTHING], 8, 0.01)
    with pytest.raises(InputError, match="one point"):
        common_grid([(np.zeros((3, 3)), np.array([[0, 1, 2]]))], 8, 0.01)


# Specks


def together(*parts):
    vertices, faces = zip(*parts, strict=True)
    offsets = np.cumsum([0, *map(len, vertices[:-1])])
    return np.concatenate(vertices), np.concatenate([f + o for f, o in zip(faces, offsets, strict=True)])


@pytest.mark.parametrize("place", [(400, 0, 0), (300, -200, 100)])
def test_a_stray_speck_does_not_coarsen_the_grid_of_others(place):
    """A tenth of the radius is a thousandth of the volume, twenty radii away."""
    speck = ball(2.0, place, subdivisions=2)
    plain = error_of(ball(20.0), ball(18.0))
    assert plain == pytest.approx(1 - 0.9**3, abs=0.01)
    for a, b in [(together(ball(20.0), speck), ball(18.0)), (ball(20.0), together(speck, ball(18.0)))]:
        assert error_of(a, b) == pytest.approx(plain, abs=0.002)


def test_pieces_that_count_are_in_the_grid():
    """An eighth of the volume: two cells that differ by it alone."""
    piece = ball(10.0, (60, 0, 0))
    assert error_of(together(ball(20.0), piece), ball(20.0), n=96) == pytest.approx(1 / 9, abs=0.01)
    # Many small pieces are no specks together.
    many = together(*(ball(2.0, (8 * n, 0, 0), subdivisions=2) for n in range(20)))
    assert common_grid([many], 64, 0.01).n_xyz[0] == 64
    assert common_grid([many], 64, 0.01).edge_um[0] == pytest.approx((19 * 8 + 4) / 64, rel=0.02)
    # At a larger share two of them are.
    assert common_grid([many], 64, 0.11).edge_um[0] < common_grid([many], 64, 0.01).edge_um[0]
