"""Nodes on the sphere integrate products of harmonics exactly."""

import numpy as np

from morphobench.geometry.harmonics import real_harmonics, sphere_nodes


def test_harmonics_are_orthonormal_over_the_nodes():
    unit, weights = sphere_nodes(9)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1)
    assert np.isclose(weights.sum(), 4 * np.pi)
    values = real_harmonics(unit, np.ones(len(unit)), 8)
    np.testing.assert_allclose((values * weights) @ values.T, np.eye(81), atol=1e-12)
