"""A remote dataset: indexed once, each shard fetches its own cells' files, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate.packings import ellipsoid, packing_dataset, write_shapes
from harness import s3_server
from harness.clone import job_counts, make_clone, snakemake
from harness.s3_server import BUCKET, SETTINGS, Fault, away, server

from morphobench import files
from morphobench.download import index, packing, polymorphic, punctate
from morphobench.errors import InputError
from morphobench.files import images, manifests

__all__ = ["away", "server"]

N_SHARDS = 3
SOURCE = {"location": f"s3://{BUCKET}/set", "cells": "metadata.csv"}


def write_set(folder, n=12):
    """Cells in the published layout; what is in their files is of no interest here."""
    rows = []
    for i in range(n):
        row = {
            "CellId": i,
            "structure_name": ("SON", "RAB5A")[i % 2],
            "cell_stage": ("M0", "M1M2")[i % 3 == 0],
        }
        row |= {kind: f"./{kind}/{i}_{kind[5:]}.ome.tif" for kind in ("crop_raw", "crop_seg")}
        for kind in ("crop_raw", "crop_seg"):
            path = folder / row[kind]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(100 + i))
        rows.append(
            row | {"name_dict": "{'crop_raw': ['a'], 'crop_seg': ['b']}", "volume": i / 2, "other": "x"}
        )
    pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)
    return folder


@pytest.fixture
def there(away, tmp_path):
    away.put_folder(write_set(tmp_path / "origin"), "set")
    return away


def described(kind="punctate", needs=("volume",), **source):
    return {"name": "toy", "kind": kind, "needs": dict.fromkeys(needs, "labels"), "source": SOURCE | source}


def settings(tmp_path):
    return SETTINGS | {"cache": str(tmp_path / "cache")}


def run(tmp_path, dataset, stage=punctate, most=0.0):
    """Index a dataset and download all its shards; return the cells of all."""
    manifest = tmp_path / "manifest.parquet"
    if not manifest.exists():
        index.run(manifest, dataset=dataset, download_config=settings(tmp_path))
    tables = []
    for shard in range(N_SHARDS):
        out = tmp_path / f"shard-{shard}"
        more = {"manifest": manifest, "download_config": settings(tmp_path)}
        stage.run(
            out, dataset=dataset, shard=shard, n_shards=N_SHARDS, seed=1, max_failed_fraction=most, **more
        )
        tables.append(files.read_cells(out))
    return pd.concat(tables).sort_values("CellId", ignore_index=True)


def test_a_remote_set_becomes_the_cells_of_a_local_one(there, tmp_path):
    cells = run(tmp_path, described())
    local = described(location=str(tmp_path / "origin"), metadata=["volume"])
    beside = [tmp_path / f"local-{shard}" for shard in range(N_SHARDS)]
    for shard, out in enumerate(beside):
        punctate.run(out, dataset=local, shard=shard, n_shards=N_SHARDS, seed=1, max_failed_fraction=0.0)
    origin = pd.concat(map(files.read_cells, beside)).sort_values("CellId", ignore_index=True)
    crops = ["crop_raw", "crop_seg"]
    pd.testing.assert_frame_equal(
        cells.drop(columns=[*crops, "seconds"]), origin.drop(columns=[*crops, "seconds"])
    )
    assert "other" not in cells
    assert sorted(cells["volume"].astype(float)) == sorted(origin["volume"].astype(float))
    for kind in crops:
        for here, original in zip(cells[kind], origin[kind], strict=True):
            assert Path(here).read_bytes() == Path(original).read_bytes()


def test_every_file_is_asked_for_once_and_the_place_listed_once(there, tmp_path):
    run(tmp_path, described())
    asked = [(one.method, one.path) for one in there.proxy.asked]
    assert len(asked) == len(set(asked))
    assert len(there.proxy.gets("/crop_")) == 24
    before = len(there.proxy.asked)
    run(tmp_path, described())
    assert len(there.proxy.asked) == before


@pytest.mark.parametrize(
    ("source", "n"),
    [({"structures": ["SON"]}, 6), ({"keep": {"cell_stage": ["M0"]}}, 8), ({"max_cells": 2}, 2)],
)
def test_only_what_the_filters_let_through_is_fetched(source, n, there, tmp_path):
    assert len(run(tmp_path, described(**source))) == n
    assert len(there.proxy.gets("/crop_")) == 2 * n
    assert len(files.read_table(tmp_path / "manifest.parquet")) == n


def test_a_filter_that_lets_nothing_through_is_named(there, tmp_path):
    with pytest.raises(InputError, match=r"metadata\.csv: no cell has cell_stage M9 .*Mend `keep`"):
        run(tmp_path, described(keep={"cell_stage": ["M9"]}))


def test_cells_without_their_file_fail_with_the_reason(there, tmp_path):
    there.owner.delete_object(Bucket=BUCKET, Key="set/crop_raw/3_raw.ome.tif")
    index.run(tmp_path / "manifest.parquet", dataset=described(), download_config=settings(tmp_path))
    # One was missing when the place was listed; another vanishes before it is fetched.
    there.owner.delete_object(Bucket=BUCKET, Key="set/crop_seg/4_seg.ome.tif")
    cells = run(tmp_path, described(), most=1.0).set_index("CellId")
    assert list(cells.index[~cells["success"]]) == ["3", "4"]
    assert "has no file crop_raw/3_raw.ome.tif" in cells.loc["3", "error"]
    assert "no such object" in cells.loc["4", "error"]
    with pytest.raises(InputError, match="1 of . cells failed"):
        run(tmp_path, described(), most=0.0)


def test_paths_that_climb_out_fail_their_cells_and_are_not_asked_for(there, tmp_path):
    there.put({"secret": b"1", "set/crop_raw/ok": b"2"})
    table = pd.read_csv(tmp_path / "origin/metadata.csv")
    table.loc[:2, "crop_raw"] = ["../secret", "/etc/passwd", "crop_raw/../crop_raw/ok"]
    there.put({"set/metadata.csv": table.to_csv(index=False).encode()})
    cells = run(tmp_path, described(), most=1.0).set_index("CellId")
    assert cells.loc[["0", "1"], "error"].str.contains("leaves s3://").all()
    assert cells["success"].sum() == 10
    assert there.proxy.gets("secret") == there.proxy.gets("passwd") == []
    assert not list(tmp_path.glob("secret"))


def test_an_object_that_changed_since_the_index_stops_the_shard(there, tmp_path):
    index.run(tmp_path / "manifest.parquet", dataset=described(), download_config=settings(tmp_path))
    there.put({"set/crop_raw/5_raw.ome.tif": os.urandom(105)})
    with pytest.raises(InputError, match=r"toy: .*5_raw.* changed.*results/download/toy/manifest\.parquet"):
        run(tmp_path, described())
    (tmp_path / "manifest.parquet").unlink()
    assert run(tmp_path, described())["success"].all()


def test_a_fault_ends_the_job_and_the_next_one_goes_on(there, tmp_path):
    index.run(tmp_path / "manifest.parquet", dataset=described(), download_config=settings(tmp_path))
    there.proxy.faults = [Fault("5_raw", s3_server.answer(503), times=99)]
    with pytest.raises(InputError, match="toy: .*5_raw.*the server answers 503"):
        run(tmp_path, described())
    there.proxy.faults = []
    assert run(tmp_path, described())["success"].all()
    # What was under way when the job ended is continued: no byte is asked for twice.
    good = [(one.path, one.range) for one in there.proxy.gets("/crop_") if "5_raw" not in one.path]
    assert len(good) == len(set(good))
    assert len({path for path, _ in good}) == 23


@pytest.mark.parametrize(
    ("drop", "words"), [("crop_seg", "column crop_seg is missing"), ("CellId", "column CellId is missing")]
)
def test_a_manifest_that_lacks_a_column_says_so(drop, words, there, tmp_path):
    table = pd.read_csv(tmp_path / "origin/metadata.csv").drop(columns=drop)
    there.put({"set/metadata.csv": table.to_csv(index=False).encode()})
    with pytest.raises(InputError, match=f"toy: s3://.*{words}"):
        run(tmp_path, described())
    with pytest.raises(InputError, match=rf"column (?=.*{drop}).*mitosis \(labels\).* is missing"):
        run(tmp_path, described(metadata=["mitosis"], needs=["mitosis"]))


def test_a_manifest_that_is_not_there_says_where_it_was_looked_for(there, tmp_path):
    with pytest.raises(InputError, match=r"toy: .*/set/none\.csv: no such object"):
        run(tmp_path, described(cells="none.csv"))


def test_shapes_may_come_without_one_of_the_crops(there, tmp_path):
    table = pd.read_csv(tmp_path / "origin/metadata.csv").rename(columns={"crop_seg": "crop_seg_masked"})
    there.put({"set/metadata.csv": table.drop(columns="crop_raw").to_csv(index=False).encode()})
    cells = run(tmp_path, described("polymorphic", columns={"crop_seg": "crop_seg_masked"}), polymorphic)
    assert cells["success"].all()
    assert cells["crop_raw"].eq("").all()
    assert len(there.proxy.gets("/crop_")) == 12


def test_packings_and_their_shapes_are_fetched(away, tmp_path):
    shapes = write_shapes(tmp_path / "origin/shapes", {f"s{i}": ellipsoid([3, 2.5, 1.5]) for i in range(4)})
    local = packing_dataset(shapes)
    packing.run(tmp_path / "made", dataset=local, shard=0, n_shards=1, seed=1, max_failed_fraction=0.0)
    away.put_folder(shapes, "set/shapes")
    away.put_folder(tmp_path / "made/packings", "set/packings")
    source = local["source"] | {"location": f"s3://{BUCKET}/set", "shapes": "shapes", "packings": "packings"}
    remote = local | {"source": source | {"shape_axes": "depth_last", "max_cells": 13}}
    cells = run(tmp_path, remote, packing)
    assert cells["group"].nunique() == 2
    assert cells["success"].all()
    assert len(away.proxy.gets("/packings/")) == 12
    assert len(away.proxy.gets(".ply")) == 2
    for path in tmp_path.glob("shard-*/packings/*.json"):
        assert path.read_bytes() == (tmp_path / "made/packings" / path.name).read_bytes()
    gone = away.proxy.gets("/packings/")[0].path.rpartition("/")[2].partition("?")[0]
    away.owner.delete_object(Bucket=BUCKET, Key=f"set/packings/{gone}")
    (tmp_path / "manifest.parquet").unlink()
    cells = run(tmp_path, remote, packing, most=1.0)
    assert cells["success"].sum() == 11
    assert cells.loc[~cells["success"], "error"].str.contains("the source has no such file").all()


def test_a_selection_of_columns_reads_as_the_whole_does(tmp_path):
    path = tmp_path / "wide.csv"
    text = {"CellId": ["07", "8", "9"], "note": ['a "quoted", one', "two\nlines", ""], "n": [1, 2, 3]}
    wide = pd.DataFrame(text | {f"f{i}": [0.5, np.nan, i] for i in range(500)})
    for path, write in ((tmp_path / "a.csv", wide.to_csv), (tmp_path / "a.parquet", wide.to_parquet)):
        write(path, index=False)
        whole = manifests.read(path, ["CellId"], text=["CellId"])
        some = manifests.read(path, ["CellId", "f3"], text=["CellId"], optional=["note", "n", "absent"])
        pd.testing.assert_frame_equal(some, whole[["CellId", "note", "n", "f3"]])
        with pytest.raises(InputError, match="column f500 is missing"):
            manifests.read(path, ["f500"], text=["CellId"], optional=[])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"CellId,a\n1\n2,3,4\n"])
def test_a_table_that_cannot_be_read_is_named(content, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(
        InputError,
        match=r"a\.csv: (is not UTF|line 3 has 3 fields|not readable as a table|column a is missing|.*empty)",
    ):
        manifests.read(path, ["a"], text=["CellId"], optional=[])


@pytest.mark.end_to_end
def with_pictures(folder):
    """The same cells with what the first of them are tried for: images with the channels of the data set."""
    table, volume = pd.read_csv(folder / "metadata.csv"), np.ones((2, 3, 4), np.uint8)
    channels = {"crop_raw": ["PCNA"], "crop_seg": ["dna_segmentation", "membrane_segmentation"]}
    for kind, names in channels.items():
        for path in table[kind]:
            images.write_crop(folder / path, dict.fromkeys(names, volume), (0.108, 0.108, 0.108))
    table.assign(name_dict=str(channels)).to_csv(folder / "metadata.csv", index=False)
    return folder


@pytest.mark.long
def test_the_workflow_fetches_a_remote_set_and_waits_as_it_is_told(there, tmp_path):
    there.put_folder(with_pictures(tmp_path / "origin"), "set")
    clone = make_clone(tmp_path / "clone")
    source = f"location: '{SOURCE['location']}', cells: metadata.csv, metadata: [volume]"
    config = ["scale=demo", f"datasets={{pcna: {{n_shards: 1, source: {{{source}}}}}}}", "max_cells=5"]
    target = "results/download/pcna/shard-0"
    planned = snakemake(clone, "-n", "--config", *config, "--", target)
    assert job_counts(planned.stdout) == {"download_manifest": 1, "download": 1, "total": 2}
    assert there.proxy.asked == []
    patience = "download={connections: 2, retries: 1, timeout_s: 5}"
    snakemake(clone, "-c1", "--config", *config, patience, "--", target)
    cells = files.read_cells(clone / target)
    assert len(cells) == 5
    assert cells["success"].all()
    assert all((clone / path).is_file() for path in cells["crop_raw"])
    # How patiently files were fetched changes none of them.
    assert job_counts(snakemake(clone, "-n", "--config", *config, "--", target).stdout) == {}
