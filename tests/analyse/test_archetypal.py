"""Archetypal analysis: known corners, monotone, seeded, at least as good as the reference package."""

import numpy as np
import pytest
from archetypes import AA
from scipy.stats import ortho_group

from morphobench.analyse.archetypal import HullPoint, archetypes, explained_variances, project, to_simplex
from morphobench.errors import InputError


def simplex(rng, n=200, k=4, dimension=6):
    corners = 5 * rng.normal(size=(k, dimension))
    weights = rng.dirichlet(np.full(k, 0.5), size=n)
    weights[:k] = np.eye(k)
    order = rng.permutation(n)
    return (weights @ corners)[order], corners, weights[order]


def test_nearest_point_of_a_square():
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    start = HullPoint(np.array([2]), np.ones(1), square[2])
    for target, expected in [((2, 0.3), (1, 0.3)), ((-1, -1), (0, 0)), ((0.2, 0.7), (0.2, 0.7))]:
        found = project(np.array(target, float), square, start, 1.0)
        np.testing.assert_allclose(found.position, expected, atol=1e-7)
        np.testing.assert_allclose(found.shares @ square[found.rows], found.position)
        assert found.shares.sum() == pytest.approx(1)
        assert (found.shares >= 0).all()


def test_nearest_point_of_random_hulls_is_optimal():
    rng = np.random.default_rng(0)
    for _ in range(20):
        vertices, target = rng.normal(size=(60, 7)), 2 * rng.normal(size=7)
        found = project(target, vertices, HullPoint(np.array([0]), np.ones(1), vertices[0]), 3.0)
        # No vertex lies further along the way to the target.
        offset = found.position - target
        assert (vertices @ offset >= found.position @ offset - 1e-8).all()


def test_simplex_projection_of_known_rows():
    rows = np.array([[0.2, 0.8], [3.0, 0.0], [0.0, 0.0], [-1.0, -3.0]])
    np.testing.assert_allclose(to_simplex(rows), [[0.2, 0.8], [1, 0], [0.5, 0.5], [1, 0]])


@pytest.mark.parametrize("seed", range(3))
def test_archetypes_never_get_worse_and_are_at_least_those_of_the_package(seed):
    rng = np.random.default_rng(seed)
    z = rng.dirichlet(np.full(5, 0.5), 200) @ (5 * rng.normal(size=(5, 12))) + rng.normal(size=(200, 12))
    found = archetypes(z, 5, n_starts=4, rng=rng)
    assert (np.diff(found.residuals) <= 1e-12).all()
    centred = (z - z.mean(axis=0)) / np.linalg.norm(z - z.mean(axis=0), 2)
    total = (centred**2).sum()
    known = [
        AA(5, init="furthest_sum", method="pgd", max_iter=500, tol=1e-7 * total, random_state=start).fit(
            centred
        )
        for start in range(3)
    ]
    assert found.explained_variance > 1 - min(solver.rss_ for solver in known) / total - 1e-4
    # Archetypes are mixtures of embeddings, so none lies beyond them.
    assert (found.z <= z.max(axis=0) + 1e-9).all()


def test_a_coreset_finds_the_archetypes_of_all_cells(monkeypatch):
    rng = np.random.default_rng(0)
    corners = 5 * rng.normal(size=(4, 6))
    z = rng.dirichlet(np.full(4, 0.4), size=3000) @ corners
    monkeypatch.setattr("morphobench.analyse.archetypal._CORESET", 300)
    found = archetypes(z, 4, n_starts=3, rng=rng)
    assert found.explained_variance > 0.99
    assert found.weights.shape == (3000, 4)
    assert (np.diff(found.residuals) <= 1e-12).all()


def test_explained_variance_rises_with_the_number_of_archetypes():
    z = np.random.default_rng(0).normal(size=(30, 4))
    table = explained_variances(z, [4, 2, 1, 31, 2], n_starts=3, rng=np.random.default_rng(0))
    assert table["k"].tolist() == [1, 2, 4]
    assert table["explained_variance"].is_monotonic_increasing
    assert table.columns.tolist() == ["k", "explained_variance", "start_distance"]
    assert (table["start_distance"] >= 0).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_archetypes_recover_the_corners_of_a_simplex_at_any_scale(scale):
    rng = np.random.default_rng(0)
    z, corners, weights = simplex(rng)
    found = archetypes(scale * z + 10 * scale, 4, n_starts=3, rng=rng)
    assert found.explained_variance > 0.999
    distance = np.linalg.norm((found.z / scale - 10)[:, None] - corners, axis=2)
    size = np.linalg.norm(corners, axis=1).mean()
    assert (distance.min(axis=0) < 0.05 * size).all()
    match = distance.argmin(axis=0)
    assert sorted(match) == [0, 1, 2, 3]
    np.testing.assert_allclose(found.weights[:, match], weights, atol=0.1)


def test_archetype_weights_are_shares_sorted_by_their_mean_and_rebuild_the_embeddings():
    rng = np.random.default_rng(1)
    z, _, _ = simplex(rng)
    found = archetypes(z, 4, n_starts=2, rng=rng)
    assert found.z.shape == (4, 6)
    assert found.weights.shape == (200, 4)
    assert (found.weights >= 0).all()
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    assert (np.diff(found.weights.mean(axis=0)) <= 0).all()
    residual = ((z - found.weights @ found.z) ** 2).sum() / ((z - z.mean(axis=0)) ** 2).sum()
    assert 1 - residual == pytest.approx(found.explained_variance, abs=1e-6)


@pytest.mark.long
def test_archetypes_are_seeded_and_improve_with_their_number():
    z = np.random.default_rng(2).normal(size=(192, 64))
    first, again = (archetypes(z, 6, n_starts=3, rng=np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.z, again.z)
    explained = [
        archetypes(z, k, n_starts=2, rng=np.random.default_rng(0)).explained_variance for k in (1, 3, 6, 12)
    ]
    assert explained[0] == pytest.approx(0, abs=1e-9)
    assert (np.diff(explained) > 0).all()


def test_archetypes_rotate_with_the_space_and_ignore_the_order_of_cells():
    rng = np.random.default_rng(3)
    z, _, _ = simplex(rng)
    basis, order = ortho_group.rvs(6, random_state=rng), rng.permutation(len(z))
    plain = archetypes(z, 4, n_starts=3, rng=np.random.default_rng(0)).z @ basis
    rotated = archetypes(z[order] @ basis, 4, n_starts=3, rng=np.random.default_rng(1)).z
    distance = np.linalg.norm(plain[:, None] - rotated, axis=2).min(axis=1)
    assert (distance < 0.05 * np.linalg.norm(plain, axis=1).mean()).all()


@pytest.mark.parametrize(
    ("z", "k", "message"),
    [
        (np.full((20, 3), 0.1), 2, "collapsed"),
        (np.ones((3, 3)), 4, "lower n_archetypes"),
        (np.ones((3, 3)), 0, "lower n_archetypes"),
        (np.array([[1.0, np.nan], [0.0, 1.0], [2.0, 2.0]]), 2, "not finite"),
    ],
)
def test_archetypes_refuse_what_has_none(z, k, message):
    with pytest.raises(InputError, match=message):
        archetypes(z, k, n_starts=1, rng=np.random.default_rng(0))


def test_starts_find_the_same_archetypes_where_there_are_some_and_others_where_there_are_none():
    rng = np.random.default_rng(8)
    planted, _, _ = simplex(rng, n=300)
    found = archetypes(planted, 4, n_starts=4, rng=np.random.default_rng(1)).start_distance
    assert found < 0.05
    blob = archetypes(rng.normal(size=(300, 6)), 4, n_starts=4, rng=np.random.default_rng(1)).start_distance
    assert blob > 4 * found
    assert blob > 0.2
    assert np.isnan(archetypes(planted, 4, n_starts=1, rng=np.random.default_rng(1)).start_distance)
    scaled = archetypes(1000 * planted + 7, 4, n_starts=4, rng=np.random.default_rng(1)).start_distance
    assert scaled == pytest.approx(found, rel=1e-3, abs=1e-6)
