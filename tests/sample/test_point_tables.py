"""Clouds of recorded points: as many of every cell, counted in a cube; and what they are read from."""

import numpy as np
import pytest
from fabricate import own_files

from morphobench.errors import InputError
from morphobench.files import point_files
from morphobench.sample.point_tables import count_in_cube, subsample

RNG = np.random.default_rng(0)
POINTS_UM, WEIGHT = RNG.normal(size=(100, 3)), RNG.random(100)
OPTIONS = {"n_points": 60, "jitter_um": 0.0, "with_replacement": False}


def test_points_are_those_of_the_cell_each_once_with_its_weight():
    sampled_um, weight = subsample(POINTS_UM, WEIGHT, OPTIONS, np.random.default_rng(1))
    assert sampled_um.shape == (60, 3)
    rows = [np.flatnonzero((POINTS_UM.astype(np.float32) == one).all(axis=1)).item() for one in sampled_um]
    assert len(set(rows)) == 60
    assert np.array_equal(weight, WEIGHT[rows])
    again_um, _ = subsample(POINTS_UM, WEIGHT, OPTIONS, np.random.default_rng(1))
    assert np.array_equal(sampled_um, again_um)


def test_few_points_are_a_reason_unless_they_may_repeat():
    with pytest.raises(
        InputError, match=r"100 points, fewer than sample\.points\.n_points = 150.*replacement"
    ):
        subsample(POINTS_UM, WEIGHT, OPTIONS | {"n_points": 150}, RNG)
    repeated = OPTIONS | {"n_points": 150, "with_replacement": True}
    assert subsample(POINTS_UM, WEIGHT, repeated, RNG)[0].shape == (150, 3)


def test_a_cube_counts_weights_at_their_places():
    points_um = np.array([[-1.5, 0.5, 1.5], [-1.5, 0.5, 1.5], [1.5, -1.5, 0.5]])
    cube_zyx = count_in_cube(points_um, np.array([1.0, 2.0, 1.0]), size=4, side_um=4.0, crop=False)
    assert cube_zyx[3, 2, 0] == 65535
    assert cube_zyx[2, 0, 3] == 65535 / 3
    assert np.count_nonzero(cube_zyx) == 2


def test_a_cube_that_is_too_small_or_empty_is_refused():
    with pytest.raises(InputError, match=r"beyond sample\.cube\.side_um = 1"):
        count_in_cube(POINTS_UM, WEIGHT, size=4, side_um=1.0, crop=False)
    assert count_in_cube(POINTS_UM, WEIGHT, size=4, side_um=1.0, crop=True).max() == 65535
    with pytest.raises(InputError, match="weight above 0"):
        count_in_cube(POINTS_UM, 0 * WEIGHT, size=4, side_um=10.0, crop=False)


def test_points_along_a_tree_are_evenly_spread_on_its_edges(tmp_path):
    (tmp_path / "a.swc").write_text("# L\n1 1 0 0 0 1 -1\n2 3 9 0 0 1 1\n3 3 9 1 0 1 2\n")
    options = {"columns": {"x": "x", "y": "y", "z": "z"}, "unit": "um"}
    points_um = point_files.read(tmp_path / "a.swc", options).points_um
    on_first = points_um[:, 1] == 0
    assert on_first.mean() == pytest.approx(0.9, abs=1e-3)
    assert np.allclose(points_um[~on_first, 0], 9)
    assert points_um[on_first, 0].mean() == pytest.approx(4.5, abs=1e-2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": {"x": "x [nm]", "y": "why"}, "unit": "nm"}, r"c0?\S*csv: column why is missing"),
        ({"columns": {"x": "x [nm]", "y": "y [nm]"}, "unit": "pixel"}, "Set source.points.pixel_um"),
    ],
)
def test_wrong_columns_and_units_are_named(tmp_path, options, words):
    own_files.write_thunderstorm(tmp_path / "p", [10])
    with pytest.raises(InputError, match=words):
        point_files.read(tmp_path / "p/cell0.csv", options)


def test_points_that_are_no_numbers_and_files_that_are_no_tables_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\nn,4\n")
    with pytest.raises(InputError, match=r"a\.csv: 1 of 2 points have .* first in row 2"):
        point_files.read(tmp_path / "a.csv", {"columns": {"x": "x", "y": "y"}, "unit": "um"})
    for name, words in (("b.swc", "not readable as SWC"), ("b.hdf5", "not readable as HDF5")):
        (tmp_path / name).write_bytes(b"\x00\x01garbage")
        with pytest.raises(InputError, match=words):
            point_files.read(tmp_path / name, {"columns": {"x": "x", "y": "y"}, "unit": "um"})
