"""Published punctate cells come back as they were, and damaged files are named."""

from __future__ import annotations

import numpy as np
import plyfile
import pytest
import tifffile
from fabricate.published_folders import (
    N_CELLS,
    VOXEL_UM,
    arrays_by_cell,
    failures,
    published_dataset,
    read_shards,
    write_punctate,
)

from morphobench.errors import InputError
from morphobench.published import punctate


@pytest.fixture
def clouds(tmp_path):
    shards = write_punctate(tmp_path)
    return tmp_path, shards, published_dataset(tmp_path / "bucket", "punctate")


def test_punctate_cells_come_back_as_they_were_published(clouds):
    root, shards, described = clouds
    indexed = read_shards(root, described)
    for name, tolerance in (("points_um", 1e-4), ("intensity", 0), ("cube", 0)):
        before, after = arrays_by_cell(shards, name), arrays_by_cell(indexed, name)
        assert set(before) == set(after)
        assert len(before) == N_CELLS
        for cell, array in before.items():
            np.testing.assert_allclose(after[cell], array, atol=tolerance, rtol=0)


def ply(path, names, values):
    rows = np.zeros(len(values), dtype=[(name, "<f8") for name in names])
    for name in names:
        rows[name] = values
    plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")]).write(str(path))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "not readable"),
        (lambda path: path.write_text("no ply"), "not readable"),
        (lambda path: ply(path, ["x", "y", "s"], [1.0]), "lack z"),
        (lambda path: ply(path, ["z", "y", "x"], [1.0]), "lack s"),
        (lambda path: ply(path, ["z", "y", "x", "s"], [np.inf] * 64), "not finite"),
        (lambda path: ply(path, ["z", "y", "x", "s"], [1.0] * 63), "63 points, not 64"),
        (lambda path: path.unlink(), "no such file"),
    ],
)
def test_a_damaged_cloud_fails_its_cell_alone(clouds, damage, words):
    root, _, described = clouds
    damage(root / "bucket/cells/pointcloud/002.ply")
    failed = failures(read_shards(root, described, 0.5))
    assert list(failed.index) == ["002"]
    assert words in failed["002"]
    assert "002.ply" in failed["002"]


def test_intensities_that_are_no_number_count_as_one(tmp_path):
    ply(tmp_path / "a.ply", ["z", "y", "x", "s"], [np.nan])
    with pytest.raises(InputError, match="not finite"):
        punctate.read_cloud(tmp_path / "a.ply", 1.0)
    rows = np.zeros(2, dtype=[(name, "<f8") for name in "zyxs"])
    rows["s"] = [np.nan, 7]
    plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "a.ply"))
    assert punctate.read_cloud(tmp_path / "a.ply", 1.0)[1].tolist() == [1.0, 7.0]


def test_coordinates_are_named_and_scaled(tmp_path):
    rows = np.array([(1.0, 2.0, 3.0, 4.0)], dtype=[(name, "<f8") for name in "zyxs"])
    plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "a.ply"))
    points_um, intensity = punctate.read_cloud(tmp_path / "a.ply", VOXEL_UM)
    assert points_um.tolist() == [[0.75, 0.5, 0.25]]
    assert intensity.tolist() == [4.0]


@pytest.mark.parametrize("shape", [(9, 9, 8), (2, 9, 9, 9)])
def test_an_image_of_another_shape_fails_its_cell_alone(clouds, shape):
    root, _, described = clouds
    tifffile.imwrite(root / "bucket/cells/image/001.tiff", np.zeros(shape, np.uint16))
    failed = failures(read_shards(root, described, 0.5))
    assert list(failed.index) == ["001"]
    assert "shape" in failed["001"]
