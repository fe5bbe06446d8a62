from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from morphobench.geometry.isosurface import fill, isosurface

UM = 0.108


def test_the_surface_lies_half_way_between_voxels_in_x_y_z():
    mask = np.zeros((4, 6, 9), bool)
    mask[1:3, 2:5, 3:8] = True
    vertices_um, faces = isosurface(mask, UM)
    np.testing.assert_allclose(vertices_um.min(0), np.array([3, 2, 1]) * UM, atol=1e-4 * UM)
    np.testing.assert_allclose(vertices_um.max(0), np.array([8, 5, 3]) * UM, atol=1e-4 * UM)


def tube():
    mask = np.zeros((6, 7, 7), bool)
    mask[:, 1:6, 1:6] = True
    mask[:, 3, 3] = False
    return mask


def test_an_open_tube_is_plugged_by_slices_but_the_first_and_not_by_volume():
    np.testing.assert_array_equal(fill(tube(), "volume"), tube())
    np.testing.assert_array_equal(fill(tube(), "none"), tube())
    sliced = fill(tube(), "slice2d")
    assert sliced[:, 3, 3].tolist() == [False] + [True] * 5


def test_a_closed_cavity_is_filled_and_a_diagonal_leak_counts_for_slices_alone():
    hollow = np.ones((5, 5, 5), bool)
    hollow[2, 2, 2] = False
    assert fill(hollow, "volume").all()
    assert fill(hollow, "slice2d").all()
    assert not fill(hollow, "none").all()
    diamond = np.zeros((2, 5, 5), bool)
    diamond[:, [1, 2, 2, 3], [2, 1, 3, 2]] = True
    assert not fill(diamond, "slice2d")[1, 2, 2]


@given(st.integers(0, 10**6), st.floats(0.2, 0.9))
@settings(max_examples=30, deadline=None)
def test_filling_is_what_scipy_fills(seed, density):
    mask = np.random.default_rng(seed).random((5, 8, 9)) < density
    np.testing.assert_array_equal(fill(mask, "volume"), ndimage.binary_fill_holes(mask))
    slices = [ndimage.binary_fill_holes(one, np.ones((3, 3))) for one in mask[1:]]
    np.testing.assert_array_equal(fill(mask, "slice2d"), [mask[0], *slices])
