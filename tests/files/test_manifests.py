"""Representative cells: one per stratum, or one alone."""

import numpy as np
import pandas as pd
import pytest

from morphobench.errors import InputError
from morphobench.files.manifests import ALL, example_cells, strata_of


def test_examples_are_one_cell_per_stratum_or_one_cell_without_strata():
    manifest = pd.DataFrame({"CellId": list("abcd"), "group": list("abcd"), "kind": ["x", "x", "y", None]})
    manifest = manifest.assign(split="test", success=True)
    assert example_cells(manifest, "kind")["CellId"].tolist() == ["a", "c"]
    assert example_cells(manifest, "colour")[["CellId", "colour"]].values.tolist() == [["a", ALL]]
    with pytest.raises(InputError, match="no cell was sampled"):
        example_cells(manifest.assign(success=False), "kind")


def test_strata_are_text_and_none_where_unknown():
    known = pd.DataFrame({"a": [1.0, np.nan], "b": ["1.0", None]})
    assert strata_of(known, "a").tolist() == ["1", None]
    assert strata_of(known, "b").tolist() == ["1.0", None]
