"""Embeddings of analyses decode into clouds where a model can, else into an empty table and a log line."""

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.sampled import SIDE_UM
from fabricate.trained import EMBED, small_config

from morphobench import models
from morphobench.analyse import decoded
from morphobench.files import read_table, write_table

BLOCK = {"embed": EMBED, "side_um": SIDE_UM, "seed": 3}


def model_file(folder, family):
    path = folder / f"{family}.pt"
    known = small_config(family)
    torch.manual_seed(1)
    models.save(models.create(known["family"], **known["architecture"]), known, path)
    return path


@pytest.fixture
def embeddings(tmp_path):
    table = pd.DataFrame({"stratum": ["a", "a", "b"], "component": 0, "sigma": [-2.0, 2.0, 0.0], "sd": 1.0})
    z = np.random.default_rng(0).normal(size=(3, 8))
    path = tmp_path / "embeddings.parquet"
    write_table(pd.concat([table, pd.DataFrame(z, columns=[f"mu_{i}" for i in range(8)])], axis=1), path)
    return path


@pytest.mark.parametrize("family", ["rotation_invariant_pointcloud", "classical_image"])
def test_each_embedding_becomes_a_cloud_with_its_labels(tmp_path, embeddings, family):
    path, out = model_file(tmp_path, family), tmp_path / "walks.parquet"
    decoded.decode(path, {"walks": embeddings}, {"walks": out}, **BLOCK)
    table = read_table(out)
    assert table.columns.tolist() == ["stratum", "component", "sigma", "x_um", "y_um", "z_um"]
    assert table.groupby(["stratum", "sigma"]).size().tolist() == [EMBED["error_points"]] * 3
    assert np.isfinite(table[["x_um", "y_um", "z_um"]]).all(axis=None)
    decoded.decode(path, {"walks": embeddings}, {"walks": out}, **BLOCK)
    pd.testing.assert_frame_equal(read_table(out), table)


def test_a_model_that_does_not_decode_into_points_has_no_rows(tmp_path, embeddings, caplog):
    path, out = model_file(tmp_path, "rotation_invariant_pointcloud_sdf"), tmp_path / "walks.parquet"
    decoded.decode(path, {"walks": embeddings}, {"walks": out}, **BLOCK)
    table = read_table(out)
    assert table.empty
    assert {"stratum", "sigma", "x_um"} <= set(table)
    assert "no shapes are decoded" in caplog.text


def test_no_embeddings_have_no_shapes(tmp_path, embeddings):
    write_table(read_table(embeddings).iloc[:0].assign(bin=0), embeddings)
    path, out = model_file(tmp_path, "rotation_invariant_pointcloud"), tmp_path / "bins.parquet"
    decoded.decode(path, {"volume_bins": embeddings}, {"volume_bins": out}, **BLOCK)
    assert read_table(out).columns.tolist() == ["bin", "x_um", "y_um", "z_um"]


def test_each_analysis_gives_what_it_gives_alone(tmp_path, embeddings):
    path = model_file(tmp_path, "rotation_invariant_pointcloud")
    archetypes = tmp_path / "archetype_embeddings.parquet"
    labels = {"archetype": range(3), "explained_variance": 1.0, "start_distance": 0.0}
    write_table(read_table(embeddings).assign(**labels), archetypes)
    given = {"walks": embeddings, "archetypes": archetypes}
    together = {name: tmp_path / f"{name}.parquet" for name in given}
    decoded.decode(path, given, together, **BLOCK)
    for name, table in given.items():
        alone = tmp_path / "alone.parquet"
        decoded.decode(path, {name: table}, {name: alone}, **BLOCK)
        assert together[name].read_bytes() == alone.read_bytes()
