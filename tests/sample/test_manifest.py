"""The manifest of all cells: the split that is drawn, and the one that a source has in a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate.masked import write_clouds
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.sample import manifest
from morphobench.sample.split import split_groups

SPLIT = {"train": 0.7, "val": 0.15, "test": 0.15}


def write_shard(folder: Path, values) -> Path:
    folder.mkdir()
    table = pd.DataFrame({"CellId": list("abc"), "group": list("abc"), "part": values})
    table.assign(success=True, error="", index=[0, 1, 2]).to_parquet(folder / "cells.parquet")
    return folder


def split(folder, values, column="part"):
    out = folder / "manifest.parquet"
    manifest.run(
        {0: write_shard(folder / "shard-0", values)},
        out,
        split={"train": 0.5, "val": 0.25, "test": 0.25},
        seed=1,
        dataset_name="tiny",
        column=column,
    )
    return pd.read_parquet(out)["split"].tolist()


def test_a_column_with_the_split_is_followed(tmp_path):
    assert split(tmp_path, ["Testing", "train", "valid"]) == ["test", "train", "val"]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_cell_without_a_split_fails_alone(tmp_path, nothing):
    assert split(tmp_path, ["test", nothing, "train"]) == ["test", None, "train"]
    cells = pd.read_parquet(tmp_path / "manifest.parquet")
    assert cells["success"].tolist() == [True, False, True]
    assert "has no part" in cells["error"][1]


@pytest.mark.parametrize(
    ("values", "column", "words"),
    [(["x", "train", "val"], "part", "cell a has part 'x'"), (["train"] * 3, "gone", "no column 'gone'")],
)
def test_a_column_without_the_split_is_named(tmp_path, values, column, words):
    with pytest.raises(InputError, match=words):
        split(tmp_path, values, column)


def place(seed):
    return lambda group: seeds.place(seed, "tiny", "split", group)


@given(st.integers(3, 60), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_splits_are_complete_none_is_empty_and_order_does_not_matter(n, seed):
    groups = [f"g{i}" for i in range(n)]
    splits = split_groups(groups, SPLIT, place(seed))
    assert splits == split_groups(2 * groups[::-1], SPLIT, place(seed))
    assert set(splits) == set(groups)
    assert set(splits.values()) == set(SPLIT)


@given(st.integers(3, 60), st.integers(1, 60), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_more_groups_change_no_split_but_of_those_that_filled_an_empty_one(n, n_more, seed):
    groups = [f"g{i}" for i in range(n)]
    by_place = split_groups(groups, SPLIT, place(seed), fill=False)
    more = split_groups([*groups, *(f"h{i}" for i in range(n_more))], SPLIT, place(seed))
    if len(set(by_place.values())) == len(SPLIT):
        assert {group: more[group] for group in groups} == by_place
    # At most two empty splits take a group each.
    assert sum(more[group] != by_place[group] for group in groups) <= 2


def test_shares_are_met_as_draws_meet_them():
    n = 20_000
    splits = split_groups(map(str, range(n)), SPLIT, place(0))
    for split, share in SPLIT.items():
        n_split = sum(value == split for value in splits.values())
        assert abs(n_split - share * n) < 5 * np.sqrt(n * share * (1 - share))


def test_splits_differ_with_the_seed():
    draws = [split_groups(map(str, range(30)), SPLIT, place(seed)) for seed in range(20)]
    test_sets = {tuple(sorted(g for g, split in draw.items() if split == "test")) for draw in draws}
    assert len(test_sets) > 15


def drawn(tmp_path, table, seed=1):
    folder = tmp_path / f"shard-{len(table)}-{seed}"
    folder.mkdir()
    table.to_parquet(folder / "cells.parquet")
    out = folder / "manifest.parquet"
    manifest.run({0: folder}, out, split=SPLIT, seed=seed, dataset_name="d")
    return pd.read_parquet(out).set_index("CellId")


def field(n_usable, n_failed):
    n = n_usable + n_failed
    table = pd.DataFrame({"CellId": [f"c{i:03d}" for i in range(n)], "success": np.arange(n) < n_usable})
    return table.assign(group=table["CellId"], error=np.where(table["success"], "", "at the border"), index=0)


@pytest.mark.parametrize("seed", range(5))
def test_few_usable_cells_among_many_that_failed_fill_every_split(tmp_path, seed):
    few = drawn(tmp_path, field(7, 44), seed)
    assert set(few.loc[few["success"], "split"]) == set(SPLIT)
    assert few["split"].isin(list(SPLIT)).all()


def test_cells_that_are_added_change_no_split_of_the_others(tmp_path):
    before, after = drawn(tmp_path, field(60, 5)), drawn(tmp_path, field(80, 30))
    assert (after.loc[before.index[:60], "split"] == before["split"].iloc[:60]).all()


@pytest.mark.parametrize(("n_groups", "words"), [(1, "1 groups"), (2, "2 groups"), (3, "")])
def test_too_few_groups_are_named_with_the_remedy(tmp_path, caplog, n_groups, words):
    table = field(6, 0).assign(group=[f"g{i % n_groups}" for i in range(6)])
    cells = drawn(tmp_path, table)
    if not words:
        assert set(cells["split"]) == set(SPLIT)
        assert "there is no usable" not in caplog.text
    else:
        assert "6 of 6 cells are usable" in caplog.text
        assert f"in {words}. Three groups are needed at least" in caplog.text


def test_the_manifest_lists_failed_cells_and_keeps_groups_together(tmp_path):
    names = [f"{group}_{rule}" for group in "zyxwvutsr" for rule in range(2)]
    write_clouds(tmp_path / "out", dict.fromkeys(names, np.zeros((1, 3))))
    manifest.run({3: tmp_path / "out"}, tmp_path / "m.parquet", split=SPLIT, seed=1, dataset_name="d")
    cells = files.read_table(tmp_path / "m.parquet")
    assert list(cells["CellId"]) == sorted([*names, "old"])
    assert (cells["shard"] == 3).all()
    assert (cells.groupby("group")["split"].nunique() == 1).all()
    assert cells.set_index("CellId").loc["old", "split"] in SPLIT
    assert not cells.set_index("CellId").loc["old", "success"]


def test_a_repeated_cell_is_refused(tmp_path):
    for shard in "ab":
        write_clouds(tmp_path / shard, {"c_0": np.zeros((1, 3))})
    with pytest.raises(InputError, match="CellId c_0, old occurs more than once"):
        manifest.run(
            {0: tmp_path / "a", 1: tmp_path / "b"},
            tmp_path / "m.parquet",
            split=SPLIT,
            seed=1,
            dataset_name="d",
        )
