"""Cells tried before any shard: one reason for all stops the run, and nothing is fetched twice."""

from __future__ import annotations

import pandas as pd
import pytest
from fabricate.check_places import write_drugs
from harness.s3_server import BUCKET, SETTINGS, away, server

from morphobench.download import crops, first_cells, index, punctate
from morphobench.errors import InputError

__all__ = ["away", "server"]

N_CELLS = 12


def dataset_at(location, **source):
    described = {"location": location, "cells": "manifest.csv", "spacing_um_zyx": [0.3, 0.1, 0.1], **source}
    channels = {"used_channels": ["structure"], "needs": {}}
    return {"name": "toy", "kind": "polymorphic", "source": described, **channels}


@pytest.fixture
def folder(tmp_path):
    return write_drugs(tmp_path / "drugs", N_CELLS)


@pytest.fixture
def place(away, folder, tmp_path):
    """The index of the same cells in a bucket, and what it asked for."""
    names = {"crop_seg": ["structure"]}

    def do(**source):
        away.put_folder(folder, "set")
        dataset = dataset_at(f"s3://{BUCKET}/set", channel_names=names, **source)
        index.run(tmp_path / "m.parquet", dataset=dataset, download_config=settings(tmp_path))
        return dataset

    return do


def settings(tmp_path):
    return SETTINGS | {"cache": str(tmp_path / "cache")}


def test_one_good_cell_is_enough_and_is_not_fetched_again(place, away, tmp_path):
    dataset = place()
    assert len(away.proxy.gets("/crop_")) == 1
    everything = crops.shard_filter(0, 1)
    cells = index.fetch_cells(tmp_path / "m.parquet", dataset, settings(tmp_path), everything)
    assert cells["success"].all()
    assert len(away.proxy.gets("/crop_")) == N_CELLS


def test_one_reason_for_all_stops_before_a_shard(place, away, tmp_path):
    with pytest.raises(
        InputError, match=r"3 cells.*all fail for one reason.*size of a voxel.*spacing_um_zyx"
    ):
        place(spacing_um_zyx=None)
    assert len(away.proxy.gets("/crop_")) == 3
    assert not (tmp_path / "m.parquet").exists()


def test_files_that_are_not_there_are_one_reason(place, folder):
    for path in (folder / "crop_seg").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"all fail for one reason.*has no file crop_seg/"):
        place()


def test_cells_that_fail_each_for_its_own_reason_do_not_stop(place, folder, caplog):
    paths = pd.read_csv(folder / "manifest.csv")["crop_seg"].tolist()
    (folder / paths[0]).unlink()
    for path in (paths[5], paths[-1]):
        (folder / path).write_bytes(b"no picture")
    place()
    assert "3 cells tried, all failed" in caplog.text


def test_the_cells_are_spread_over_the_table():
    tried = []

    def read(row):
        tried.append(row["CellId"].iloc[0])
        raise InputError(f"/data/{tried[-1]}.tif: cell {tried[-1]} has {len(tried)} planes.")

    table = pd.DataFrame({"CellId": [f"c{number}" for number in range(101)]})
    with pytest.raises(InputError, match=r"/data/c0\.tif"):
        first_cells.check(table, read, "toy")
    assert tried == ["c0", "c50", "c100"]
    # Too few to tell.
    first_cells.check(table.head(2), read, "toy")


@pytest.mark.parametrize(("shard", "stops"), [(0, True), (1, False)])
def test_of_a_folder_the_first_shard_tries(shard, stops, folder, tmp_path):
    dataset = dataset_at(str(folder), channel_names={"crop_seg": ["structure"]}, spacing_um_zyx=None)

    def run(dataset):
        shards = {"shard": shard, "n_shards": 2, "seed": 1, "max_failed_fraction": 0.0}
        punctate.run(tmp_path / "shard", dataset=dataset, **shards)

    if stops:
        with pytest.raises(InputError, match=r"all fail for one reason.*size of a voxel"):
            run(dataset)
        dataset["source"]["spacing_um_zyx"] = [0.3, 0.1, 0.1]
    run(dataset)
    assert (tmp_path / "shard/cells.parquet").is_file()
