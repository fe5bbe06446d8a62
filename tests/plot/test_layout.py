"""Words, half widths and clouds."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from morphobench.plot import layout, style


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("planar_gradient_45deg", "planar 45°"),
        ("radial_gradient", "radial"),
        ("cell_stage_fine", "cell stage fine"),
        ("random", "random"),
        (2.0, "2"),
        ("2.0", "2"),
        (3, "3"),
    ],
)
def test_names_become_words(name, said):
    assert layout.readable(name) == said


def test_the_half_width_holds_nearly_all_points_and_ignores_depth():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(0, 4, (500, 3)), columns=["x_um", "y_um", "z_um"])
    half_um = layout.half_width(table)
    assert half_um == round(half_um)
    assert (table[["x_um", "y_um"]].abs() <= half_um).mean(axis=None) > 0.99
    assert layout.half_width(table.assign(z_um=1e3)) == half_um
    assert layout.half_width(table * 10) > 5 * half_um


def test_the_half_width_of_nothing_is_positive():
    assert layout.half_width(pd.DataFrame({"x_um": [], "y_um": [], "z_um": []})) > 0


@pytest.mark.parametrize(("factor", "half_um"), [(10, 11), (0.01, 0.02), (0, 1)])
def test_small_shapes_fill_their_pictures(factor, half_um):
    table = pd.DataFrame({"x_um": [1.0, -1], "y_um": [0.0, 0], "z_um": [0.0, 0]}) * factor
    assert layout.half_width(table) == pytest.approx(half_um)


@pytest.mark.parametrize("n_points", [0, 1, 2, 700])
def test_a_cloud_draws_all_its_points_up_to_the_limit(n_points):
    _, axes = plt.subplots()
    points_um = np.random.default_rng(0).normal(size=(n_points, 3))
    layout.draw_cloud(axes, points_um, half_um=3, size=1, max_points=100)
    count = sum(len(line.get_xdata()) for line in axes.lines)
    assert count == n_points if n_points <= 100 else 100 <= count <= 110


def test_nearer_points_are_drawn_last():
    _, axes = plt.subplots()
    points_um = np.array([[1, 0, 5], [2, 0, -5], [3, 0, 0]], dtype=float)
    layout.draw_cloud(axes, points_um, half_um=4, size=1, max_points=9)
    assert [line.get_xdata().tolist() for line in axes.lines] == [[2], [3], [1]]
    assert [line.get_color() for line in axes.lines] == list(style.DEPTH_COLORS)
