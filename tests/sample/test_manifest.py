"""The split that a source has in a column of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate.masked import write_clouds
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench import files
from morphobench.errors import InputError
from morphobench.sample import manifest
from morphobench.sample import manifest as sample_manifest

SPLIT = {"train": 0.7, "val": 0.15, "test": 0.15}


def write_shard(folder: Path, values) -> Path:
    folder.mkdir()
    table = pd.DataFrame({"CellId": list("abc"), "group": list("abc"), "part": values})
    table.assign(success=True, error="", index=[0, 1, 2]).to_parquet(folder / "cells.parquet")
    return folder


def split(folder, values, column="part"):
    out = folder / "manifest.parquet"
    sample_manifest.run(
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


@pytest.mark.parametrize(
    ("values", "column", "words"),
    [(["x", "train", "val"], "part", "cell a has part 'x'"), (["train"] * 3, "gone", "no column 'gone'")],
)
def test_a_column_without_the_split_is_named(tmp_path, values, column, words):
    with pytest.raises(InputError, match=words):
        split(tmp_path, values, column)


@given(st.integers(3, 400), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_splits_are_disjoint_complete_and_independent_of_order(n, seed):
    groups = [f"g{i}" for i in range(n)]
    splits = manifest.split_groups(groups, SPLIT, np.random.default_rng(seed))
    again = manifest.split_groups(2 * groups[::-1], SPLIT, np.random.default_rng(seed))
    assert splits == again
    assert set(splits) == set(groups)
    counts = [list(splits.values()).count(split) for split in SPLIT]
    for count, share in zip(counts, SPLIT.values(), strict=True):
        assert abs(count - share * n) < 1


def test_splits_have_the_published_sizes():
    splits = manifest.split_groups(map(str, range(254)), SPLIT, np.random.default_rng(0))
    assert [list(splits.values()).count(split) for split in SPLIT] == [177, 38, 39]
    tens = manifest.split_groups(map(str, range(20)), SPLIT, np.random.default_rng(0))
    assert [list(tens.values()).count(split) for split in SPLIT] == [14, 3, 3]
    # 0.57 * 100 is a bit less than 57 in binary.
    odd = {"train": 0.57, "val": 0.01, "test": 0.42}
    hundred = manifest.split_groups(map(str, range(100)), odd, np.random.default_rng(0))
    assert [list(hundred.values()).count(split) for split in odd] == [57, 1, 42]


def test_splits_differ_with_the_seed():
    draws = [manifest.split_groups(map(str, range(30)), SPLIT, np.random.default_rng(s)) for s in range(20)]
    test_sets = {tuple(sorted(g for g, split in draw.items() if split == "test")) for draw in draws}
    assert len(test_sets) > 15


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
