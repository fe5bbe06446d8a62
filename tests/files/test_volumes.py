from __future__ import annotations

import numpy as np
import pytest

from morphobench.files.layout import VOXELS
from morphobench.files.volumes import ArrayWriter, Layout, select


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_volumes_come_back_as_they_went_in(tmp_path, dtype):
    rng = np.random.default_rng(0)
    given = [rng.integers(0, 255, shape).astype(dtype) for shape in ((3, 4, 5), (1, 1, 1), (7, 2, 9))]
    with ArrayWriter(tmp_path / "v.npy", Layout(dtype, (), VOXELS)) as writer:
        rows = [writer.append(one) for one in given]
    flat = np.load(tmp_path / "v.npy", mmap_mode="r", allow_pickle=False)
    assert flat.dtype == dtype
    for one, row in zip(given, rows, strict=True):
        np.testing.assert_array_equal(select(flat, row, VOXELS), one)


def test_a_shard_without_cells_is_an_empty_array(tmp_path):
    ArrayWriter(tmp_path / "v.npy", Layout(np.float32, (), VOXELS)).close()
    assert np.load(tmp_path / "v.npy").shape == (0,)


def test_a_strided_view_is_stored_in_order(tmp_path):
    view = np.arange(24.0).reshape(2, 3, 4).transpose(2, 1, 0)[::2]
    with ArrayWriter(tmp_path / "v.npy", Layout(np.float32, (), VOXELS)) as writer:
        row = writer.append(view)
    np.testing.assert_array_equal(select(np.load(tmp_path / "v.npy"), row, VOXELS), view)


def test_rows_of_different_lengths_come_back_as_they_went_in(tmp_path):
    given, columns = [np.arange(3 * n, dtype=np.float32).reshape(n, 3) for n in (4, 0, 1, 7)], ("first", "n")
    with ArrayWriter(tmp_path / "r.npy", Layout(np.float32, (3,), columns)) as writer:
        rows = [writer.append(one) for one in given]
    stored = np.load(tmp_path / "r.npy", mmap_mode="r", allow_pickle=False)
    assert stored.shape == (12, 3)
    for one, row in zip(given, rows, strict=True):
        np.testing.assert_array_equal(select(stored, row, columns), one)


def test_a_row_of_another_shape_is_no_row(tmp_path):
    with ArrayWriter(tmp_path / "r.npy", Layout(np.float32, (2, 3))) as writer:
        assert [writer.append(np.zeros((2, 3)))["index"] for _ in range(2)] == [0, 1]
        with pytest.raises(ValueError, match=r"r.npy: rows of shape \(3, 2\) among rows of shape \(2, 3\)"):
            writer.append(np.zeros((3, 2)))
    assert np.load(tmp_path / "r.npy").shape == (2, 2, 3)
