"""False discovery rate."""

import numpy as np

from morphobench.metrics.fdr import benjamini_hochberg


def test_q_values_of_a_textbook_example():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, np.nan])
    expected = [0.006, 0.024, 0.0504, 0.0504, 0.0504, 0.06, np.nan]
    np.testing.assert_allclose(benjamini_hochberg(p), expected)


def test_without_a_p_value_there_is_no_q_value():
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()
    assert len(benjamini_hochberg(np.empty(0))) == 0
