"""Published manifests and embeddings: identifiers, paths and splits, and every mistake named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate.published_folders import DOWNLOAD, dataset

from morphobench.errors import InputError
from morphobench.published import embedding, identifiers, labels, manifest
from morphobench.sample import manifest as sample_manifest

ROWS = {
    "CellId": ["c.ply", "a", "b"],
    "split": ["train", "valid", "test"],
    "pointcloud_path": ["./bucket/pc/c.ply", "bucket/pc/a.ply", "pc/b.ply"],
    "image_path": ["bucket/c.tiff", "bucket/a.tiff", "bucket/b.tiff"],
    "stage": ["G1", "S", "M"],
}


@pytest.fixture
def case(tmp_path):
    """Write a manifest and return a function that reads it."""
    (tmp_path / "cells").mkdir()

    def read(rows=ROWS, kind="punctate", drop=(), max_cells=None, **more):
        table = pd.DataFrame(rows).drop(columns=list(drop))
        table.to_csv(tmp_path / "cells/manifest.csv")
        out = tmp_path / "published.parquet"
        described = dataset(tmp_path, kind, **more)
        manifest.run(out, dataset=described, max_cells=max_cells, download=DOWNLOAD)
        return pd.read_parquet(out)

    return read


def changed(**columns):
    return {**ROWS, **columns}


def test_a_manifest_becomes_a_table_of_cells(case):
    found = case()
    assert found["CellId"].tolist() == ["a", "b", "c"]
    assert found["split"].tolist() == ["val", "test", "train"]
    assert found["pointcloud_path"].tolist() == ["pc/a.ply", "pc/b.ply", "pc/c.ply"]
    assert found["group"].tolist() == ["a", "b", "c"]
    assert found["success"].all()
    assert not [column for column in found if column.startswith("Unnamed")]


def test_stages_choose_cells_before_max_cells_does(case):
    def used(**more):
        found = case(keep={"stage": ["G1", "S"]}, **more)
        assert len(found) == 3
        return set(found.loc[found["used"], "CellId"])

    assert used() == {"a", "c"}
    assert used(max_cells=1) < {"a", "c"}


def test_shapes_of_packings_keep_their_cells_together(tmp_path):
    (tmp_path / "cells").mkdir()
    rows = {"CellId": ["9c-1_0", "9c-1_5", "77_2"], "rule": ["a", "b", "c"]}
    pd.DataFrame(rows).to_csv(tmp_path / "cells/manifest.csv", index=False)
    described = {**dataset(tmp_path, "punctate", split=None), "kind": "packing"}
    manifest.run(tmp_path / "out.parquet", dataset=described, max_cells=None, download=DOWNLOAD)
    assert pd.read_parquet(tmp_path / "out.parquet")["group"].tolist() == ["77", "9c-1", "9c-1"]


def test_columns_get_our_names_and_keep_theirs(case):
    found = case(columns={"phase": "stage"})
    assert found["phase"].tolist() == found["stage"].tolist()


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "bucket/../../a", "C:\\a", "\\\\server\\a", None]
)
def test_a_path_that_leaves_the_folder_fails_its_cell_alone(case, path):
    found = case(changed(pointcloud_path=["pc/c.ply", path, "pc/b.ply"])).set_index("CellId")
    assert found["success"].to_dict() == {"a": False, "b": True, "c": True}
    assert "manifest.csv" in found.loc["a", "error"]
    assert found.loc["a", "pointcloud_path"] == ""


def test_a_repeated_cell_stays_once_as_failed(case):
    found = case(changed(CellId=["a", "a.ply", "b"])).set_index("CellId")
    assert found["success"].to_dict() == {"a": False, "b": True}
    assert "more than one row" in found.loc["a", "error"]


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        (changed(), {"drop": ["image_path"]}, "column image_path is missing"),
        (changed(), {"drop": ["split"]}, "column split is missing"),
        (changed(), {"drop": ["CellId"]}, "column CellId is missing"),
        (changed(split=["train", "maybe", "test"]), {}, "split maybe is none of"),
        (changed(), {"keep": {"phase": ["S"]}}, "column phase"),
        (changed(), {"keep": {"stage": ["X"]}}, "no cell has stage"),
        (changed(), {"columns": {"a": "b"}}, "column b is missing; mend published.columns"),
        (changed(CellId=["a/b", "c", "d"]), {}, "cannot be part of a file name"),
        (changed(), {"preprocessed": "gone.csv"}, "gone.csv"),
    ],
)
def test_a_wrong_manifest_is_named_with_its_remedy(case, rows, more, words):
    with pytest.raises(InputError, match=f"tiny: .*{words}"):
        case(rows, **more)


def test_unexpected_numbers_of_cells_are_told(case, caplog):
    case(n_cells={"train": 40, "val": 2, "test": 1})
    assert "1 cells in split train, expected 40" in caplog.text
    assert "split val" not in caplog.text


def test_identifiers_lose_what_published_code_left_on_them():
    given = pd.Series(["a.ply", "b.tiff", "12-NPM1_3", "13-FBL", "x-NPM1", "5.0", "005", 7])
    assert identifiers.clean(given).tolist() == ["a", "b", "12", "13", "x-NPM1", "5", "005", "7"]


# Embeddings

CODES = {
    "CellId": ["b.ply", "a", "stranger"],
    "mu_0": [0.1, 0.2, 0.3],
    "mu_1": [1 / 3, 2.0, 3.0],
    "loss": [4.0, 5.0, 6.0],
    "split": ["test", "valid", "train"],
}


@pytest.fixture
def codes(case, tmp_path):
    case()

    def read(rows=CODES, drop=(), kind="punctate"):
        pd.DataFrame(rows).drop(columns=list(drop)).to_csv(tmp_path / "codes.csv")
        described = dataset(tmp_path, kind, embeddings={"model": "codes.csv"})
        outs = [tmp_path / name for name in ("identity.parquet", "reconstruction.parquet", "unmatched.csv")]
        embedding.run(
            tmp_path / "published.parquet", *outs, dataset=described, model="model", download=DOWNLOAD
        )
        return pd.read_parquet(outs[0]), pd.read_csv(outs[2])

    return read


def test_codes_become_the_standard_table(codes, tmp_path):
    table, unmatched = codes()
    assert table["CellId"].tolist() == ["a", "b"]
    assert table["mu_1"].tolist() == [2.0, np.float32(1 / 3)]
    assert table["split"].tolist() == ["val", "test"]
    assert table["group"].tolist() == ["a", "b"]
    assert not [column for column in table if column.startswith("reconstruction")]
    errors = pd.read_parquet(tmp_path / "reconstruction.parquet")
    assert errors["CellId"].tolist() == ["a", "b"]
    assert errors["split"].tolist() == ["val", "test"]
    assert errors["reconstruction_sinkhorn_legacy"].tolist() == [5.0, 4.0]
    turns = table[[f"r_{row}{column}" for row in range(3) for column in range(3)]].to_numpy()
    np.testing.assert_array_equal(turns.reshape(-1, 3, 3), [np.eye(3)] * 2)
    assert (table["rotation"] == 0).all()
    assert dict(unmatched.to_numpy()) == {
        "stranger": "no row in the manifest",
        "c": "no row in the embeddings",
    }


def test_cells_that_were_left_out_on_purpose_say_so(case, codes):
    case(keep={"stage": ["M"]})
    table, unmatched = codes()
    assert table["CellId"].tolist() == ["b"]
    assert dict(unmatched.to_numpy()) == {"stranger": "no row in the manifest", "a": embedding.LEFT_OUT}


def test_losses_are_named_by_what_they_measure_and_left_out_when_not_computed(codes, tmp_path):
    def columns(*arguments, **keywords):
        codes(*arguments, **keywords)
        return list(pd.read_parquet(tmp_path / "reconstruction.parquet"))

    assert columns(kind="polymorphic") == ["CellId", "split", "reconstruction_iou_legacy"]
    assert columns({**CODES, "loss": 0.0}) == ["CellId", "split"]
    assert columns(drop=["loss"]) == ["CellId", "split"]


def test_look_alikes_of_code_columns_are_left(codes):
    table, _ = codes({**CODES, "maximum": 1.0, "mu_x": 2.0})
    assert [column for column in table if "mu" in column and column != "group"] == ["mu_0", "mu_1"]


@pytest.mark.parametrize(
    ("rows", "drop", "words"),
    [
        ({**CODES, "CellId": ["a", "a.tiff", "b"]}, [], "1 cells occur more than once, first a"),
        (CODES, ["mu_0", "mu_1"], "no columns mu_0"),
        (CODES, ["mu_0"], "without a gap"),
        (CODES, ["split"], "column split is missing"),
        ({**CODES, "split": ["test", "x", "train"]}, [], "split x is unknown"),
        ({**CODES, "mu_0": "a", "mu_1": "b"}, [], "no code is a finite number"),
        ({**CODES, "CellId": ["x", "y", "z"]}, [], "none of its 3 cells is in cells/manifest.csv"),
    ],
)
def test_wrong_embeddings_are_named_with_their_remedy(codes, rows, drop, words):
    with pytest.raises(InputError, match=words):
        codes(rows, drop)


def test_single_codes_that_are_not_finite_are_told_and_kept(codes, caplog):
    table, _ = codes({**CODES, "mu_0": [np.nan, 0.2, 0.3]})
    assert table["mu_0"].isna().tolist() == [False, True]
    assert "1 codes hold values that are not finite" in caplog.text


def test_labels_have_the_split_of_the_embeddings_where_the_manifest_has_none(case, codes, tmp_path, caplog):
    codes()
    table = pd.read_parquet(tmp_path / "published.parquet").drop(columns="split")
    table.to_parquet(tmp_path / "bare.parquet")
    other = pd.read_parquet(tmp_path / "identity.parquet").assign(split="train")
    other.to_parquet(tmp_path / "other.parquet")
    embeddings = {"first": tmp_path / "identity.parquet", "other": tmp_path / "other.parquet"}
    labels.run(tmp_path / "bare.parquet", embeddings, tmp_path / "out.parquet", dataset="tiny")
    found = pd.read_parquet(tmp_path / "out.parquet").set_index("CellId")
    assert found["split"].to_dict() == {"a": "val", "b": "test", "c": None}
    assert "2 cells are in another split for other than for first" in caplog.text


# The split of a source's own column


def write_shard(folder: Path, values) -> Path:
    folder.mkdir()
    table = pd.DataFrame({"CellId": list("abc"), "group": list("abc"), "part": values})
    table.assign(success=True, error="", index=[0, 1, 2]).to_parquet(folder / "cells.parquet")
    return folder


def split(folder, values, column="part"):
    out = folder / "manifest.parquet"
    sample_manifest.run(
        {0: write_shard(folder / "shard-0", values)},
        out,
        split={"train": 0.5, "val": 0.25, "test": 0.25},
        seed=1,
        dataset_name="tiny",
        column=column,
    )
    return pd.read_parquet(out)["split"].tolist()


def test_a_column_with_the_split_is_followed(tmp_path):
    assert split(tmp_path, ["Testing", "train", "valid"]) == ["test", "train", "val"]


@pytest.mark.parametrize(
    ("values", "column", "words"),
    [(["x", "train", "val"], "part", "cell a has part 'x'"), (["train"] * 3, "gone", "no column 'gone'")],
)
def test_a_column_without_the_split_is_named(tmp_path, values, column, words):
    with pytest.raises(InputError, match=words):
        split(tmp_path, values, column)
