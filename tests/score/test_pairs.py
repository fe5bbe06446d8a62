"""Pairs of test cells."""

import numpy as np
import pandas as pd
import pytest

from morphobench.score.pairs import draw_pairs


def cells_of(sizes) -> pd.DataFrame:
    named = [(f"{unit}_{cell}", f"unit {unit}") for unit, size in enumerate(sizes) for cell in range(size)]
    return pd.DataFrame(named, columns=["CellId", "group"])


def test_pairs_are_disjoint_seeded_and_do_not_depend_on_order():
    cells = cells_of([6] * 39)
    pairs = draw_pairs(cells, 117, np.random.default_rng(3))
    assert list(pairs) == ["pair", "start", "end", "group"]
    assert sorted([*pairs["start"], *pairs["end"]]) == sorted(cells["CellId"])
    pd.testing.assert_frame_equal(draw_pairs(cells[::-1], 117, np.random.default_rng(3)), pairs)
    assert not draw_pairs(cells, 117, np.random.default_rng(4)).equals(pairs)


@pytest.mark.parametrize("sizes", [[6] * 39, [6] * 5, [1] * 40, [1, 9, 2, 30, 4, 4, 7], [3, 1]])
def test_pairs_of_different_groups_share_no_unit(sizes):
    cells = cells_of(sizes)
    pairs = draw_pairs(cells, 117, np.random.default_rng(0))
    units = cells.set_index("CellId")["group"]
    start, end = pairs["start"].map(units), pairs["end"].map(units)
    assert (start != end).all()
    owners = pd.concat([pairs["group"], pairs["group"]]).groupby(pd.concat([start, end]).to_numpy()).nunique()
    assert (owners == 1).all()
    assert pairs["group"].nunique() == len(sizes) // 2


def test_few_pairs_are_spread_over_units():
    pairs = draw_pairs(cells_of([20] * 30), 15, np.random.default_rng(0))
    assert (len(pairs), pairs["group"].nunique()) == (15, 15)


def test_a_single_unit_is_paired_within_and_nothing_gives_no_pair():
    assert len(draw_pairs(cells_of([5]), 10, np.random.default_rng(0))) == 2
    none = draw_pairs(cells_of([1]), 1, np.random.default_rng(3))
    assert list(none) == ["pair", "start", "end", "group"]
    assert none.empty
    assert draw_pairs(cells_of([]), 1, np.random.default_rng(3)).empty
