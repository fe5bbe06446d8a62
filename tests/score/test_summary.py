"""Bootstrap intervals, score tabled scores."""

import numpy as np
import pytest

from morphobench.score.summary import Score, bootstrap_mean, score_table


def test_bootstrap_interval_has_the_width_of_the_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = bootstrap_mean(values, n_resamples=4000, rng=np.random.default_rng(1))
    assert (found.value, found.n) == (pytest.approx(values.mean()), 400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2 / np.sqrt(400), rel=0.1)
    again = bootstrap_mean(values, n_resamples=4000, rng=np.random.default_rng(1))
    assert again == found


def test_cluster_bootstrap_sees_that_copies_are_no_new_evidence():
    values = np.random.default_rng(2).normal(size=50)
    copies, clusters = np.repeat(values, 6), np.repeat(np.arange(50), 6)
    width = {}
    for name, given_clusters in (("naive", None), ("clustered", clusters)):
        found = bootstrap_mean(
            copies, n_resamples=2000, rng=np.random.default_rng(0), clusters=given_clusters
        )
        assert found.value == pytest.approx(values.mean())
        width[name] = found.high - found.low
    assert width["clustered"] / width["naive"] == pytest.approx(np.sqrt(6), rel=0.1)


def test_bootstrap_drops_what_is_not_finite_and_admits_ignorance(monkeypatch):
    rng = np.random.default_rng(0)
    found = bootstrap_mean(np.array([1.0, np.nan, 3.0, np.inf]), n_resamples=100, rng=rng)
    assert (found.value, found.n) == (2.0, 2)
    assert 1 <= found.low <= 2 <= found.high <= 3
    empty = bootstrap_mean(np.full(3, np.nan), n_resamples=100, rng=rng)
    assert empty.n == 0
    assert np.isnan(empty[:3]).all()
    lonely = bootstrap_mean(np.arange(4.0), n_resamples=100, rng=rng, clusters=np.zeros(4))
    assert lonely.value == 1.5
    assert np.isnan([lonely.low, lonely.high]).all()
    values, whole = np.arange(10.0), {"n_resamples": 50}
    expected = bootstrap_mean(values, rng=np.random.default_rng(7), **whole)
    monkeypatch.setattr("morphobench.metrics.covariance._BLOCK_ELEMENTS", 30)
    assert bootstrap_mean(values, rng=np.random.default_rng(7), **whole) == expected


def test_score_table_has_fixed_columns_and_types():
    row = Score("d", "m", 1, "x", "legacy", "um", "low", 1, np.nan, np.nan, 3, "")
    full, empty = score_table([row]), score_table([])
    names = [
        "dataset",
        "model",
        "seed",
        "metric",
        "variant",
        "unit",
        "better",
        "value",
        "ci_low",
        "ci_high",
        "n",
        "reason",
    ]
    assert list(full) == list(empty) == names
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert full.dtypes[["seed", "n"]].eq(np.int64).all()
    assert full.dtypes[["value", "ci_low", "ci_high"]].eq(np.float64).all()
