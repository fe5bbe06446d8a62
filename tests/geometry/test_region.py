from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from morphobench.geometry import region


def scattered(seed, shape=(7, 9, 11), share=0.03):
    found = np.random.default_rng(seed).random(shape) < share
    found[3, 4, 5] = True
    return found


@pytest.mark.parametrize("radius", [0, 1, 2.5, 4, 13.2])
def test_a_ball_adds_what_lies_within_its_radius(radius):
    core = scattered(1)
    distance = ndimage.distance_transform_edt(~np.pad(core, int(radius)))
    np.testing.assert_array_equal(region.dilate_ball(core, radius), distance <= radius)


@pytest.mark.parametrize("half", [1, 4])
def test_the_published_box_dilates_as_scipy_does(half):
    core = scattered(2)
    expected = ndimage.binary_dilation(np.pad(core, half), np.ones((2 * half,) * 3))
    np.testing.assert_array_equal(region.dilate_box(core, half), expected)
    one = region.dilate_box(np.ones((1, 1, 1)), half)
    assert np.flatnonzero(one.any((0, 1))).tolist() == list(range(2 * half))  # offsets -half to half - 1


@given(st.integers(0, 1000), st.sets(st.integers(0, 2)), st.floats(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_ball_knows_no_direction(seed, axes, radius):
    core = scattered(seed)
    flipped = region.dilate_ball(np.flip(core, tuple(axes)), radius)
    np.testing.assert_array_equal(flipped, np.flip(region.dilate_ball(core, radius), tuple(axes)))


def test_fitting_pads_the_smaller_half_first_and_crops_as_published():
    line = np.arange(1, 6).reshape(1, 1, 5)
    assert region.fit_to_box(line, (1, 1, 8), -1).ravel().tolist() == [-1, 1, 2, 3, 4, 5, -1, -1]
    assert region.fit_to_box(line, (1, 1, 4), -1).ravel().tolist() == [1, 2, 3, 4]
    assert region.fit_to_box(line, (1, 1, 2), -1).ravel().tolist() == [2, 3]
    mixed = region.fit_to_box(line, (2, 1, 3), 0)
    assert mixed[:, 0].tolist() == [[2, 3, 4], [0, 0, 0]]
    assert region.fits((1, 1, 5), (2, 1, 3)) == {"fits_z": True, "fits_y": True, "fits_x": False}


@given(*[st.tuples(*[st.integers(1, 9)] * 3) for _ in range(2)])
def test_fitting_gives_the_box_and_keeps_the_overlap(shape, size):
    fitted = region.fit_to_box(np.ones(shape), size, 0)
    assert fitted.shape == size
    assert fitted.sum() == np.minimum(shape, size).prod()


def test_the_centre_and_bounds_are_those_of_the_mask():
    labels = ndimage.binary_dilation(np.pad(np.ones((1, 2, 3)), 3))
    assert region.bounds(labels) == (slice(2, 5), slice(2, 6), slice(2, 7))
    np.testing.assert_allclose(region.centre_of_mass(labels), [3, 3.5, 4])
