from __future__ import annotations

import numpy as np
import pytest

from morphobench.files import volumes


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_volumes_come_back_as_they_went_in(tmp_path, dtype):
    rng = np.random.default_rng(0)
    given = [rng.integers(0, 255, shape).astype(dtype) for shape in ((3, 4, 5), (1, 1, 1), (7, 2, 9))]
    with volumes.VolumeWriter(tmp_path / "v.npy", dtype) as writer:
        rows = [volumes.placed(writer.append(one), one) for one in given]
    flat = np.load(tmp_path / "v.npy", mmap_mode="r", allow_pickle=False)
    assert flat.dtype == dtype
    for one, row in zip(given, rows, strict=True):
        np.testing.assert_array_equal(volumes.volume(flat, row), one)


def test_a_shard_without_cells_is_an_empty_array(tmp_path):
    volumes.VolumeWriter(tmp_path / "v.npy", np.float32).close()
    assert np.load(tmp_path / "v.npy").shape == (0,)


def test_a_strided_view_is_stored_in_order(tmp_path):
    view = np.arange(24.0).reshape(2, 3, 4).transpose(2, 1, 0)[::2]
    with volumes.VolumeWriter(tmp_path / "v.npy", np.float32) as writer:
        row = volumes.placed(writer.append(view), view)
    np.testing.assert_array_equal(volumes.volume(np.load(tmp_path / "v.npy"), row), view)


def test_rows_of_different_lengths_come_back_as_they_went_in(tmp_path):
    given = [np.arange(3 * n, dtype=np.float32).reshape(n, 3) for n in (4, 0, 1, 7)]
    with volumes.VolumeWriter(tmp_path / "r.npy", np.float32, (3,)) as writer:
        rows = [{"first": writer.append(one), "n": len(one)} for one in given]
    stored = np.load(tmp_path / "r.npy", mmap_mode="r", allow_pickle=False)
    assert stored.shape == (12, 3)
    for one, row in zip(given, rows, strict=True):
        np.testing.assert_array_equal(volumes.rows(stored, row, "first", "n"), one)
