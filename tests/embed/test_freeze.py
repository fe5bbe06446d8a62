"""A frozen data set whose embeddings stay when cells are added, and what of it is embedded."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from fabricate.sampled import DATASET, SPLITS, write_sampled
from fabricate.trained import EMBED, write_untrained

from morphobench.embed import freeze
from morphobench.embed import run as embed
from morphobench.errors import InputError
from morphobench.files import frozen, read_table, write_table

ADDED = ["train", "test", "test"]
# One with a pose, one with vectors, one of cubes.
FAMILIES = ["classical_pointcloud", "rotation_invariant_pointcloud_sdf", "rotation_invariant_image"]
ROTATIONS = ["identity", "lattice", "uniform"]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"), splits=[*SPLITS, *ADDED])


@pytest.fixture(scope="module")
def before(case):
    """Write the manifest without the cells that are added."""
    path = case.manifest.with_name("before.parquet")
    write_table(read_table(case.manifest).iloc[: len(SPLITS)], path)
    return path


def table_of(case, manifest, model, rotations, out, kept=None, **changes):
    config = {**EMBED, **changes}
    options = {"dataset": DATASET, "embed_config": config, "seed": 1, "accelerator": "cpu", "threads": 1}
    embed.run(manifest, case.shards, model, out, rotations=rotations, frozen=kept, **options)
    return read_table(out)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rotations", ROTATIONS)
def test_old_rows_stay_bit_for_bit_and_new_cells_alone_are_encoded(
    case, before, tmp_path, monkeypatch, family, rotations
):
    model = write_untrained(tmp_path / "model.pt", family)
    old = table_of(case, before, model, rotations, tmp_path / "old.parquet")
    # Rows that no encoder makes.
    old["mu_0"] += 1
    write_table(old, tmp_path / "old.parquet")
    whole = table_of(case, case.manifest, model, rotations, tmp_path / "whole.parquet")
    encoded, encode = set(), embed.encode_cells

    def counted(model, cells, *arguments, **options):
        encoded.update(cells.table["CellId"])
        return encode(model, cells, *arguments, **options)

    monkeypatch.setattr(embed, "encode_cells", counted)
    table = table_of(
        case, case.manifest, model, rotations, tmp_path / "new.parquet", tmp_path / "old.parquet"
    )
    n_new = len(ADDED) if rotations == "identity" else ADDED.count("test")
    assert len(encoded) == n_new
    is_old = table["CellId"].isin(old["CellId"])
    pd.testing.assert_frame_equal(table[is_old].reset_index(drop=True), old)
    # Of the others, and of the order, no difference to a table that was made at once.
    labels = ["CellId", "group", "split", "rotation"]
    pd.testing.assert_frame_equal(table[labels], whole[labels])
    assert table.columns.tolist() == whole.columns.tolist()
    mu = table.columns[table.columns.str.startswith("mu_")]
    np.testing.assert_allclose(table.loc[~is_old, mu], whole.loc[~is_old, mu], rtol=1e-4, atol=1e-5)


def test_where_no_cell_is_new_none_is_encoded(case, before, tmp_path):
    model = write_untrained(tmp_path / "model.pt", "classical_pointcloud")
    old = table_of(case, before, model, "identity", tmp_path / "old.parquet")
    table = table_of(case, before, model, "identity", tmp_path / "new.parquet", tmp_path / "old.parquet")
    pd.testing.assert_frame_equal(table, old)


def test_another_number_of_rotations_is_refused_with_the_one_to_set(case, before, tmp_path):
    model = write_untrained(tmp_path / "model.pt", "classical_pointcloud")
    table_of(case, before, model, "uniform", tmp_path / "old.parquet")
    new, old = tmp_path / "new.parquet", tmp_path / "old.parquet"
    with pytest.raises(InputError, match=f"Set it to {EMBED['n_uniform']}, or freeze"):
        table_of(case, case.manifest, model, "uniform", new, old, n_uniform=EMBED["n_uniform"] + 1)


def test_what_is_frozen_are_copies_and_a_digest_of_each_cell(case, tmp_path):
    table = tmp_path / "results/embed/tiny/a_model/seed-42/identity.parquet"
    table.parent.mkdir(parents=True)
    shutil.copy(case.manifest, table)
    freeze.run(case.manifest, case.shards, [table], tmp_path / "frozen")
    kept = read_table(tmp_path / "frozen" / frozen.MANIFEST)
    pd.testing.assert_frame_equal(kept.drop(columns="digest"), read_table(case.manifest))
    usable = kept["success"].astype(bool)
    assert kept.loc[usable, "digest"].nunique() == usable.sum()
    assert kept.loc[~usable, "digest"].isna().all()
    assert (tmp_path / "frozen/a_model/seed-42/identity.parquet").read_bytes() == table.read_bytes()
