"""False discovery rate."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from morphobench.metrics.fdr import benjamini_hochberg, hierarchical


def test_q_values_of_a_textbook_example():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, np.nan])
    expected = [0.006, 0.024, 0.0504, 0.0504, 0.0504, 0.06, np.nan]
    np.testing.assert_allclose(benjamini_hochberg(p), expected)


def test_without_a_p_value_there_is_no_q_value():
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()
    assert len(benjamini_hochberg(np.empty(0))) == 0


def test_families_of_one_have_the_q_of_all():
    p = np.array([0.001, 0.02, 0.3, np.nan, 0.04])
    np.testing.assert_allclose(hierarchical(p, list("abcde")), benjamini_hochberg(p))


def test_hierarchical_q_of_a_worked_example():
    # Families: a by Simes min(2 x 0.004, 0.3) = 0.008, b 0.03; their q 0.016 and 0.03.
    # In a, 0.004 needs the family and, alone selected, 2 x 0.008 at most a: 0.016. From 0.03 on both are
    # selected, so that 0.3 needs a level of 0.3.
    p = np.array([0.004, 0.3, 0.03])
    np.testing.assert_allclose(hierarchical(p, ["a", "a", "b"]), [0.016, 0.3, 0.03])
    # One hypothesis in two doses counts as one among ten drugs, not as two among eleven.
    p = np.array([0.02, 0.004, *np.full(9, 0.9)])
    q = hierarchical(p, ["a", "a", *range(9)])
    assert q[1] == pytest.approx(10 * 2 * 0.004)
    assert hierarchical(p, range(11))[1] == pytest.approx(11 * 0.004)


def test_hierarchical_q_is_the_smallest_level_of_the_procedure():
    """Against the procedure as it is written: select families, then hypotheses within them at a R / F."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(9) ** 3
        family = rng.integers(0, 4, 9)
        q = hierarchical(p, family)
        names = np.unique(family)
        for level in rng.random(5):
            simes = [benjamini_hochberg(p[family == name]).min() for name in names]
            chosen = names[benjamini_hochberg(np.array(simes)) <= level]
            share = level * len(chosen) / len(names)
            found = np.zeros(9, bool)
            for name in chosen:
                found[family == name] = benjamini_hochberg(p[family == name]) <= share
            np.testing.assert_array_equal(q <= level, found)


def test_without_an_effect_families_are_found_no_more_often_than_told():
    """Doses of a drug go together; every discovery is false here."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(2000, 6, 1)) + 0.5 * rng.normal(size=(2000, 6, 2))
    p = norm.sf(z / np.sqrt(1.25)).reshape(2000, 12)
    found = [(hierarchical(one, np.arange(12) // 2) <= 0.05).any() for one in p[:600]]
    assert np.mean(found) <= binom.ppf(0.999, 600, 0.05) / 600
    assert np.mean(found) > 0.015
