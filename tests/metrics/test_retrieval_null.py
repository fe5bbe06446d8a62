"""Null distributions of average precision."""

import numpy as np
from scipy.stats import kstest

from morphobench.metrics.retrieval_null import exchange_p, label_p, rank_null, tail_p


def test_random_ranks_are_those_of_shuffled_labels():
    rng = np.random.default_rng(0)
    drawn = rank_null(4, 9, 20000, rng)
    labels = rng.permuted(np.tile(np.arange(13) < 4, (20000, 1)), axis=1)
    precision = labels.cumsum(axis=1) / np.arange(1, 14)
    plain = (precision * labels).sum(axis=1) / 4
    assert kstest(drawn, plain).pvalue > 1e-3
    assert (np.diff(drawn) >= 0).all()


def test_random_ranks_of_two_places_are_exact():
    # One positive among one negative is first or second, and alone always first.
    drawn = rank_null(1, 1, 4000, np.random.default_rng(0))
    assert set(drawn) == {0.5, 1.0}
    assert abs((drawn == 1).mean() - 0.5) < 5 * np.sqrt(0.25 / 4000)
    assert (rank_null(3, 0, 10, np.random.default_rng(0)) == 1).all()


def test_tail_counts_ties_and_itself():
    assert tail_p(np.array([0.1, 0.2, 0.2, 0.4]), np.array([0.2, 0.5])).tolist() == [4 / 5, 1 / 5]


def exchange(x, n_own, n_draws, **more):
    cells = np.arange(len(x))
    given = {"unit": cells, "plate": np.zeros(len(x), int), "place": cells} | more
    return exchange_p(x, is_member=cells < n_own, **given, n_draws=n_draws, rng=np.random.default_rng(0))


def test_exchange_test_is_sequential_and_its_p_is_never_zero():
    rng = np.random.default_rng(0)
    far, control = rng.normal(size=(15, 4)) + 20, rng.normal(size=(45, 4))
    assert exchange(np.concatenate([far, control]), 15, 99)[0] == 1 / 100
    assert 0.001 < exchange(control, 15, 100000)[0] <= 1


def test_few_exchanges_are_all_tried():
    """Two far units among seven: only one of 21 ways gives as much."""
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(7), 4)
    x = rng.normal(size=(28, 4)) + 20 * (unit < 2)[:, None]
    p, design = exchange(x, 8, 1000, unit=unit, place=unit)
    assert p == 1 / 21
    assert design.n_exchanges == 21
    assert design.smallest_p(1000) == 1 / 21
    assert design.smallest_p(9) == 1 / 10


def test_large_groups_are_tested_on_equally_many_cells_of_each_unit():
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(8), [400, 10, *[300] * 6])
    p, design = exchange(rng.normal(size=(len(unit), 3)), 410, 50, unit=unit, place=unit)
    counts = np.bincount(design.unit)
    assert counts[0] == 166
    assert (counts[2:] == 166).all()
    assert counts[1] == 10
    assert 0 < p <= 1


def test_labels_without_pairs_have_no_p():
    assert np.isnan(label_p(np.eye(4), np.arange(4), n_draws=9, rng=np.random.default_rng(0))).all()
