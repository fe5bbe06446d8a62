"""Centroids and central sections of clouds."""

from __future__ import annotations

import pandas as pd

from morphobench.plot import clouds


def test_the_central_section_is_that_of_each_cloud():
    table = pd.DataFrame({"stratum": list("aaabbbcc"), "z_um": [-10, 1, 10, 101, 102.1, 103, -1, 1]})
    kept = clouds.central_section(table, ["stratum"], 0.3)
    # A cloud of two planes has nothing in its middle, and is drawn whole.
    assert kept["z_um"].tolist() == [1, 102.1, -1, 1]
    assert clouds.central_section(table, ["stratum"], None) is table


def test_clouds_are_centred_on_their_centroid():
    table = pd.DataFrame({"stratum": list("aabb"), "x_um": [0, 2, 7, 7], "y_um": [1, 1, 0, 4], "z_um": 0.0})
    moved = clouds.centre_clouds(table, ["stratum"])
    assert moved["x_um"].tolist() == [-1, 1, 0, 0]
    assert moved["y_um"].tolist() == [0, 0, -2, 2]
