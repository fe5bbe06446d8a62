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
    assert (found.directions.max(axis=1) == np.abs(found.directions).max(axis=1)).all()
