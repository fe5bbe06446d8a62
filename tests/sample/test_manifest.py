"""The split that a source has in a column of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from morphobench.errors import InputError
from morphobench.sample import manifest as sample_manifest


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
