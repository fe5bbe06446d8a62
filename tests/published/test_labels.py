"""What a run from published embeddings has beside them: labels, splits and example cells."""

from __future__ import annotations

import shutil

import pandas as pd
from fabricate.published_folders import (
    DOWNLOAD,
    published_dataset,
    read_manifest,
    read_shards,
    write_punctate,
)

from morphobench.published import labels


def test_labels_have_the_split_of_the_embeddings_where_the_manifest_has_none(tmp_path, caplog):
    read_manifest(tmp_path).drop(columns="split").to_parquet(tmp_path / "bare.parquet")
    embeddings = [tmp_path / "first.parquet", tmp_path / "other.parquet"]
    table = pd.DataFrame({"CellId": ["a", "b"], "split": ["val", "test"]})
    table.to_parquet(embeddings[0])
    table.assign(split="train").to_parquet(embeddings[1])
    labels.run(tmp_path / "bare.parquet", embeddings, tmp_path / "out.parquet", dataset="tiny")
    cells = pd.read_parquet(tmp_path / "out.parquet").set_index("CellId")
    assert cells["split"].to_dict() == {"a": "val", "b": "test", "c": None}
    assert (cells[["shard", "index"]] == -1).all(axis=None)
    assert f"2 cells are in another split for {embeddings[1]} than for {embeddings[0]}" in caplog.text


def test_examples_fetch_their_own_files_alone(tmp_path):
    write_punctate(tmp_path)
    described = published_dataset(tmp_path / "bucket", "punctate")
    read_shards(tmp_path, described)
    cells = pd.read_parquet(tmp_path / "published.parquet").assign(shard=-1, index=-1)
    cells.to_parquet(tmp_path / "manifest.parquet")
    shutil.rmtree(tmp_path / "bucket/cells/image")
    labels.write_examples(
        tmp_path / "manifest.parquet",
        tmp_path / "examples.parquet",
        dataset=described,
        seed=1,
        download_config=DOWNLOAD,
    )
    examples = pd.read_parquet(tmp_path / "examples.parquet")
    assert list(examples) == ["x_um", "y_um", "z_um", "CellId", "stratum"]
    # One of each stratum, of test cells where there are any.
    assert set(examples["stratum"]) == {"G1", "S"}
    assert examples["CellId"].nunique() == 2
