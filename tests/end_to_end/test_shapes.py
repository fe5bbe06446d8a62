"""Real segmented shapes through the workflow: to five models, and a multi-piece structure in whole cells."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import yaml
from harness.cells_clone import (
    N_SHAPES,
    SHAPE_BASELINES,
    SHAPE_MODELS,
    arrays,
    contact_sheet,
    embedding,
    manifest,
    scores,
)

from morphobench.files.tables import embedding_matrix
from morphobench.metrics.classification import classification_scores

pytestmark = [pytest.mark.end_to_end, pytest.mark.long]

MANIFEST = manifest("adrenal")


def stacked(folder, name, dataset="adrenal"):
    return np.stack(list(arrays(folder, dataset, name).values()))


def test_every_shape_is_sampled_with_its_label(cells):
    table = pd.read_parquet(cells / MANIFEST)
    assert len(table) == N_SHAPES
    assert table["success"].all()
    assert set(table["shape"]) == {"normal", "hyperplasia"}
    assert (table["n_pieces"] >= 1).all()
    assert (cells / contact_sheet("adrenal")).stat().st_size > 50_000


def test_distances_and_segmentations_lie_on_one_grid(cells):
    sdf, seg = stacked(cells, "sdf"), stacked(cells, "seg")
    np.testing.assert_array_equal(seg.astype(bool), sdf <= 0)
    assert (seg.sum(axis=(1, 2, 3)) > 20).all()


def test_query_points_lie_where_their_distances_say(cells):
    queries, distances, surface = (stacked(cells, name) for name in ("queries", "distances", "surface"))
    for q, d, s in zip(queries[:5], distances[:5], surface[:5], strict=True):
        nearest = np.linalg.norm(q[:200, None] - s[None], axis=-1).min(axis=1)
        assert (nearest >= np.abs(d[:200]) - 1e-5).all()
        assert np.abs(nearest - np.abs(d[:200])).mean() < 0.03


@pytest.mark.parametrize("model", SHAPE_MODELS)
def test_every_model_codes_every_shape(cells, model):
    codes = pd.read_parquet(cells / embedding("adrenal", model))
    assert len(codes) == N_SHAPES
    assert np.isfinite(codes.filter(like="mu_").to_numpy()).all()


@pytest.mark.parametrize("model", SHAPE_MODELS)
def test_codes_are_classified_by_the_label_of_the_dataset(cells, model):
    (label,) = yaml.safe_load((cells / "config/datasets/adrenal.yaml").read_text())["labels"]
    codes = pd.read_parquet(cells / embedding("adrenal", model))
    truth = pd.read_parquet(cells / MANIFEST).set_index("CellId").loc[codes["CellId"], label]
    found = classification_scores(embedding_matrix(codes), truth.to_numpy(), codes["split"].to_numpy())
    print(model, found.scores)
    assert found.reason == ""
    assert 0 <= found.scores["balanced_accuracy"] <= 1
    assert found.scores["majority"] > 0.5


def test_volume_alone_and_other_baselines_are_scored_on_rotated_shapes(cells):
    found = pd.concat([pd.read_parquet(cells / scores("adrenal", name)) for name in SHAPE_BASELINES])
    table = found[found["variant"] == "corrected"].pivot_table(
        index="metric", columns="model", values="value"
    )
    print("\n" + table.filter(like="auroc", axis=0).to_string())
    areas = table.filter(regex=r"^classification_\w+_auroc(_rotated)?$", axis=0)
    assert len(areas) == 2
    assert areas.notna().all(axis=None)
    turned = table.loc["rotation_invariance_error_uniform"]
    assert (turned.drop("harmonic_coefficients") < 1e-6).all()
    assert turned["harmonic_coefficients"] > 0.1


@pytest.mark.parametrize("model", [model for model in SHAPE_MODELS if model.startswith("rotation")])
def test_invariant_models_code_all_turns_alike(cells, model):
    codes = pd.read_parquet(cells / embedding("adrenal", model, "lattice"))
    mu = codes.filter(like="mu_").to_numpy()
    for _, rows in codes.groupby("CellId"):
        one = mu[rows.index]
        assert np.linalg.norm(one - one[0], axis=1).max() < 1e-4 * np.linalg.norm(one[0])


def test_other_grids_of_the_same_cells_share_their_meshes(cells):
    assert stacked(cells, "sdf", "adrenal_coarse").shape == (N_SHAPES, 12, 12, 12)
    jobs = [path.relative_to(cells / "benchmarks").parts for path in (cells / "benchmarks").rglob("*.tsv")]
    of_coarse = [parts[0] for parts in jobs if parts[1].removesuffix(".tsv") == "adrenal_coarse"]
    assert Counter(of_coarse) == {"mask_scale_factor": 1, "sample": 2, "sample_manifest": 1}


def test_mitochondria_of_whole_cells_run_from_the_field_of_view(cells):
    if not (cells / "field").is_dir():
        pytest.skip("the TOMM20 field of view is not beside this checkout")
    assert (cells / contact_sheet("tomm20")).is_file()
    table = pd.read_parquet(cells / manifest("tomm20"))
    assert len(table) == 13
    assert table["success"].sum() == 13, table["error"].tolist()
    assert (table["n_pieces"] > 1).all()
    assert table["n_pieces_label"].isin(["1", "2", "3", "4", ">=5"]).all()
