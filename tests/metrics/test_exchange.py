"""Exchange of whole units within plates: which there are, and when there is no p value."""

import itertools
import math

import numpy as np
import pytest

from morphobench.metrics.exchange import UNKNOWN, codes, design, exchanges, nested, share_reached


def designed(treated, controls, n_cells=3):
    """Units of condition and controls on each plate, each of some cells."""
    sides = [
        (plate, side)
        for plate, pair in enumerate(zip(treated, controls, strict=True))
        for side in (1, 0)
        for _ in range(pair[1 - side])
    ]
    unit = np.repeat(np.arange(len(sides)), n_cells)
    plate, side = np.array(sides).reshape(-1, 2).T
    return design(unit, side[unit].astype(bool), plate[unit])


def test_all_exchanges_keep_the_number_of_units_on_each_plate():
    found = designed((2, 1), (3, 4))
    assert found.n_exchanges == math.comb(5, 2) * 5
    masks = list(exchanges(found, 1000, np.random.default_rng(0)))
    assert len(masks) == found.n_exchanges - 1
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    assert not any((mask == found.treated).all() for mask in masks)
    for mask in masks:
        assert np.bincount(found.plate, mask).tolist() == [2, 1]


def test_random_exchanges_are_uniform():
    found = designed((2, 1), (2, 2))
    drawn = [mask.tobytes() for mask in exchanges(found, found.n_exchanges - 1, np.random.default_rng(0))]
    assert len(drawn) == found.n_exchanges - 1
    many = [
        mask.tobytes()
        for seed in range(300)
        for mask in exchanges(found, found.n_exchanges - 1, np.random.default_rng(seed))
    ]
    counts = np.unique(many, return_counts=True)[1]
    assert len(counts) == found.n_exchanges == 18
    assert abs(counts / np.mean(counts) - 1).max() < 6 / np.sqrt(np.mean(counts))


@pytest.mark.parametrize(
    ("treated", "controls", "n", "reason"),
    [
        ((1,), (30,), 31, "1 units of the condition"),
        ((5,), (1,), 6, "1 units of the controls"),
        ((2, 2, 0), (0, 0, 9), 1, "no plate holds units of both"),
        ((1, 1), (3, 3), 16, "16 exchanges of units: the smallest possible p is 0.062"),
        ((0,), (4,), 0, UNKNOWN),
        ((2,), (6,), 28, ""),
        ((1, 1), (3, 4), 20, ""),
        ((2, 1), (6, 0), 28, ""),
    ],
)
def test_too_few_units_have_a_reason_and_the_smallest_possible_p(treated, controls, n, reason):
    found = designed(treated, controls)
    assert found.n_exchanges == n
    assert found.reason.startswith(reason) if reason else not found.reason
    assert found.smallest_p(10**6) == pytest.approx(1 / n if n else np.nan, nan_ok=True)


def test_units_that_hold_both_cannot_be_exchanged():
    found = design(np.array([0, 0, 1, 1]), np.array([True, False, True, False]), np.zeros(4, int))
    assert "hold both" in found.reason
    assert np.isnan(found.smallest_p(99))


def test_a_unit_is_one_of_its_plate():
    unit, plate = nested(["E1", "E1", "E2", None, "E1"], ["a", "b", "a", "a", np.nan], 5)
    assert unit.tolist() == [0, 2, 1, -1, -1]
    assert plate.tolist() == [0, 1, 0, 0, -1]
    assert nested(None, ["a", "b"], 2)[0].tolist() == [-1, -1]
    assert nested(["E1", "E2"], None, 2)[1].tolist() == [0, 0]
    # Numbers and their text may stand in one column.
    assert len(set(codes([1, "1", 1.0]))) <= 2


def test_the_share_counts_the_observed_value_and_may_end_early():
    assert share_reached([0.0, 1.0, 2.0], 1.0) == 3 / 4
    assert share_reached([], 1.0) == 1
    assert np.isnan(share_reached([1.0], np.nan))
    assert share_reached(itertools.repeat(1.0), 0.5, enough=5) == 1
