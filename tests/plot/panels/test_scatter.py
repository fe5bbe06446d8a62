"""The panel of cells in the plane."""

from __future__ import annotations

import numpy as np
from fabricate import plot_tables
from harness.figures import drawn_about, words


def test_a_map_of_too_few_cells_says_so(tmp_path):
    cells = plot_tables.inputs("fig4")["map"].assign(dim_0=np.nan, dim_1=np.nan)
    said = " ".join(words(drawn_about("fig4", tmp_path, "map", map=cells)))
    assert "too few cells for a map" in said
