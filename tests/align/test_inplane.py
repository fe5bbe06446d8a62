from __future__ import annotations

import numpy as np
import pytest
from fabricate.cells import ellipsoid_mask, spots

from morphobench.align import inplane
from morphobench.errors import InputError

ANGLES = [-89, -80, -71.5, -60, -45, -33, -20, -10, -2, 0, 1, 7.5, 15, 28, 40, 45, 52, 66, 78, 90]
SHAPE = (12, 110, 110)


def ellipsoid(angle, shape=SHAPE):
    return ellipsoid_mask(shape, (5, 24, 44), angle)


def pear(angle):
    """Wide at one end: the longer tail points along the angle."""
    y, x = np.mgrid[-55:55, -55:55] + 0.5
    turn = np.deg2rad(angle)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    body = (along + 12) ** 2 + across**2 < 20**2
    tail = (along > -12) & (along < 45) & (np.abs(across) < 20 * (45 - along) / 57)
    return np.repeat((body | tail)[None], 4, axis=0)


def difference(angle, expected, period):
    return abs((angle - expected + period / 2) % period - period / 2)


@pytest.mark.parametrize("angle", ANGLES)
def test_the_long_axis_of_a_turned_ellipsoid_is_found_and_laid_along_x(angle):
    mask = ellipsoid(angle)
    found = inplane.inplane_angle(mask)
    assert -90 < found <= 90
    assert difference(found, angle, 180) < 0.5
    center = inplane.center_zyx(mask)
    box = inplane.rotated_box(mask, found, center, margin=2)
    turned = inplane.rotate_inplane(mask.view(np.uint8), found, center, order=0, box=box)
    assert difference(inplane.inplane_angle(turned), 0, 180) < 0.5
    assert turned.sum() == pytest.approx(mask.sum(), rel=0.01)
    assert np.abs(np.array(turned.shape) - (10 + 2, 48 + 4, 88 + 4)).max() <= 2


@pytest.mark.parametrize("angle", [-179, -135, -60, 0, 30, 90, 150, 180])
def test_a_unique_axis_tells_a_pear_from_its_half_turn(angle):
    found = inplane.inplane_angle(pear(angle), unique=True)
    assert -180 < found <= 180
    assert difference(found, angle, 360) < 0.5
    assert difference(found, inplane.inplane_angle(pear(angle + 180), unique=True), 360) > 179
    assert difference(found, inplane.inplane_angle(pear(angle)), 180) < 1e-9


def test_the_angle_goes_from_x_towards_y():
    mask = np.zeros((3, 50, 50), bool)
    index = np.arange(5, 45)
    mask[:, index, index] = True
    assert inplane.inplane_angle(mask) == pytest.approx(45)
    assert inplane.inplane_angle(mask[:, ::-1]) == pytest.approx(-45)
    assert inplane.inplane_angle(mask[:, :, :1] | np.ones((3, 50, 1), bool)) == 90


def test_a_mask_without_a_long_axis_is_left_as_it_is_and_an_empty_one_refused():
    assert inplane.inplane_angle(np.ones((3, 20, 20))) == 0
    assert inplane.inplane_angle(np.ones((3, 1, 1)), unique=True) == 0
    for function in (inplane.inplane_angle, inplane.center_zyx):
        with pytest.raises(InputError, match="mask is empty"):
            function(np.zeros((3, 4, 5)))


@pytest.mark.parametrize("order", [0, 1])
def test_a_rotation_by_nothing_is_the_identity(order):
    rng = np.random.default_rng(0)
    volume_zyx = rng.integers(1, 60000, (5, 21, 30)).astype(np.uint16)
    mask = ellipsoid_mask(volume_zyx.shape, (1.5, 6, 11))
    center = inplane.center_zyx(mask) + rng.normal(size=3)
    box = inplane.rotated_box(mask, 0.0, center, margin=2)
    turned = inplane.rotate_inplane(volume_zyx, 0.0, center, order=order, box=box)
    np.testing.assert_array_equal(turned, volume_zyx[box])
    where = np.argwhere(mask)
    for side, low, high, n in zip(box, where.min(0), where.max(0), mask.shape, strict=True):
        assert (side.start, side.stop) == (max(low - 2, 0), min(high + 3, n))


@pytest.mark.parametrize("quarter", [90, 180, -90])
def test_quarter_turns_are_exact(quarter):
    volume_zyx = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    box = tuple(slice(0, n) for n in volume_zyx.shape)
    turned = inplane.rotate_inplane(volume_zyx, quarter, (1.5, 8, 8), order=1, box=box)
    # np.rot90 turns from the first axis to the second: y to x, against our sense.
    np.testing.assert_allclose(turned, np.rot90(volume_zyx, quarter // 90, axes=(1, 2)), atol=1e-5)


@pytest.mark.parametrize("angle", [-70, -33, 12, 45, 81])
def test_turning_keeps_intensity_and_labels(angle):
    mask = ellipsoid(angle)
    rng = np.random.default_rng(1)
    counts = np.where(mask, spots(mask, rng), 0)
    labels = (rng.choice([2, 7, 90], mask.shape) * mask).astype(np.uint8)
    center = inplane.center_zyx(mask)
    box = inplane.rotated_box(mask, angle, center, margin=3)
    turned = inplane.rotate_inplane(counts, angle, center, order=1, box=box)
    assert turned.dtype == np.float32
    assert turned.sum() == pytest.approx(counts.sum(), rel=0.005)
    turned_labels = inplane.rotate_inplane(labels, angle, center, order=0, box=box)
    assert set(np.unique(turned_labels)) == {0, 2, 7, 90}
    assert turned_labels.dtype == np.uint8


def test_outside_the_input_is_zero_and_never_a_blend():
    volume_zyx = np.full((2, 20, 30), 400, np.uint16)
    box = (slice(0, 2), slice(-10, 30), slice(-10, 40))
    turned = inplane.rotate_inplane(volume_zyx, 37, (1, 10, 15), order=1, box=box)
    assert set(np.unique(turned.round(3))) == {0, 400}
    assert (turned[0] > 0).sum() == pytest.approx(600, rel=0.02)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("angle", [0, 30])
def test_elongation_is_the_ratio_of_the_axes_whatever_their_angle(ratio, angle):
    z, y, x = np.indices((3, 81, 81)) - np.array([1, 40, 40])[:, None, None, None]
    turn = np.deg2rad(angle)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    mask = (along / (12 * ratio)) ** 2 + (across / 12) ** 2 <= 1
    assert inplane.inplane_elongation(mask) == pytest.approx(ratio, rel=0.02)


def test_a_square_has_no_long_axis_and_a_line_nothing_but():
    square = np.ones((2, 9, 9), dtype=bool)
    assert inplane.inplane_elongation(square) == pytest.approx(1)
    assert inplane.inplane_elongation(np.ones((1, 1, 1))) == 1
    assert np.isinf(inplane.inplane_elongation(np.ones((2, 1, 9))))
    # One voxel more, and the axis is any: 42 degrees here.
    more = np.zeros((2, 10, 10), dtype=bool)
    more[:, :9, :9] = True
    more[0, 9, 9] = True
    assert abs(inplane.inplane_angle(more)) > 30
    assert inplane.inplane_elongation(more) < 1.05
