from __future__ import annotations

import pytest

from morphobench.errors import InputError
from morphobench.files import shards


def test_a_stage_is_found_by_the_kind_of_the_dataset():
    assert shards.stage_module("align", "packing").__name__ == "morphobench.align.packing"


def test_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="stage align has no module for datasets of kind 'tissue'"):
        shards.stage_module("align", "tissue")
