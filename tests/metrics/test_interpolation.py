"""Distance of linear interpolants from the nearest embedding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from morphobench.metrics.interpolation import interpolation_distance, interpolation_distance_legacy

seeded = given(st.integers(0, 2**32 - 1))
few = settings(max_examples=25, deadline=None)


def brute_distance(z_start, z_end, fractions, z_cells, exclude):
    points = z_start[:, None] + fractions[:, None] * (z_end - z_start)[:, None]
    distance = np.linalg.norm(points[:, :, None] - z_cells, axis=3)
    for pair, rows in enumerate(exclude):
        distance[pair][:, rows] = np.inf
    return distance.min(axis=2)


@few
@seeded
def test_interpolation_distance_matches_brute_force_and_is_invariant_to_basis_scale_and_order(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(30, 5)) + 100
    exclude = rng.permutation(30)[:12].reshape(6, 2)
    fractions = np.linspace(0.1, 0.9, 9)
    start, end = z[exclude[:, 0]], z[exclude[:, 1]]
    expected = brute_distance(start, end, fractions, z, exclude)
    among_cells = brute_distance(start, end, np.array([0.0, 1.0]), z, exclude)
    relative = expected / np.median(among_cells)
    units = np.arange(30)
    np.testing.assert_allclose(interpolation_distance(start, end, fractions, z, units, exclude), relative)
    everyone = brute_distance(start, end, fractions, z, exclude[:, :0])
    np.testing.assert_allclose(interpolation_distance_legacy(start, end, fractions, z), everyone)
    assert (everyone <= expected).all()
    order, basis = rng.permutation(30), 3 * ortho_group.rvs(5, random_state=rng)
    moved = interpolation_distance(
        start @ basis, end @ basis, fractions, z[order] @ basis, units[order], exclude
    )
    np.testing.assert_allclose(moved, relative, rtol=1e-6)


def test_legacy_interpolation_distance_is_bounded_by_its_own_ends():
    rng = np.random.default_rng(1)
    start, end = rng.normal(size=(2, 4, 64))
    fractions, length = np.array([0.1, 0.5, 0.9]), np.linalg.norm(end - start, axis=1)[:, None]
    legacy = interpolation_distance_legacy(start, end, fractions, np.concatenate([start, end]))
    np.testing.assert_allclose(legacy, np.minimum(fractions, 1 - fractions) * length)


def test_interpolation_distance_in_blocks_and_without_answer(monkeypatch):
    rng = np.random.default_rng(2)
    z = rng.normal(size=(9, 3))
    exclude, fractions = np.array([[0, 1], [2, 3], [4, 5]]), np.array([0.5])
    whole = interpolation_distance(z[exclude[:, 0]], z[exclude[:, 1]], fractions, z, np.arange(9), exclude)
    monkeypatch.setattr("morphobench.metrics.covariance._BLOCK_ELEMENTS", 10)
    again = interpolation_distance(z[exclude[:, 0]], z[exclude[:, 1]], fractions, z, np.arange(9), exclude)
    np.testing.assert_allclose(again, whole, rtol=1e-12)
    only_ends = interpolation_distance(z[:1], z[1:2], fractions, z[:2], np.arange(2), exclude[:1])
    same_cells = interpolation_distance(
        z[:1], z[:1], fractions, np.repeat(z[:1], 9, 0), np.arange(9), exclude[:1]
    )
    lost_cells = interpolation_distance(
        z[:1], z[1:2], fractions, np.full((4, 3), np.nan), np.arange(4), exclude[:1]
    )
    assert np.isnan([only_ends, same_cells, lost_cells]).all()
    broken = np.where(np.arange(9)[:, None] == 7, np.nan, z)
    without = interpolation_distance(
        z[:1], z[1:2], fractions, z[np.arange(9) != 7], np.arange(9)[np.arange(9) != 7], exclude[:1]
    )
    np.testing.assert_allclose(
        interpolation_distance(z[:1], z[1:2], fractions, broken, np.arange(9), exclude[:1]), without
    )


def test_legacy_interpolation_takes_a_prefix():
    rng = np.random.default_rng(0)
    z, fractions = rng.normal(size=(12, 6)), np.array([0.25, 0.5])
    found = interpolation_distance_legacy(z[:2], z[2:4], fractions, z, 4)
    first = interpolation_distance_legacy(z[:2, :4], z[2:4, :4], fractions, z[:, :4])
    np.testing.assert_array_equal(found, first)


@pytest.mark.parametrize("dimension", [2, 32, 256])
def test_interpolants_among_cells_are_as_far_as_cells_in_any_dimension(dimension):
    rng = np.random.default_rng(3)
    # Cells on a shell: what lies between two of them, scaled back to it, is like a cell.
    z = rng.normal(size=(400, dimension))
    pairs = np.arange(80).reshape(40, 2)
    found = interpolation_distance(z[pairs[:, 0]], z[pairs[:, 1]], np.array([0.5]), z, np.arange(400), pairs)
    assert 0.5 < np.median(found) < 1.2


def test_cells_of_the_pairs_units_do_not_count():
    rng = np.random.default_rng(4)
    z, units, pairs = rng.normal(size=(40, 6)), np.repeat(np.arange(10), 4), np.array([[0, 4]])
    found = interpolation_distance(z[:1], z[4:5], np.array([0.5]), z, units, units[pairs])
    others = np.flatnonzero(units > 1)
    alone = interpolation_distance(z[:1], z[4:5], np.array([0.5]), z[others], units[others], units[pairs])
    np.testing.assert_allclose(found, alone)
