"""Intervals of means and other statistics over independent units."""

import numpy as np
import pytest
from scipy.stats import binomtest, t

from morphobench.metrics.regression import r_squared
from morphobench.score.intervals import Range, blocks_of, jackknife, jackknife_interval, mean_interval

PLAIN, SHARE = Range(), Range(0.0, 1.0, "logit")


def test_the_interval_of_single_values_is_that_of_student():
    values = np.random.default_rng(0).normal(5, 2, 12)
    found = mean_interval(values, np.arange(12), PLAIN)
    half = t.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    assert (found.value, found.n, found.n_units) == (pytest.approx(values.mean()), 12, 12)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))


def test_copies_are_no_new_evidence():
    values = np.random.default_rng(2).normal(size=50)
    copies, units = np.repeat(values, 6), np.repeat(np.arange(50), 6)
    once, clustered = mean_interval(values, np.arange(50), PLAIN), mean_interval(copies, units, PLAIN)
    assert (clustered.low, clustered.high) == pytest.approx((once.low, once.high))
    assert (clustered.n, clustered.n_units) == (300, 50)
    naive = mean_interval(copies, np.arange(300), PLAIN)
    assert (clustered.high - clustered.low) / (naive.high - naive.low) == pytest.approx(np.sqrt(6), rel=0.05)


def test_units_of_unlike_size_weigh_by_their_cells():
    values, units = np.array([0.0, 1, 2, 3, 10]), np.array([0, 0, 1, 1, 2])
    found = mean_interval(values, units, PLAIN)
    weights, _ = jackknife(lambda w: (w @ values) / w.sum(axis=1), units, 10, np.random.default_rng(0))
    assert found.value == weights == pytest.approx(3.2)


def test_the_jackknife_of_a_mean_is_its_interval():
    rng = np.random.default_rng(3)
    values, units = rng.normal(size=90), np.repeat(np.arange(15), 6)
    value, without = jackknife(lambda w: (w @ values) / w.sum(axis=1), units, 200, rng)
    found = mean_interval(values, units, PLAIN)
    assert jackknife_interval(value, without, 15, PLAIN) == pytest.approx((found.low, found.high))
    assert value == pytest.approx(found.value)


def test_values_that_are_not_finite_are_left_out_and_ignorance_is_admitted():
    found = mean_interval(np.array([1.0, np.nan, 3.0, np.inf]), np.arange(4), PLAIN)
    assert (found.value, found.n, found.n_units) == (2.0, 2, 2)
    assert found.low < 2 < found.high
    empty = mean_interval(np.full(3, np.nan), np.arange(3), PLAIN)
    assert (empty.n, empty.n_units) == (0, 0)
    assert np.isnan(empty[:3]).all()
    lonely = mean_interval(np.arange(4.0), np.zeros(4), PLAIN)
    assert lonely.value == 1.5
    assert np.isnan([lonely.low, lonely.high]).all()
    value, without = jackknife(lambda w: w.sum(axis=1), np.zeros(3), 10, np.random.default_rng(0))
    assert value == 3
    assert np.isnan(jackknife_interval(value, without, 1, PLAIN)).all()
    assert np.isnan(jackknife_interval(0.5, np.array([0.4, np.nan, 0.6]), 3, PLAIN)).all()


@pytest.mark.parametrize("n", [2, 10, 40])
def test_units_that_all_agree_have_the_exact_interval(n):
    for hit, known in ((1.0, binomtest(n, n)), (0.0, binomtest(0, n))):
        found = mean_interval(np.full(3 * n, hit), np.repeat(np.arange(n), 3), SHARE)
        exact = known.proportion_ci(method="exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
        assert jackknife_interval(hit, np.full(n, hit), n, SHARE) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize("hits", [1, 5, 9])
def test_intervals_of_shares_stay_within_their_range(hits):
    found = mean_interval((np.arange(10) < hits).astype(float), np.arange(10), SHARE)
    assert 0 < found.low < hits / 10 < found.high < 1
    assert mean_interval(np.array([0.0, 0.1, 4.0]), np.arange(3), Range(0.0)).low == 0


def test_many_units_are_left_out_in_blocks_of_like_size():
    sizes = np.bincount(blocks_of(1003, 200, np.random.default_rng(0)))
    assert (len(sizes), set(sizes)) == (200, {5, 6})
    rng = np.random.default_rng(4)
    truth = rng.normal(size=1000)
    fitted = truth + 0.5 * rng.normal(size=1000)
    widths = []
    for n_blocks in (50, 1000):
        value, without = jackknife(lambda w: r_squared(truth, fitted, w), np.arange(1000), n_blocks, rng)
        low, high = jackknife_interval(value, without, 1000, PLAIN)
        widths.append(high - low)
    assert widths[0] == pytest.approx(widths[1], rel=0.35)
