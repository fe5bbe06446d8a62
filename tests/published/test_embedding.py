"""Published embeddings: joined with the manifest, and every mistake named with its remedy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fabricate.published_folders import DOWNLOAD, published_dataset, read_manifest

from morphobench.errors import InputError
from morphobench.geometry.rotation import MATRIX_COLUMNS
from morphobench.published import embedding

EMBEDDINGS = {
    "CellId": ["b.ply", "a", "stranger"],
    "mu_0": [0.1, 0.2, 0.3],
    "mu_1": [1 / 3, 2.0, 3.0],
    "loss": [4.0, 5.0, 6.0],
    "split": ["test", "valid", "train"],
}


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a CSV and reads it: the embeddings, and the unmatched cells."""
    read_manifest(tmp_path)

    def run(rows=EMBEDDINGS, drop=(), kind="punctate"):
        pd.DataFrame(rows).drop(columns=list(drop)).to_csv(tmp_path / "embeddings.csv")
        outs = [tmp_path / name for name in ("identity.parquet", "reconstruction.parquet", "unmatched.csv")]
        embedding.run(
            tmp_path / "published.parquet",
            *outs,
            dataset=published_dataset(tmp_path, kind, embeddings={"model": "embeddings.csv"}),
            model="model",
            download_config=DOWNLOAD,
        )
        return pd.read_parquet(outs[0]), pd.read_csv(outs[2])

    return run


def test_embeddings_become_the_standard_table(read, tmp_path):
    table, unmatched = read()
    assert table["CellId"].tolist() == ["a", "b"]
    assert table["mu_1"].tolist() == [2.0, np.float32(1 / 3)]
    assert table["split"].tolist() == ["val", "test"]
    assert table["group"].tolist() == ["a", "b"]
    assert not [column for column in table if column.startswith("reconstruction")]
    errors = pd.read_parquet(tmp_path / "reconstruction.parquet")
    assert errors["CellId"].tolist() == ["a", "b"]
    assert errors["split"].tolist() == ["val", "test"]
    assert errors["reconstruction_sinkhorn_legacy"].tolist() == [5.0, 4.0]
    rotations = table[MATRIX_COLUMNS].to_numpy()
    np.testing.assert_array_equal(rotations.reshape(-1, 3, 3), [np.eye(3)] * 2)
    assert (table["rotation"] == 0).all()
    assert dict(unmatched.to_numpy()) == {
        "stranger": "no row in the manifest",
        "c": "no row in the embeddings",
    }


def test_cells_that_were_left_out_on_purpose_say_so(read, tmp_path):
    read_manifest(tmp_path, keep={"stage": ["M"]})
    table, unmatched = read()
    assert table["CellId"].tolist() == ["b"]
    assert dict(unmatched.to_numpy()) == {"stranger": "no row in the manifest", "a": embedding.LEFT_OUT}


def test_losses_are_named_by_what_they_measure_and_left_out_when_not_computed(read, tmp_path):
    def columns(*arguments, **keywords):
        read(*arguments, **keywords)
        return list(pd.read_parquet(tmp_path / "reconstruction.parquet"))

    assert columns(kind="polymorphic") == ["CellId", "split", "reconstruction_iou_legacy"]
    assert columns({**EMBEDDINGS, "loss": 0.0}) == ["CellId", "split"]
    assert columns(drop=["loss"]) == ["CellId", "split"]


def test_look_alikes_of_embedding_columns_are_left(read):
    table, _ = read({**EMBEDDINGS, "maximum": 1.0, "mu_x": 2.0})
    assert [column for column in table if "mu" in column and column != "group"] == ["mu_0", "mu_1"]


@pytest.mark.parametrize(
    ("rows", "drop", "words"),
    [
        ({**EMBEDDINGS, "CellId": ["a", "a.tiff", "b"]}, [], "1 cells occur more than once, first a"),
        (EMBEDDINGS, ["mu_0", "mu_1"], "no columns mu_0"),
        (EMBEDDINGS, ["mu_0"], "without a gap"),
        (EMBEDDINGS, ["split"], "column split is missing"),
        ({**EMBEDDINGS, "split": ["test", "x", "train"]}, [], "split x is none of"),
        ({**EMBEDDINGS, "mu_0": "a", "mu_1": "b"}, [], "no embedding is a finite number"),
        ({**EMBEDDINGS, "CellId": ["x", "y", "z"]}, [], "none of its 3 cells is in cells/manifest.csv"),
    ],
)
def test_wrong_embeddings_are_named_with_their_remedy(read, rows, drop, words):
    with pytest.raises(InputError, match=words):
        read(rows, drop)


def test_single_embeddings_that_are_not_finite_are_logged_and_kept(read, caplog):
    table, _ = read({**EMBEDDINGS, "mu_0": [np.nan, 0.2, 0.3]})
    assert table["mu_0"].isna().tolist() == [False, True]
    assert "1 embeddings hold values that are not finite" in caplog.text


def test_an_embedding_without_a_split_is_left_out_with_the_reason(read):
    table, unmatched = read(EMBEDDINGS | {"split": ["test", None, "train"]})
    assert table["CellId"].tolist() == ["b"]
    assert dict(unmatched.to_numpy())["a"] == "no split in the embeddings"
