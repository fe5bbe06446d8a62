"""Which local files decide whether cells are read anew: those that the tables name, and no others."""

import os

import pandas as pd
import pytest

from morphobench.download import named_files


def write(path, content=b"a"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fields(folder):
    table = pd.DataFrame({"FOVId": ["f1"], "image": ["raw/f1.tif"], "nuclei": ["labels/f1.zarr"]})
    table["walls"] = "walls/f1.h5/volumes/label"
    table.to_csv(folder / "fovs.csv", index=False)
    source = {"fovs": str(folder / "fovs.csv"), "fov": {"label_channels": ["nuclei", "walls"]}}
    write(folder / "labels/f1.zarr/.zarray")
    named = [write(folder / name) for name in ("raw/f1.tif", "labels/f1.zarr/0/0/1", "walls/f1.h5")]
    return {"kind": "punctate", "source": source}, folder / "fovs.csv", named


def crops(folder):
    far = write(folder.parent / "another disk/a_mask.tif")
    rows = {"CellId": ["a", "b"], "crop_raw": ["a.tif", "b.tif"], "crop_seg": [str(far), "masks/b.tif"]}
    pd.DataFrame(rows).to_csv(folder / "cells.csv", index=False)
    named = [far, *(write(folder / name) for name in ("a.tif", "b.tif", "masks/b.tif"))]
    return {"kind": "punctate", "source": {"cells": str(folder / "cells.csv")}}, folder / "cells.csv", named


def packings(folder):
    pd.DataFrame({"CellId": ["5"], "angle": ["0"]}).to_csv(folder / "manifest.csv", index=False)
    source = {"location": str(folder.parent), "shapes": folder.name, "packings": f"{folder.name}/packed"}
    names = ["5_0.ply", "packed/positions_pcna_analyze_random_5_0.json"]
    named = [write(folder / name) for name in names]
    return {"kind": "packing", "source": source, "rules": {"random": {}}}, folder / "manifest.csv", named


@pytest.fixture(params=[fields, crops, packings])
def made(tmp_path, request):
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder, *request.param(folder)


def test_the_table_is_an_input_and_each_file_in_it_counts(made):
    _, dataset, table, named = made
    assert named_files.tables(dataset["source"]) == [table]
    for path in named:
        before = named_files.state(dataset)
        status = path.stat()
        path.write_bytes(b"b")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**6))
        changed = named_files.state(dataset)
        path.unlink()
        assert len({before, changed, named_files.state(dataset)}) == 3
        write(path)


def test_nothing_else_in_the_folder_counts(made):
    folder, dataset, table, named = made
    before = named_files.state(dataset)
    for place in {folder, *(path.parent for path in named)} - {folder / "labels/f1.zarr/0/0"}:
        for name in ("notes.csv", "old.tif", "1_0.ply", ".part", "cells (copy).csv"):
            write(place / name)
    assert named_files.state(dataset) == before == named_files.state(dataset)


def test_a_file_that_was_only_moved_with_its_time_counts_as_it_was(made):
    _, dataset, _, (path, *_) = made
    before = named_files.state(dataset)
    path.rename(path.with_name("aside"))
    path.with_name("aside").rename(path)
    assert named_files.state(dataset) == before


@pytest.mark.parametrize("content", [None, b"", b"\x00\xff", b"a;b\n1;2\n"])
def test_a_table_that_is_not_readable_ends_no_plan(made, content):
    _, dataset, table, _ = made
    table.unlink() if content is None else table.write_bytes(content)
    assert named_files.in_tables(dataset) == []
    assert named_files.state(dataset) == named_files.state(dataset)


def test_rows_without_a_file_end_no_plan(tmp_path, caplog):
    crops = ["a.tif", None, "a.tif/" + 300 * "x"]
    table = pd.DataFrame({"CellId": list("abc"), "crop_raw": crops, "crop_seg": ""})
    table.assign(seconds=1).to_csv(tmp_path / "cells.csv", index=False)
    dataset = {"kind": "punctate", "source": {"cells": str(tmp_path / "cells.csv")}}
    assert named_files.in_tables(dataset) == [str(tmp_path / crops[0]), str(tmp_path / crops[2])]
    assert named_files.state(dataset) == named_files.state(dataset)
    assert caplog.text == ""
