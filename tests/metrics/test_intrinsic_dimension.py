"""Intrinsic dimension and participation ratio."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from morphobench.metrics import intrinsic_dimension as dimensions
from morphobench.metrics.intrinsic_dimension import (
    intrinsic_dimension,
    intrinsic_dimension_legacy,
    participation_ratio,
)

seeded = given(st.integers(0, 2**32 - 1))


def test_dimension_of_a_flat_subspace_is_recovered_in_any_space():
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 4):
        subspace = rng.random((3000, dimension)) @ rng.normal(size=(dimension, 20))
        # Points at the border see fewer neighbours, which biases the estimate a little downwards.
        assert intrinsic_dimension(subspace, [10, 20]).value == pytest.approx(dimension, rel=0.08)


@settings(max_examples=8, deadline=None)
@seeded
def test_dimension_is_invariant_to_order_basis_shift_scale_and_duplicates(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(60, 4))
    found = intrinsic_dimension(z, [5, 10])
    moved = 9 * rng.permutation(z) @ ortho_group.rvs(4, random_state=rng) + 2
    assert intrinsic_dimension(moved, [5, 10]).value == pytest.approx(found.value, rel=1e-6)
    doubled = intrinsic_dimension(np.concatenate([z, z[:7]]), [5, 10])
    assert doubled.value == pytest.approx(found.value)
    assert "7 of 67 embeddings" in doubled.reason
    assert participation_ratio(moved) == pytest.approx(participation_ratio(z))


def test_dimension_agrees_with_its_formula():
    z = np.random.default_rng(1).normal(size=(40, 3))
    k = 6
    distance = np.sort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)[:, 1 : k + 1]
    terms = np.log(distance[:, -1:] / distance[:, :-1])
    found = intrinsic_dimension(z, [k])
    assert found.value == pytest.approx(1 / terms.mean())
    assert len(found.rows) == 40


def nuclei(rng, n_units, dimension=8, spread=0.3):
    """Cells that lie close to the middle of their nucleus, six each."""
    units = np.repeat(np.arange(n_units), 6)
    return rng.normal(size=(n_units, dimension))[units] + spread * rng.normal(
        size=(6 * n_units, dimension)
    ), units


def test_neighbours_come_from_other_units():
    z, units = nuclei(np.random.default_rng(6), 40)
    distance = np.linalg.norm(z[:, None] - z, axis=2)
    distance[units[:, None] == units] = np.inf
    nearest = np.sort(distance, axis=1)[:, :5]
    assert intrinsic_dimension(z, [5], units).value == pytest.approx(
        1 / np.log(nearest[:, -1:] / nearest[:, :-1]).mean()
    )
    # Siblings make eight dimensions look like two.
    assert intrinsic_dimension(z, [5, 10], units).value > 2 * intrinsic_dimension(z, [5, 10]).value


def test_the_standard_error_is_that_of_many_samples():
    for n_units, own in ((40, 6), (120, 1)):
        found = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            units = np.repeat(np.arange(n_units), own)
            found.append(intrinsic_dimension(rng.normal(size=(len(units), 4)), [5, 10], units))
        spread = np.std([one.value for one in found])
        assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.25)


def test_a_unit_of_its_own_is_a_cell_and_k_is_bounded_by_other_units():
    z, units = nuclei(np.random.default_rng(8), 3)
    assert intrinsic_dimension(z, [5], np.arange(18)).value == intrinsic_dimension(z, [5]).value
    assert np.isnan(intrinsic_dimension(z, [12, 13], units).per_k).tolist() == [False, True]


def test_dimension_grows_with_noise():
    rng = np.random.default_rng(2)
    line = np.outer(rng.random(500), np.ones(10))
    values = [intrinsic_dimension(line + sd * rng.normal(size=line.shape), [10]).value for sd in (0, 0.01, 1)]
    assert values[0] < values[1] < values[2]


def test_dimension_without_an_answer_says_why():
    z = np.random.default_rng(3).normal(size=(12, 3))
    found = intrinsic_dimension(z, [2, 5, 12])
    assert np.isnan(found.per_k).tolist() == [True, False, True]
    assert found.value == pytest.approx(found.per_k[1])
    assert "k = 2, 12 with 12 embeddings" in found.reason
    for hopeless in (np.ones((30, 3)), np.full((30, 3), np.nan), z[:0]):
        for found in (intrinsic_dimension(hopeless, [5]), intrinsic_dimension_legacy(hopeless)):
            assert np.isnan(found.value)
            assert "no estimate" in found.reason
        assert np.isnan(participation_ratio(hopeless))


@pytest.mark.parametrize(
    ("n", "k"), [(1524, [12, 15, 18, 21, 24]), (2420, [19, 24, 29, 33, 38]), (1025, [8, 10, 12, 14, 16])]
)
def test_legacy_dimension_uses_the_published_k_and_formula(n, k):
    z = np.random.default_rng(4).normal(size=(n, 3))
    found = intrinsic_dimension_legacy(z)
    assert found.k.tolist() == k
    distance = np.sort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)[:, 1 : k[0] + 1]
    own = (k[0] - 2) / np.log(distance[:, -1:] / distance[:, :-1]).sum(axis=1)
    assert found.per_k[0] == pytest.approx(own.mean())
    assert found.value == pytest.approx(found.per_k.mean())


def test_legacy_dimension_drops_duplicates_altogether_and_needs_375_embeddings():
    z = np.random.default_rng(5).normal(size=(376, 3))
    assert np.isfinite(intrinsic_dimension_legacy(z).value)
    few_embeddings = intrinsic_dimension_legacy(np.concatenate([z, z[:2]]))
    assert len(few_embeddings.rows) == 374
    assert np.isnan(few_embeddings.value)
    assert "k = 2 with 374 embeddings" in few_embeddings.reason


def test_participation_ratio_has_its_known_values():
    corners = np.concatenate([np.eye(4), -np.eye(4)])
    assert participation_ratio(corners) == pytest.approx(4)
    assert participation_ratio(corners * [1, 0, 0, 0]) == pytest.approx(1)
    assert participation_ratio(corners * [2, 1, 0, 0]) == pytest.approx((4 + 1) ** 2 / (16 + 1))
    wide = np.random.default_rng(0).normal(size=(6, 40))
    eigenvalues = np.linalg.svd(wide - wide.mean(0), compute_uv=False) ** 2
    assert participation_ratio(wide) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def test_legacy_dimension_takes_a_prefix():
    z = np.random.default_rng(0).normal(size=(400, 6))
    assert intrinsic_dimension_legacy(z, 3)[0] == intrinsic_dimension_legacy(z[:, :3]).value


def test_near_duplicates_keep_their_distance_far_from_the_origin():
    z = np.random.default_rng(1).normal(size=(50, 4)) + 1e4
    z[1] = z[0] + 1e-7
    exact = np.sort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)[:, 1:7]
    terms = np.log(exact[:, -1:] / exact[:, :-1])
    assert intrinsic_dimension(z, [6]).value == pytest.approx(1 / terms.mean(), rel=1e-6)


def test_of_many_cells_some_have_the_published_dimension_of_all(monkeypatch):
    z = np.random.default_rng(3).normal(size=(600, 3))
    whole = intrinsic_dimension_legacy(z)
    monkeypatch.setattr(dimensions, "_MOST_POINTS", 200)
    some = intrinsic_dimension_legacy(z)
    assert some.k.tolist() == whole.k.tolist()
    # A fifth of a dimension is what 200 single estimates scatter by, two standard errors.
    assert some.value == pytest.approx(whole.value, abs=0.4)
    assert some.value != whole.value
