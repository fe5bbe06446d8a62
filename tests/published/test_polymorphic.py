"""Published multi-piece cells come back as they were, and damaged files are named."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from fabricate.malice import Malice
from fabricate.published_folders import (
    arrays_by_cell,
    failures,
    published_dataset,
    read_shards,
    write_polymorphic,
)

from morphobench import files
from morphobench.errors import InputError
from morphobench.models.inputs import to_batch
from morphobench.published import polymorphic


@pytest.fixture
def shapes(tmp_path):
    shards = write_polymorphic(tmp_path)
    return tmp_path, shards, published_dataset(tmp_path / "bucket", "polymorphic")


@pytest.mark.parametrize("mode", ["corrected", "reference"])
def test_shapes_come_back_as_they_were_published(shapes, mode):
    root, shards, described = shapes
    described["sample"]["mode"] = mode
    indexed = read_shards(root, described)
    for name in ("sdf", "seg", "surface", "normals", "queries", "distances", "points_um"):
        before, after = arrays_by_cell(shards, name), arrays_by_cell(indexed, name)
        assert set(before) == set(after)
        for cell, array in before.items():
            # For published weights the published axes, x, y, z, stay.
            expected = array.T if (name, mode) == ("sdf", "reference") else array
            np.testing.assert_allclose(after[cell], expected, atol=1e-6)
    places = ["loc_x_um", "loc_y_um", "loc_z_um", "scale_um", "scale_factor"]
    before, after = (
        pd.concat([files.read_cells(folder) for folder in folders]).set_index("CellId").sort_index()[places]
        for folders in (shards, indexed)
    )
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize("short", [1, 2, 3])
def test_a_segmentation_short_of_its_grid_lands_where_the_published_loader_puts_it(shapes, short):
    root, _, described = shapes
    path = root / "bucket/cells/outputs_seg/002.npy"
    seg = np.ones((8 - short, 8, 8), np.uint8)
    np.save(path, seg)
    model_size = 11
    found = arrays_by_cell(read_shards(root, described), "seg")["002"]
    raw = {"seg": found[None]}
    settings = {"representation": "seg", "input_scale": 1.0, "architecture": {"size": model_size}}
    x = to_batch(raw, settings).x[0, 0].numpy()
    # SpatialPadd, symmetric: half of what is missing before, rounded down.
    before = (model_size - seg.shape[0]) // 2
    assert np.flatnonzero(x.any(axis=(1, 2))).tolist() == list(range(before, before + seg.shape[0]))


def test_a_pickle_in_the_place_of_a_grid_is_refused_and_not_run(shapes):
    root, _, described = shapes
    mark = root / "executed"
    grid = root / "bucket/cells/outputs_sdf/004.npy"
    np.save(grid, np.array([Malice(mark)], dtype=object), allow_pickle=True)
    for name in ("outputs_seg/002.npy", "pointcloud/0/003/points.npz"):
        (root / "bucket/cells" / name).write_bytes(pickle.dumps(Malice(mark)))
    failed = failures(read_shards(root, described, 1.0))
    assert sorted(failed.index) == ["002", "003", "004"]
    assert not mark.exists()


def test_objects_in_an_npz_are_refused_and_not_run(tmp_path):
    mark = tmp_path / "executed"
    np.savez(tmp_path / "a.npz", points=np.array([Malice(mark)], dtype=object))
    with pytest.raises(InputError, match=r"a\.npz"):
        polymorphic.read_arrays(tmp_path / "a.npz")
    assert not mark.exists()


def test_an_npz_that_would_fill_the_memory_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", points=np.zeros(2**20))
    assert (tmp_path / "a.npz").stat().st_size < 2**14
    monkeypatch.setattr(polymorphic, "_MAX_BYTES", 2**21)
    with pytest.raises(InputError, match="would unpack to 0.00839 GB, more than the 0.0021 GB") as refused:
        polymorphic.read_arrays(tmp_path / "a.npz")
    assert str(refused.value).count("a.npz") == 1


def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("points.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(
            entry, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
        )
    with pytest.raises(InputError, match="claims"):
        polymorphic.read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("pointcloud/0/002/df.npy", np.zeros(3, np.float32), "40 query points"),
        ("pointcloud/0/002/points.npz", {"points": np.zeros((7, 3))}, "7 points in the published queries"),
        ("pointcloud/0/002/pointcloud.npz", {"points": np.zeros((40, 3))}, "normals"),
        ("outputs_seg/002.npy", np.zeros((9, 8, 8), np.uint8), "more than the grid's 8"),
        ("outputs_sdf/002.npy", np.zeros((7, 8, 8)), "expected shape (8, 8, 8)"),
        ("outputs_sdf/002.npy", np.zeros((8, 8, 8), "U3"), "not numbers"),
    ],
)
def test_arrays_that_do_not_fit_fail_their_cell_alone(shapes, name, content, words):
    root, _, described = shapes
    path = root / "bucket/cells" / name
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    if name.endswith("points.npz"):
        np.save(path.with_name("df.npy"), np.zeros(7, np.float32))
    failed = failures(read_shards(root, described, 0.5))
    assert list(failed.index) == ["002"]
    assert words in failed["002"]
