"""Grids of shapes."""

from __future__ import annotations

import matplotlib.pyplot as plt
from fabricate import plot_tables
from harness.figures import words

from morphobench.plot import gallery


def test_a_combination_without_cells_stays_blank():
    rotated = plot_tables.inputs("fig2")["rotations"]
    gone = (rotated["stratum"] == "radial_gradient") & (rotated["kind"] == "input")
    page = plt.figure(figsize=(7, 3))
    shapes = gallery.clouds(rotated[~gone], ["stratum", "degrees", "kind"], size=1, max_points=9, unit="µm")
    margins = {"left": 0.1, "right": 0.9, "top": 0.8, "bottom": 0.1}
    gallery.grid(page.subfigures(), margins, shapes, "stratum", ["kind", "degrees"])
    assert {"input", "canonical", "radial", "90"} <= words(page)
