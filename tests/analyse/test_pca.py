"""Principal components beside the singular value decomposition."""

import numpy as np
import pytest

from morphobench.analyse.pca import principal_components


@pytest.mark.parametrize("shape", [(50, 6), (5, 9), (9000, 3)])
def test_components_are_those_of_the_singular_values(shape):
    z = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1) + 4
    found = principal_components(z, 2)
    _, singular, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found.variance, singular[:2] ** 2 / len(z))
    np.testing.assert_allclose(np.abs((found.directions * directions[:2]).sum(axis=1)), 1)
    assert found.total == pytest.approx(z.var(axis=0).sum())
    np.testing.assert_allclose(found.scores.var(axis=0), found.variance)
    assert (found.directions.sum(axis=1) > 0).all()


def test_signs_do_not_change_with_a_few_cells():
    """Two loadings of opposite sign are nearly the largest: leaving cells out makes either of them so."""
    rng = np.random.default_rng(5)
    direction = np.array([0.6, -0.6, 0.3, 0.3, 0.25, 0.2])
    z = rng.normal(size=(60, 1)) * 3 * direction + 0.3 * rng.normal(size=(60, 6))
    first = principal_components(z, 1).directions[0]
    left_out = [rng.permutation(60)[:55] for _ in range(200)]
    found = np.stack([principal_components(z[kept], 1).directions[0] for kept in left_out])
    assert (found @ first > 0.9).all()
    # The largest loading is now the one, now the other.
    assert len(set(np.abs(found).argmax(axis=1))) > 1


def test_signs_follow_the_sum_of_loadings_and_scores_with_them():
    rng = np.random.default_rng(6)
    z = rng.normal(size=(50, 5)) @ rng.normal(size=(5, 5))
    found = principal_components(z)
    assert (found.directions.sum(axis=1) > 0).all()
    np.testing.assert_allclose((z - z.mean(0)) @ found.directions.T, found.scores, atol=1e-9)
