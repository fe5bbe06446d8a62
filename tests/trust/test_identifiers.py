"""No identifier and no path in a table leaves its folder, and none that cannot be a name stops the others."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import trimesh
from harness.raw_server import head, raw_server
from harness.s3_server import SETTINGS
from hypothesis import given
from hypothesis import strategies as st

from morphobench.download import crops, fields, named_files, packing, punctate, stack
from morphobench.errors import InputError
from morphobench.files import identifiers, manifests
from morphobench.files.packings import read_shapes
from morphobench.published import manifest as published
from morphobench.remote import open_store
from morphobench.remote.cache import cached_path, part_path

# What cannot be a name; a table in a file cannot hold the last two.
BAD = [
    "../../../../x",
    "..",
    ".",
    ".hidden",
    "a/b",
    "/etc/x",
    "a\\b",
    "a\nb",
    "a" * 300,
    "ü" * 100,
    "a\0b",
    "\ud800",
]
IN_FILES = BAD[:-2]
EVERYTHING = lambda ids: np.ones(len(ids), dtype=bool)  # noqa: E731


def outside(tmp_path):
    """All files that were written around the folder of the work, none of which should be there."""
    return {path for path in tmp_path.rglob("*") if path.is_file()} - set((tmp_path / "in").rglob("*"))


@given(st.text())
def test_what_is_no_fault_is_one_name_in_its_folder(text):
    if not identifiers.fault(text):
        path = Path("/folder") / f"{text}.x"
        assert os.path.normpath(path) == str(path)
        assert path.parent == Path("/folder")
        assert len(os.fsencode(path.name)) < 200


@pytest.mark.parametrize("value", [*BAD, "", None, 7, float("nan")])
def test_what_cannot_be_a_name_has_a_reason(value):
    reason = identifiers.fault(value)
    assert "cannot be part of a file name" in reason or "names nothing" in reason
    assert len(reason) < 1000
    reason.encode()


@pytest.mark.parametrize(
    "value", ["a" * 300, "a/" + "b" * 256 + "/c", "a\0b", "\ud800", "a/" * 600, "", None, 7]
)
def test_a_path_that_no_file_can_have_is_a_reason_everywhere(value, tmp_path):
    for ask in (
        lambda: manifests.inside(tmp_path, value),
        lambda: manifests.name_inside("s3://bucket", value),
        lambda: published.relative_path(value, None),
    ):
        with pytest.raises(InputError, match="names no file"):
            ask()


@pytest.mark.parametrize("value", [".", "./", "..", "a/../..", "/a", "./."])
def test_no_path_is_the_folder_or_leaves_it(value):
    with pytest.raises(InputError, match="leaves"):
        published.relative_path(value, None)
    with pytest.raises(InputError, match="leaves"):
        manifests.name_inside("s3://bucket", value)


def crop_table(tmp_path, ids):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "crop.tif").write_bytes(b"x")
    table = pd.DataFrame({"CellId": ["good", *ids], "crop_raw": "crop.tif", "crop_seg": "crop.tif"})
    table.to_csv(folder / "cells.csv", index=False)
    return folder / "cells.csv"


def assert_only_good(cells, n_bad, column="CellId"):
    assert cells.loc[cells["success"], column].str.startswith("good").all()
    assert cells["success"].any()
    bad = cells[~cells["success"]]
    assert bad[column].nunique() == n_bad
    assert bad["error"].str.contains("cannot be part of a file name").all()


def test_crops_of_a_manifest(tmp_path):
    path = crop_table(tmp_path, IN_FILES)
    cells = crops.list_cells({"name": "toy", "source": {"cells": str(path)}}, EVERYTHING)
    assert_only_good(cells, len(IN_FILES))
    shard = tmp_path / "shard"
    dataset = {"name": "toy", "kind": "punctate", "source": {"cells": str(path)}}
    common = {"dataset": dataset, "shard": 0, "n_shards": 1, "seed": 1, "max_failed_fraction": 1.0}
    punctate.run(shard, **common)
    assert_only_good(pd.read_parquet(shard / "cells.parquet"), len(IN_FILES))


def test_one_bad_path_of_a_crop_costs_one_cell(tmp_path):
    path = crop_table(tmp_path, ["b", "c", "d"])
    table = pd.read_csv(path)
    table["crop_raw"] = ["crop.tif", "x" * 300, "../../../etc/passwd", "a/" * 600]
    table.to_csv(path, index=False)
    cells = crops.list_cells({"name": "toy", "source": {"cells": str(path)}}, EVERYTHING)
    assert cells["success"].tolist() == [True, False, False, False]


def test_fields_of_view(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    labels = np.zeros((4, 24, 24), np.uint8)
    labels[1:3, 8:14, 8:14] = 1
    for name in ("image", "labels"):
        tifffile.imwrite(folder / f"{name}.ome.tif", labels, metadata={"axes": "ZYX"})
    rows = pd.DataFrame({"FOVId": ["good", *IN_FILES], "image": "image.ome.tif", "cell": "labels.ome.tif"})
    rows.loc[len(rows)] = ["good too", "../../image.ome.tif", "labels.ome.tif"]
    rows.to_csv(folder / "fovs.csv", index=False)
    fov = {
        "label_channels": ["cell"],
        "channel_names": ["dna"],
        "spacing_um_zyx": [1, 1, 1],
        "z_border": False,
    }
    work = tmp_path / "a/b/c/work"
    work.mkdir(parents=True)
    shares = {"stray_share": 0.05, "saturated_share": 0.01}
    cells = fields.cut(work, {"fovs": str(folder / "fovs.csv"), "fov": fov}, EVERYTHING, **shares)
    leaves = cells["FOVId"] == "good too"
    assert "leaves the folder" in cells.loc[leaves, "error"].item()
    assert_only_good(cells[~leaves], len(IN_FILES), "FOVId")
    assert {path.name for path in outside(tmp_path)} == {"good_1_raw.ome.tif", "good_1_seg.ome.tif"}


def test_shapes_in_one_array(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    np.savez(folder / "shapes.npz", volumes=np.ones((1 + len(IN_FILES), 3, 3, 3), bool))
    pd.DataFrame({"CellId": ["good", *IN_FILES]}).to_csv(folder / "manifest.csv", index=False)
    work = tmp_path / "a/b/c/work"
    work.mkdir(parents=True)
    cells = stack.write(work, {"stack": str(folder / "shapes.npz"), "spacing_um_zyx": [1, 1, 1]}, EVERYTHING)
    assert_only_good(cells, len(IN_FILES))
    assert {path.name for path in outside(tmp_path)} == {"good_seg.ome.tif"}


def shapes_folder(folder, rows):
    folder.mkdir(parents=True)
    trimesh.creation.icosphere(radius=20).export(folder / "good_0.obj")
    pd.DataFrame(rows, columns=["CellId", "angle"]).to_csv(folder / "manifest.csv", index=False)


def test_shapes_of_packings(tmp_path):
    rows = (
        [("good", "0")] + [(name, "0") for name in IN_FILES] + [(f"g{i}", x) for i, x in enumerate(IN_FILES)]
    )
    rows += [("a" * 100, "b" * 100)]
    shapes_folder(tmp_path / "in/shapes", rows)
    shapes = read_shapes(tmp_path / "in/shapes/manifest.csv")
    assert shapes.loc[shapes["error"] == "", "CellId"].tolist() == ["good"]
    dataset = {
        "name": "toy",
        "kind": "packing",
        "rules": {"random": {"mode": "random"}},
        "voxel_um": 0.1,
        "packing": {"box": [[-40] * 3, [40] * 3], "spacing": 5, "n_spheres": 2, "radius": 2},
        "source": {"location": str(tmp_path / "in"), "shapes": "shapes", "packings": None}
        | {"shape_unit_um": 0.1, "shape_axes": "depth_first"},
    }
    shard = tmp_path / "a/b/c/shard"
    packing.run(shard, dataset=dataset, shard=0, n_shards=1, seed=1, max_failed_fraction=1.0)
    assert_only_good(pd.read_parquet(shard / "cells.parquet"), len(rows) - 1, "group")
    written = {path.name for path in outside(tmp_path) if path.suffix in (".obj", ".json")}
    assert written == {"good_0.obj", "positions_pcna_analyze_random_good_0.json"}


def test_published_cells(tmp_path):
    ids = ["good", *IN_FILES]
    table = pd.DataFrame({"CellId": ids, "image_path": "a.tiff", "pointcloud_path": "a.ply"})
    paths = ["..", "x" * 300, ".", "/etc/x"]
    more = pd.DataFrame(
        {"CellId": [f"p{i}" for i in range(4)], "image_path": paths, "pointcloud_path": "a.ply"}
    )
    pd.concat([table, more]).to_csv(tmp_path / "manifest.csv", index=False)
    cells = published.read(tmp_path / "manifest.csv", {"kind": "punctate", "published": {}})
    by_path = cells["CellId"].str.fullmatch(r"p\d")
    assert cells.loc[by_path, "error"].str.contains("leaves|names no file").all()
    assert_only_good(cells[~by_path], len(IN_FILES))


def test_a_long_name_of_a_server_is_kept_under_a_short_one(tmp_path, monkeypatch):
    name = "a/" + "x" * 240 + ".ome.tif"
    body = head(ETag='"v"', Content_Length=4)
    with raw_server(lambda request: [body, b"" if request.method == "HEAD" else b"body"]) as server:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        store = open_store(server.url, SETTINGS | {"cache": str(tmp_path)})
        found = store.fetch_each([name], dataset="toy")[name]
    assert found.read_bytes() == b"body"
    assert found.suffix == ".tif"
    long = cached_path(tmp_path, server.url, "a/b." + "x" * 240, "v")
    assert len(os.fsencode(part_path(long).name)) < 255


def test_a_path_that_names_a_folder_of_all_files_is_not_walked(tmp_path, monkeypatch):
    """Planning looks at the files that a table names: never at everything above it."""
    path = crop_table(tmp_path, ["b", "c"])
    table = pd.read_csv(path).assign(crop_raw=["crop.tif", "../../..", "/"])
    table.to_csv(path, index=False)
    monkeypatch.setattr(named_files.os, "walk", lambda folder: pytest.fail(f"{folder} was walked"))
    dataset = {"name": "toy", "kind": "punctate", "source": {"cells": str(path)}}
    assert len(named_files.state(dataset)) == 16
