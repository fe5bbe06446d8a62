from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench.errors import InputError
from morphobench.sample.cube import resampling, to_cube

SPACING_UM = 0.108


def blob(shape=(12, 20, 26), seed=0):
    """Counts and mask, of any shape, that fill the volume."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1000, shape), rng.random(shape) < 0.6


def middle(shape):
    return (np.array(shape) - 1) / 2


def sphere(radius, shape=(41, 41, 41)):
    grid = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(grid, middle(shape), strict=True)) <= radius**2


def moments(cube_zyx, edge_um):
    """Centre and standard deviation along z, y, x, micrometres from the middle."""
    places = (np.arange(len(cube_zyx)) + 0.5) * edge_um - len(cube_zyx) * edge_um / 2
    weights = cube_zyx / cube_zyx.sum()
    profiles = [weights.sum(tuple({0, 1, 2} - {axis})) for axis in range(3)]
    centres = np.array([profile @ places for profile in profiles])
    return centres, np.sqrt([p @ (places - c) ** 2 for p, c in zip(profiles, centres, strict=True)])


@given(st.integers(0, 500), st.integers(5, 20), st.floats(3, 8))
@settings(max_examples=25, deadline=None)
def test_shrinking_conserves_the_integral(seed, size, side_um):
    counts, inside = blob(seed=seed)
    if side_um / size <= SPACING_UM:
        return
    arguments = {"spacing_um": SPACING_UM, "size": size, "side_um": side_um, "clip": (0, 1000)}
    cube = to_cube(counts, inside, center_zyx=middle(counts.shape), **arguments)
    total = (counts * inside).sum() / 1000 * SPACING_UM**3
    assert cube.astype(float).sum() / 65535 * (side_um / size) ** 3 == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("size", [20, 96])
@pytest.mark.parametrize("shift", [(0, 0, 0), (2, -3, 4)])
def test_a_sphere_stays_a_centred_sphere(size, shift):
    inside = sphere(12)
    moved, labels = (np.roll(volume, shift, (0, 1, 2)) for volume in (inside * 500.0, inside))
    center = middle(inside.shape) + shift
    cube = to_cube(
        moved, labels, center_zyx=center, spacing_um=SPACING_UM, size=size, side_um=4.0, clip=(0, 500)
    )
    centres, spreads = moments(cube, 4.0 / size)
    np.testing.assert_allclose(centres, 0, atol=1e-4)
    np.testing.assert_allclose(spreads, spreads[0], rtol=1e-3)
    # A ball's coordinate has the variance r^2 / 5; the resampling itself adds less than a voxel's.
    assert spreads[0] == pytest.approx(12 * SPACING_UM / np.sqrt(5), rel=0.03)
    assert cube.max() == 65535


def test_the_shape_of_the_volume_does_not_distort():
    inside = sphere(8, (17, 41, 61))
    arguments = {"spacing_um": SPACING_UM, "size": 24, "side_um": 3.0, "clip": (0, 1)}
    cube = to_cube(inside * 1.0, inside, center_zyx=middle(inside.shape), **arguments)
    for turned in (cube.transpose(1, 2, 0), cube[::-1, ::-1, ::-1]):
        np.testing.assert_allclose(turned, cube, atol=1)


def test_a_cube_of_the_same_voxels_is_the_masked_volume():
    counts, inside = blob((6, 6, 6))
    cube = to_cube(
        counts, inside, center_zyx=(2.5, 2.5, 2.5), spacing_um=0.5, size=6, side_um=3.0, clip=(100, 600)
    )
    expected = np.where(inside, (counts.clip(100, 600) - 100) / 500 * 65535, 0)
    np.testing.assert_allclose(cube, expected, atol=0.51)


def test_without_a_range_the_mask_spans_it():
    counts, inside = blob((6, 6, 6))
    counts[0, 0, 0], inside[0, 0, 0] = 1e6, False
    arguments = {"center_zyx": (2.5, 2.5, 2.5), "spacing_um": 0.5, "size": 6, "side_um": 3.0}
    cube = to_cube(counts, inside, **arguments)
    assert (cube[0, 0, 0], cube.max()) == (0, 65535)
    assert cube[np.where(inside, counts, np.inf) == counts[inside].min()] == 0


@pytest.mark.parametrize(("edge", "tolerance"), [(0.5, 1e-5), (1, 1e-5), (3, 1e-5), (1.7, 0.1)])
def test_rows_of_the_operator_are_averages(edge, tolerance):
    operator = resampling(30, 14.5, 1.0, 10, 10 * edge)
    np.testing.assert_allclose(operator.sum(1), 1, atol=1e-6)
    places = (np.arange(10) - 4.5) * edge + 14.5
    np.testing.assert_allclose(operator @ np.arange(30), places, atol=tolerance)


def test_a_cell_that_does_not_fit_names_the_side_that_does():
    counts, inside = blob((10, 10, 20))
    inside[:] = True
    arguments = {"spacing_um": 0.1, "size": 8}
    with pytest.raises(InputError, match=r"needs a cube of 2.400 um, sample.cube.side_um = 2.2. Raise it"):
        to_cube(counts, inside, center_zyx=(4.5, 4.5, 7.5), side_um=2.2, **arguments)
    assert to_cube(counts, inside, center_zyx=(4.5, 4.5, 7.5), side_um=2.4, **arguments).any()
    cut = to_cube(counts, inside, center_zyx=(4.5, 4.5, 7.5), side_um=0.8, crop=True, **arguments)
    whole = (counts - counts.min()) / np.ptp(counts) * 65535
    np.testing.assert_allclose(cut, whole[1:9, 1:9, 4:12], atol=0.51)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"mask_zyx": np.zeros((5, 5, 5))}, "the mask is empty"), ({"clip": (3, 3)}, "range 3 to 3 counts")],
)
def test_bad_input_is_named(change, words):
    arguments = {
        "intensity_zyx": np.ones((5, 5, 5)),
        "mask_zyx": np.ones((5, 5, 5)),
        "center_zyx": (2, 2, 2),
        "spacing_um": 0.1,
        "size": 4,
        "side_um": 1.0,
    }
    with pytest.raises(InputError, match=words):
        to_cube(**arguments | change)
