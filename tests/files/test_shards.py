from __future__ import annotations

import pandas as pd
import pytest

from morphobench.errors import InputError
from morphobench.files import shards


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
