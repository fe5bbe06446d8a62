"""Columns as colours: categories, scales, what is unknown, many values."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from morphobench.plot import columns
from morphobench.plot.context import Context, EmptyPanel

N = 40
CELLS = pd.DataFrame({"CellId": [f"c{i}" for i in range(N)]}).assign(
    plate=["01", "1"] * (N // 2),
    volume=np.linspace(1, 9, N),
    depth=[str(i) for i in range(N)],
    day=[1, 2, None, 4] * (N // 4),
    many=[f"v{min(i, 20)}" for i in range(N)],
)
NONE = Context(models={}, baselines={}, controls={}, labels=[], strata={})


def values(*names):
    return columns.values_of(CELLS, CELLS["CellId"], names)


def test_text_that_looks_like_numbers_stays_apart():
    assert set(values("plate")["name"]) == {"01", "1"}


@pytest.mark.parametrize("name", ["volume", "depth"])
def test_many_numbers_are_a_scale(name):
    table = values(name)
    assert table["name"].isna().all()
    np.testing.assert_allclose(table["number"], CELLS[name].astype(float))


def test_few_numbers_are_categories_and_a_missing_one_is_unknown():
    assert values("day")["name"].tolist()[:4] == ["1", "2", columns.UNKNOWN, "4"]


def test_rare_values_share_a_colour():
    names = values("many")["name"]
    assert names.nunique() <= 9
    assert names.iloc[-1] == "v20"
    assert columns.OTHER in set(names)


def test_a_cell_that_the_table_lacks_is_unknown():
    table = columns.values_of(CELLS, pd.Series(["c1", "stranger"]), ["plate"])
    assert table["name"].tolist() == ["1", columns.UNKNOWN]


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(EmptyPanel, match="no column dose"):
        values("dose")


def test_each_cell_is_drawn_once_in_the_colour_of_its_value():
    for name, n_legend in (("plate", 2), ("day", 4)):
        _, axes = plt.subplots()
        columns.draw(axes, np.random.default_rng(0).normal(size=(N, 2)), values(name), NONE, size=4)
        drawn = [len(dots.get_offsets()) for dots in axes.collections]
        assert sum(drawn) == N
        assert len(axes.get_legend().get_texts()) == n_legend
        colors = {tuple(dots.get_facecolor()[0]) for dots in axes.collections}
        assert len(colors) == n_legend
        plt.close()
