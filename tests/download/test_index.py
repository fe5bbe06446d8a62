"""The index of a place lists the files that stages read, and no others."""

import pandas as pd
from fabricate.cells import make_cell, write_cells

from morphobench.download import index
from morphobench.files import columns
from morphobench.remote import open_store

SEG = ["dna_segmentation", "membrane_segmentation"]


def indexed(folder, used, **source):
    dataset = {
        "name": "tiny",
        "kind": "polymorphic",
        "source": {"location": str(folder), "cells": "manifest.csv", **source},
        "used_channels": used,
        "needs": {},
    }
    return index.index_cells(open_store(str(folder), {"cache": None}), dataset)


def test_only_crops_that_hold_a_used_channel_are_listed(tmp_path):
    write_cells(tmp_path, {"a": make_cell(), "b": make_cell()})
    cells, found = indexed(tmp_path, SEG)
    assert found["name"].str.startswith("crop_seg/").all()
    assert len(found) == 2
    assert (cells["crop_raw_size"] == index.UNUSED).all()
    assert (cells["crop_seg_size"] > 0).all()
    cells, found = indexed(tmp_path, [*SEG, "structure"])
    assert len(found) == 4
    assert (cells["crop_raw_size"] > 0).all()


def test_files_that_are_missing_are_told_from_files_that_are_not_read(tmp_path):
    write_cells(tmp_path, {"a": make_cell(), "b": make_cell()})
    (tmp_path / "crop_seg/b_seg.ome.tif").unlink()
    cells, _ = indexed(tmp_path, SEG)
    sizes = cells.set_index("CellId")
    assert sizes.loc["b", "crop_seg_size"] == index.MISSING
    assert sizes.loc["b", "crop_raw_size"] == index.UNUSED


def test_which_columns_were_taken_stays_in_the_manifest(tmp_path):
    table = write_cells(tmp_path, {"a": make_cell()})
    pd.read_csv(table).assign(v=3, scale_micron="[1, 1, 2]").to_csv(table, index=False)
    cells, _ = indexed(tmp_path, SEG, columns={"volume_um3": ["gone", {"column": "v", "unit": "voxel"}]})
    cells.to_parquet(tmp_path / "manifest.parquet")
    read = pd.read_parquet(tmp_path / "manifest.parquet")
    assert read["volume_um3"].tolist() == [6]
    assert read.attrs[columns.TAKEN]["volume_um3"] == {"column": "v", "unit": "voxel", "meaning": ""}
