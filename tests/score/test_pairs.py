"""Pairs of test cells."""

import numpy as np
import pandas as pd

from morphobench.score.pairs import draw_pairs


def test_pairs_are_disjoint_seeded_and_do_not_depend_on_order():
    ids = [f"{nucleus}_{rule}" for nucleus in range(39) for rule in range(6)]
    pairs = draw_pairs(ids, 117, np.random.default_rng(3))
    assert list(pairs) == ["pair", "start", "end"]
    assert sorted([*pairs["start"], *pairs["end"]]) == sorted(ids)
    pd.testing.assert_frame_equal(draw_pairs(ids[::-1], 117, np.random.default_rng(3)), pairs)
    assert not draw_pairs(ids, 117, np.random.default_rng(4)).equals(pairs)
    assert len(draw_pairs(ids[:5], 117, np.random.default_rng(3))) == 2
    none = draw_pairs(ids[:1], 1, np.random.default_rng(3))
    assert list(none) == list(pairs)
    assert none.empty
