from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphobench import files
from morphobench.errors import Excluded, InputError
from morphobench.files import shards
from morphobench.files.volumes import Layout


def test_a_stage_is_found_by_the_kind_of_the_dataset():
    assert shards.stage_module("align", "packing").__name__ == "morphobench.align.packing"


def test_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="stage align has no module for datasets of kind 'tissue'"):
        shards.stage_module("align", "tissue")


def test_too_many_failures_stop_a_stage_and_few_do_not():
    cells = pd.DataFrame(
        {"CellId": list("abcd"), "success": [True, True, True, False], "error": ["", "", "", "mask is empty"]}
    )
    shards.check_failures(cells, 0.25, "mask")
    with pytest.raises(InputError, match=r"mask: 1 of 4 cells failed.*\n  d: mask is empty"):
        shards.check_failures(cells, 0.2, "mask")
    shards.check_failures(cells.iloc[:0], 0.0, "mask")


def test_excluded_cells_count_neither_as_failed_nor_at_all():
    cells = pd.DataFrame(
        {
            "CellId": list("abcd"),
            "success": [True, False, False, False],
            "error": ["", "touches the border", "touches the border", "mask is empty"],
            "excluded": [False, True, True, False],
        }
    )
    shards.check_failures(cells, 0.5, "download")
    with pytest.raises(InputError, match=r"download: 1 of 2 cells failed.*\n  d: mask is empty\n[^ ]"):
        shards.check_failures(cells, 0.4, "download")
    shards.check_failures(cells[cells["excluded"]], 0.0, "download")


def test_a_shard_holds_the_arrays_of_the_cells_that_succeed_and_every_row_of_its_table(tmp_path):
    cells = pd.DataFrame({"CellId": list("abcd"), "success": [True, True, True, False], "error": ""})
    arrays = {"rows": Layout(np.int32, (2,)), "lists": Layout(np.float32, (3,), ("first", "n"))}

    def work(row):
        if row["CellId"] == "a":
            raise InputError("no mask")
        return {"size": 1.5}, {"rows": np.array([1, 2]), "lists": np.ones((len(row["CellId"]) + 1, 3))}

    with shards.create(tmp_path / "shard-0", "align", 0.5) as shard:
        shard.fill(cells, work, arrays, {"size": np.nan}, timed=True)
    table = files.read_cells(tmp_path / "shard-0")
    assert table["CellId"].tolist() == list("abcd")
    assert table["error"].tolist() == ["no mask", "", "", ""]
    assert table["index"].tolist() == [-1, 0, 1, -1]
    assert table[["first", "n"]].to_numpy().tolist() == [[0, 0], [0, 2], [2, 2], [0, 0]]
    assert (table["seconds"] > 0).tolist() == [False, True, True, False]
    assert table["size"].isna().tolist() == [True, False, False, True]
    assert files.read_array(tmp_path / "shard-0", "rows").shape == (2, 2)
    assert files.read_array(tmp_path / "shard-0", "lists").shape == (4, 3)


def test_a_cell_that_is_left_out_does_not_count_as_failed(tmp_path):
    cells = pd.DataFrame({"CellId": list("ab"), "success": True, "error": "", "excluded": False})

    def work(row):
        if row["CellId"] == "a":
            raise Excluded("no signal")
        return {}, {}

    with shards.create(tmp_path / "shard-0", "mask", 0.0) as shard:
        shard.fill(cells, work, {})
    table = files.read_cells(tmp_path / "shard-0")
    assert table[["success", "excluded", "error"]].to_numpy().tolist() == [
        [False, True, "no signal"],
        [True, False, ""],
    ]


def test_a_cell_that_is_placed_nowhere_is_in_no_array(tmp_path):
    cells = pd.DataFrame({"CellId": ["a"], "success": True, "error": ""})
    with shards.create(tmp_path / "shard-0", "sample", 0.0) as shard:
        shard.fill(cells, lambda row: ({"success": True}, {}), {"rows": Layout(np.int32, (2,))})
    assert files.read_cells(tmp_path / "shard-0")["index"].tolist() == [-1]
    assert files.read_array(tmp_path / "shard-0", "rows").shape == (0, 2)
