"""Rotation invariance error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from morphobench.metrics.invariance import rotation_invariance_error, rotation_invariance_error_legacy

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
