"""Latent walks and nearest cells: known answers, no dependence on order or basis."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from morphobench.analyse.walks import closest_cells, latent_walk
from morphobench.files.tables import embedding_matrix

SIGMAS = (-2.0, 0.0, 2.0)
seeded = given(st.integers(0, 2**32 - 1))


def test_walk_of_a_known_cloud_goes_along_its_axes():
    z = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]]) + [10, 20, 30]
    walk = latent_walk(z, ["one"] * 4, n_components=2, sigmas=SIGMAS)
    assert walk["component"].tolist() == [0, 0, 0, 1, 1, 1]
    assert walk["sigma"].tolist() == [*SIGMAS, *SIGMAS]
    np.testing.assert_allclose(walk["sd"], np.repeat(np.sqrt([18 / 4, 2 / 4]), 3))
    along_x, along_y = 2 * np.sqrt(18 / 4), 2 * np.sqrt(2 / 4)
    expected = [[10 + s * along_x, 20, 30] for s in (-1, 0, 1)] + [
        [10, 20 + s * along_y, 30] for s in (-1, 0, 1)
    ]
    np.testing.assert_allclose(embedding_matrix(walk), expected)


@settings(max_examples=20, deadline=None)
@seeded
def test_walk_is_blind_to_order_and_rotates_with_the_space(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(40, 5)) * [5, 3, 1, 1, 1]
    strata = np.where(np.arange(40) < 25, "a", "b")
    walk = latent_walk(z, strata, n_components=2, sigmas=SIGMAS)
    order = rng.permutation(40)
    pd.testing.assert_frame_equal(latent_walk(z[order], strata[order], n_components=2, sigmas=SIGMAS), walk)
    basis = ortho_group.rvs(5, random_state=rng)
    rotated = embedding_matrix(latent_walk(z @ basis, strata, n_components=2, sigmas=SIGMAS))
    # The sign of a component is a convention of the basis, so compare ends as unordered pairs.
    ours, theirs = ((points.reshape(4, 3, 5)) for points in (embedding_matrix(walk) @ basis, rotated))
    direct = np.abs(ours - theirs).max(axis=(1, 2))
    reverse = np.abs(ours[:, ::-1] - theirs).max(axis=(1, 2))
    assert (np.minimum(direct, reverse) < 1e-9).all()


def test_walk_of_small_strata_has_only_real_directions():
    z = np.array(
        [[0.1, 0.2, 0.3], [1.0, 0, 0], [3.0, 0, 0], [0.7, 0.7, 0.7], [0.7, 0.7, 0.7], [0.7, 0.7, 0.7]]
    )
    strata = ["single", "two", "two", "copies", "copies", "copies"]
    walk = latent_walk(z, strata, n_components=2, sigmas=SIGMAS).set_index("stratum")
    assert walk.loc[["single"], ["component", "sigma", "sd", "n_cells"]].values.tolist() == [[0, 0, 0, 1]]
    np.testing.assert_allclose(embedding_matrix(walk.loc[["single"]]), z[:1])
    np.testing.assert_allclose(embedding_matrix(walk.loc[["copies"]]), z[3:4])
    np.testing.assert_allclose(
        embedding_matrix(walk.loc[["two"]]), [[0, 0, 0], [2, 0, 0], [4, 0, 0]], atol=1e-12
    )


def test_closest_cell_of_a_cell_is_itself_and_ties_go_to_the_first_id():
    z = np.random.default_rng(0).normal(size=(20, 4))
    ids = [f"{i:02d}" for i in range(20)]
    found = closest_cells(z[[7, 3]] + 1e-6, z, ids)
    assert found["CellId"].tolist() == ["07", "03"]
    np.testing.assert_allclose(found["distance"], 2e-6, rtol=1e-3)
    tie = closest_cells(np.zeros((1, 1)), np.array([[1.0], [-1.0]]), ["b", "a"])
    assert tie.values.tolist() == [["a", 1.0]]


@settings(max_examples=20, deadline=None)
@seeded
def test_closest_cells_are_blind_to_order_and_basis(seed):
    rng = np.random.default_rng(seed)
    z, points = rng.normal(size=(15, 3)), rng.normal(size=(4, 3))
    ids = np.array([f"c{i}" for i in range(15)])
    basis, order = ortho_group.rvs(3, random_state=rng), rng.permutation(15)
    first, second = closest_cells(points, z, ids), closest_cells(points @ basis, z[order] @ basis, ids[order])
    pd.testing.assert_frame_equal(first, second)
