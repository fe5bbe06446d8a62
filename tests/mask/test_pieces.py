from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import pdist

from morphobench.errors import InputError
from morphobench.geometry.isosurface import enclosed_volume, face_vectors, isosurface
from morphobench.mask.pieces import FEATURES, distance_statistics, piece_features

UM = 0.108


def ball(radius, centre=(0, 0, 0)):
    z, y, x = np.moveaxis(grid(radius, centre), -1, 0)
    return z**2 + y**2 + x**2 <= radius**2


def grid(reach, centre):
    n = int(np.ceil(reach)) + 1
    return np.stack(np.mgrid[-n : n + 1, -n : n + 1, -n : n + 1], axis=-1) - centre


def torus(ring, tube, centre):
    z, y, x = np.moveaxis(grid(ring + tube, centre), -1, 0)
    return (np.hypot(x, y) - ring) ** 2 + z**2 <= tube**2


def directed_edges(faces):
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def is_closed(faces):
    """Every directed edge once, and its reverse once: each edge belongs to two faces of one orientation."""
    edges = directed_edges(faces)
    there = set(map(tuple, edges))
    return len(there) == len(edges) and all((b, a) in there for a, b in there)


def centres(n):
    """Where the middle of a shape lies between voxel centres; its digital image depends on it."""
    return np.random.default_rng(1).uniform(-0.5, 0.5, (n, 3))


@pytest.mark.parametrize("radius", [5, 6.5, 8, 10, 15, 20])
def test_a_ball_has_its_area_and_volume(radius):
    area_um2, volume_um3 = 4 * np.pi * (radius * UM) ** 2, 4 / 3 * np.pi * (radius * UM) ** 3
    balls = [ball(radius, centre) for centre in centres(10)]
    found = [piece_features(one, UM) for one in balls]
    areas = [one["mean_surface_area_um2"] for one in found]
    assert np.mean(areas) == pytest.approx(area_um2, rel=0.02)
    np.testing.assert_allclose(areas, area_um2, rtol=0.04)
    assert np.mean([one["mean_volume_um3"] for one in found]) == pytest.approx(volume_um3, rel=0.01)
    surfaces = [isosurface(one, UM) for one in balls]
    assert np.mean([enclosed_volume(*one) for one in surfaces]) == pytest.approx(volume_um3, rel=0.025)
    steps = [np.linalg.norm(face_vectors(*one), axis=1).sum() / area_um2 for one in surfaces]
    assert np.mean(steps) == pytest.approx(1.08, abs=0.015)


@pytest.mark.parametrize(
    ("sides", "tolerance"),
    [((10, 20, 30), 0.05), ((20, 20, 20), 0.05), ((10, 10, 10), 0.09), ((5, 5, 5), 0.17)],
)
def test_a_box_loses_no_more_than_its_edges(sides, tolerance):
    a, b, c = sides
    found = piece_features(np.ones(sides, bool), 1.0)
    assert found["mean_surface_area_um2"] == pytest.approx(2 * (a * b + b * c + a * c), rel=tolerance)
    assert found["mean_volume_um3"] == a * b * c


def test_a_torus_has_its_area_and_volume():
    found = [piece_features(torus(12, 5, centre), UM) for centre in centres(5)]
    assert {one["n_pieces"] for one in found} == {1}
    area_um2, volume_um3 = 4 * np.pi**2 * 60 * UM**2, 2 * np.pi**2 * 12 * 25 * UM**3
    assert np.mean([one["mean_surface_area_um2"] for one in found]) == pytest.approx(area_um2, rel=0.02)
    assert np.mean([one["mean_volume_um3"] for one in found]) == pytest.approx(volume_um3, rel=0.02)


def test_two_balls_are_two_pieces_a_distance_apart():
    small, large = ball(5), ball(10)
    mask = np.zeros((24, 30, 70), bool)
    mask[:13, 2:15, 3:16] = small
    mask[1:24, 5:28, 40:63] = large
    found = piece_features(mask, UM)
    alone = [piece_features(one, UM) for one in (small, large)]
    assert (found["n_pieces"], found["n_pieces_label"]) == (2, "2")
    for name in ("surface_area_um2", "volume_um3"):
        values = [one[f"mean_{name}"] for one in alone]
        assert found[f"mean_{name}"] == pytest.approx(np.mean(values))
        assert found[f"std_{name}"] == pytest.approx(np.std(values))
    assert found["mean_distance_um"] == pytest.approx(UM * np.linalg.norm([6, 8, 42]))
    assert found["std_distance_um"] == 0


def test_one_piece_has_no_distance_and_no_spread():
    found = piece_features(ball(4), UM)
    assert list(found) == ["n_pieces", "n_pieces_label", *FEATURES]
    assert found["n_pieces_label"] == "1"
    assert np.isnan([found["mean_distance_um"], found["std_distance_um"]]).all()
    assert found["std_surface_area_um2"] == found["std_volume_um3"] == 0


@pytest.mark.parametrize(("n", "label"), [(1, "1"), (4, "4"), (5, ">=5"), (9, ">=5")])
def test_single_voxels_are_pieces_with_area_and_volume(n, label):
    mask = np.zeros((1, 1, 2 * n), bool)
    mask[..., ::2] = True
    found = piece_features(mask, UM)
    assert (found["n_pieces"], found["n_pieces_label"]) == (n, label)
    assert found["mean_volume_um3"] == pytest.approx(UM**3)
    assert found["mean_surface_area_um2"] == pytest.approx(np.sqrt(3) * UM**2, rel=1e-3)  # octahedron


def test_voxels_that_share_a_corner_are_one_piece_with_one_surface():
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert piece_features(mask, UM)["n_pieces"] == 1
    _, faces = isosurface(mask, UM)
    assert is_closed(faces)
    assert len(np.unique(faces)) == len(np.unique(directed_edges(faces)))


@pytest.mark.long
def test_thousands_of_pieces_take_seconds():
    mask = np.zeros((60, 200, 200), bool)
    mask[1::3, 1::5, 1::5] = True
    n = int(mask.sum())
    start = time.perf_counter()
    found = piece_features(mask, UM)
    assert time.perf_counter() - start < 60
    assert found["n_pieces"] == n == 32000
    assert found["std_surface_area_um2"] < 1e-3 * found["mean_surface_area_um2"]


@pytest.mark.parametrize("n", [2, 3, 999, 1001, 2500])
def test_distances_in_blocks_are_those_of_all_pairs(n):
    points = np.random.default_rng(n).normal(size=(n, 3)) + 100
    pairs = pdist(points)
    np.testing.assert_allclose(distance_statistics(points), (pairs.mean(), pairs.std()), atol=1e-9)


@given(st.integers(0, 10**6), st.floats(0.02, 0.98), st.tuples(*[st.integers(1, 9)] * 3))
@settings(max_examples=150, deadline=None)
def test_any_mask_has_a_closed_outward_surface_and_areas_of_all_its_pieces(seed, density, shape):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < density
    mask[tuple(rng.integers(shape))] = True
    vertices_um, faces = isosurface(mask, UM)
    assert faces.dtype == np.int32
    assert is_closed(faces)
    assert enclosed_volume(vertices_um, faces) > 0
    extent = np.array([np.ptp(np.flatnonzero(mask.any(others))) + 1 for others in ((0, 1), (0, 2), (1, 2))])
    np.testing.assert_allclose(np.ptp(vertices_um, axis=0), extent * UM, rtol=1e-4)
    found = piece_features(mask, UM)
    assert found["n_pieces"] == ndimage.label(mask, np.ones((3, 3, 3)))[1]
    assert found["mean_volume_um3"] * found["n_pieces"] == pytest.approx(mask.sum() * UM**3)
    assert all(np.isfinite(found[name]) for name in FEATURES[:4])
    assert found["mean_surface_area_um2"] > 0


@given(st.integers(0, 1000), st.permutations([0, 1, 2]))
@settings(max_examples=20, deadline=None)
def test_pieces_know_no_axis(seed, axes):
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).random((12, 15, 18)), 1.5) > 0.51
    turned = piece_features(np.transpose(mask, axes)[::-1], UM)
    for name, value in piece_features(mask, UM).items():
        if isinstance(value, float):
            # Ambiguous cells are cut into triangles along one of their diagonals.
            assert turned[name] == pytest.approx(value, rel=0.02, abs=1e-9, nan_ok=True), name
        else:
            assert turned[name] == value


@pytest.mark.parametrize("work", [isosurface, piece_features])
def test_an_empty_mask_is_refused(work):
    with pytest.raises(InputError, match="the segmentation is empty"):
        work(np.zeros((3, 3, 3), bool), UM)
