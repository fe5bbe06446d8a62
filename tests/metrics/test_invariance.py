"""Rotation invariance error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import ortho_group

from morphobench.metrics import invariance
from morphobench.metrics.invariance import (
    mean_cell_distance,
    rotation_invariance_error,
    rotation_invariance_error_legacy,
    rotation_rank,
)

seeded = given(st.integers(0, 2**32 - 1))
few = settings(max_examples=25, deadline=None)


def test_rotation_error_has_its_known_values():
    z = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    rotated = np.array([[3.0, 4.0], [-1.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    assert rotation_invariance_error(z, rotated).tolist() == [0.0, 1.0, 0.0, 1.0]
    assert rotation_invariance_error(z[:1], 3 * z[:1]) == pytest.approx(0.5)


@few
@seeded
def test_rotation_error_is_bounded_symmetric_and_invariant_to_basis_scale_and_order(seed):
    rng = np.random.default_rng(seed)
    z, rotated = rng.normal(size=(2, 7, 4))
    error = rotation_invariance_error(z, rotated)
    assert ((error >= 0) & (error <= 1)).all()
    np.testing.assert_allclose(rotation_invariance_error(rotated, z), error)
    basis, order = ortho_group.rvs(4, random_state=rng), rng.permutation(7)
    again = rotation_invariance_error(5 * z[order] @ basis, 5 * rotated[order] @ basis)
    np.testing.assert_allclose(again, error[order])


def test_rotation_error_stacks_over_rotations_grows_with_noise_and_marks_bad_embeddings():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 8))
    noisy = z + np.array([0.01, 0.1, 1.0])[:, None, None] * rng.normal(size=z.shape)
    error = rotation_invariance_error(z, noisy)
    assert error.shape == (3, 200)
    assert (np.diff(error.mean(axis=1)) > 0).all()
    z[5, 2] = np.nan
    assert np.flatnonzero(np.isnan(rotation_invariance_error(z, noisy[0]))).tolist() == [5]
    with pytest.raises(ValueError, match="cannot be compared"):
        rotation_invariance_error(z, z[:, :3])


def test_legacy_rotation_error_takes_a_prefix_and_is_diluted_by_the_identity():
    rng = np.random.default_rng(0)
    z, rotated = rng.normal(size=(39, 8)), rng.normal(size=(3, 39, 8))
    found = rotation_invariance_error_legacy(z, rotated, 5)
    assert found.shape == (4, 39)
    assert (found[0] == 0).all()
    real = rotation_invariance_error(z[:, :5], rotated[:, :, :5])
    np.testing.assert_array_equal(found[1:], real)
    assert found.mean() == pytest.approx(0.75 * real.mean())


@few
@seeded
def test_distance_between_cells_is_the_mean_over_all_pairs_whatever_the_shift(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(9, 4)) * 10.0 ** rng.integers(-3, 4)
    assert mean_cell_distance(z) == pytest.approx(pdist(z).mean())
    assert mean_cell_distance(z + 100 * z.std()) == pytest.approx(pdist(z).mean())
    z[3] = np.nan
    assert mean_cell_distance(z) == pytest.approx(pdist(np.delete(z, 3, axis=0)).mean())


def test_distance_between_cells_that_are_alike_is_zero_and_of_one_cell_unknown():
    assert mean_cell_distance(np.full((5, 3), 0.3)) == 0
    assert np.isnan(mean_cell_distance(np.ones((1, 3))))


@few
@seeded
def test_rank_is_the_share_of_other_cells_that_are_nearer(seed):
    rng = np.random.default_rng(seed)
    z, rotated = rng.normal(size=(2, 12, 3)) + 5
    apart = cdist(rotated, z)
    expected = (apart < np.diag(apart)[:, None]).sum(axis=1) / 11
    np.testing.assert_allclose(rotation_rank(z, rotated), expected)
    assert (rotation_rank(z, z) == 0).all()
    rotated[2], z[5] = np.nan, np.nan
    assert np.flatnonzero(np.isnan(rotation_rank(z, rotated))).tolist() == [2, 5]


def test_rank_of_embeddings_that_know_nothing_is_one_half():
    rng = np.random.default_rng(1)
    assert (rotation_rank(np.full((7, 3), 0.3), np.full((7, 3), 0.3)) == 0.5).all()
    assert rotation_rank(*rng.normal(size=(2, 400, 8))).mean() == pytest.approx(0.5, abs=0.05)
    assert np.isnan(rotation_rank(np.ones((1, 3)), np.ones((1, 3)))).all()


def test_of_many_cells_some_are_the_others(monkeypatch):
    z, rotated = np.random.default_rng(2).normal(size=(2, 60, 4))
    every_rank, mean = rotation_rank(z, rotated), mean_cell_distance(z)
    monkeypatch.setattr(invariance, "_MOST_OTHERS", 20)
    apart = cdist(rotated, z)
    nearer = (apart < np.diag(apart)[:, None])[:, ::3]
    # Every third cell is one of the twenty, and no other of its own.
    expected = nearer.sum(axis=1) / np.where(np.arange(60) % 3, 20, 19)
    np.testing.assert_allclose(rotation_rank(z, rotated), expected)
    assert rotation_rank(z, rotated).mean() == pytest.approx(every_rank.mean(), abs=0.05)
    assert mean_cell_distance(z) == pytest.approx(cdist(z, z[::3]).sum() / (59 * 20))
    assert mean_cell_distance(z) == pytest.approx(mean, rel=0.1)
