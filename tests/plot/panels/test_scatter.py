"""The panel of cells in the plane."""

from __future__ import annotations

import numpy as np
from fabricate import plot_tables
from harness.figures import drawn_about, words


def test_a_map_of_too_few_cells_says_so(tmp_path):
    cells = plot_tables.inputs("fig4")["map"].assign(dim_0=np.nan, dim_1=np.nan)
    said = " ".join(words(drawn_about("fig4", tmp_path, "map", map=cells)))
    assert "too few cells for a map" in said


def test_archetypes_at_one_place_share_a_label(tmp_path):
    archetypes = plot_tables.inputs("fig4")["map_archetypes"].iloc[:3]
    archetypes = archetypes.assign(dim_0=[0.0, 1.0, 1.0 + 1e-6], dim_1=[0.0, 1.0, 1.0])
    said = words(drawn_about("fig4", tmp_path, "map", map_archetypes=archetypes))
    assert {"1", "2, 3"} <= set(said)
    assert not {"2", "3"} & set(said)
