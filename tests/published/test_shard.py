"""Shards of published cells: volumes stay in place, and a place that fails is told from a cell that does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from fabricate.published_folders import (
    CUBE_SIZE,
    DOWNLOAD,
    N_CELLS,
    published_dataset,
    read_shards,
    write_punctate,
)

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import file_rows
from morphobench.models.cells import Cells
from morphobench.published import shard
from morphobench.remote import open_store


@pytest.fixture
def clouds(tmp_path):
    shards = write_punctate(tmp_path)
    return tmp_path, shards, published_dataset(tmp_path / "bucket", "punctate")


def test_volumes_stay_where_they_lie(clouds):
    root, _, described = clouds
    indexed = read_shards(root, described)
    assert not list((root / "read").rglob("cube.npy"))
    listing = pd.read_parquet(indexed[0] / f"cube{file_rows.SUFFIX}")
    assert all(Path(path).is_relative_to((root / "bucket").resolve()) for path in listing["path"])


def test_models_read_them_like_arrays_and_trainings_know_them_apart(clouds):
    root, shards, described = clouds
    indexed = read_shards(root, described)
    table = pd.concat([files.read_cells(folder).assign(shard=n) for n, folder in enumerate(indexed)])
    settings = {"representation": "cube"}
    read = Cells(table.reset_index(drop=True), dict(enumerate(indexed)), settings)
    assert read.raw([0, 3])["cube"].shape == (2, *[CUBE_SIZE] * 3)
    before = read.digest()
    image = next((root / "bucket/cells/image").iterdir())
    tifffile.imwrite(image, np.zeros([CUBE_SIZE] * 3, np.uint16), metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match="changed since it was indexed"):
        read.raw(range(N_CELLS))
    again = dict(enumerate(read_shards(root, described)))
    assert Cells(read.table, again, settings).digest() != before


def test_too_many_failures_stop_the_stage(clouds):
    root, _, described = clouds
    for path in (root / "bucket/cells/pointcloud").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="max_failed_fraction|no such file"):
        read_shards(root, described, 0.5)


def test_a_place_that_cannot_be_reached_is_not_blamed_on_cells():
    class Broken:
        asked = 0

        def fetch(self, names, *, dataset):
            self.asked += 1
            raise InputError(f"{dataset}: no network")

    names = [f"{number:03d}" for number in range(100)]
    table = pd.DataFrame({"CellId": names, "success": True, "error": "", "files": [[name] for name in names]})
    store = Broken()
    with pytest.raises(InputError, match="no network"):
        shard.fetch(table, store, "tiny")
    assert store.asked < 10


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="gone: no such folder"):
        open_store(str(tmp_path / "gone"), DOWNLOAD).fetch(["a"], dataset="tiny")
