"""Real segmented shapes through the workflow: to five models, and a multi-piece structure in whole cells."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from harness.clone import job_counts, make_clone, snakemake
from paths import SHARED

from morphobench.files.tables import embedding_matrix
from morphobench.metrics.classification import classification_scores

pytestmark = pytest.mark.end_to_end

FIELD = SHARED / "data/hipsc_tomm20_fov"
# The demo's figures have the other models of shapes but the implicit one, which is here for its turns.
MODELS = (
    "classical_image_seg",
    "rotation_invariant_image_seg",
    "rotation_invariant_image_sdf",
    "rotation_invariant_pointcloud_sdf",
)
SHEET = "results/plot/cells/adrenal.png"
MANIFEST = "results/sample/adrenal/manifest.parquet"
N_CELLS = 40
FEW = "models={" + ", ".join(f"{model}: {{training: {{max_epochs: 2}}}}" for model in MODELS) + "}"
OPTIONS = (
    "--cores",
    "2",
    "--config",
    "scale=demo",
    f"datasets={{adrenal: {{source: {{max_cells: {N_CELLS}}}}}}}",
    FEW,
)


def codes_of(model, pose):
    return f"results/embed/adrenal/{model}/seed-42/{pose}.parquet"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = make_clone(tmp_path_factory.mktemp("shapes") / "morphobench")
    targets = [SHEET, *(codes_of(model, pose) for model in MODELS for pose in ("identity", "lattice"))]
    snakemake(folder, *OPTIONS, "--", *targets)
    return folder


def arrays(folder, name, dataset="adrenal"):
    table = pd.read_parquet(folder / f"results/sample/{dataset}/manifest.parquet").query("success")
    shards = {
        n: np.load(folder / f"results/sample/{dataset}/shard-{n}/{name}.npy") for n in table["shard"].unique()
    }
    return np.stack([shards[row["shard"]][row["index"]] for row in table.to_dict("records")])


def test_every_shape_is_sampled_with_its_label(clone):
    table = pd.read_parquet(clone / MANIFEST)
    assert len(table) == N_CELLS
    assert table["success"].all()
    assert set(table["shape"]) == {"normal", "hyperplasia"}
    assert (table["n_pieces"] >= 1).all()
    assert (clone / SHEET).stat().st_size > 50_000


def test_distances_and_segmentations_lie_on_one_grid(clone):
    sdf, seg = arrays(clone, "sdf"), arrays(clone, "seg")
    np.testing.assert_array_equal(seg.astype(bool), sdf <= 0)
    assert (seg.sum(axis=(1, 2, 3)) > 20).all()


def test_query_points_lie_where_their_distances_say(clone):
    queries, distances, surface = (arrays(clone, name) for name in ("queries", "distances", "surface"))
    for q, d, s in zip(queries[:5], distances[:5], surface[:5], strict=True):
        nearest = np.linalg.norm(q[:200, None] - s[None], axis=-1).min(axis=1)
        assert (nearest >= np.abs(d[:200]) - 1e-5).all()
        assert np.abs(nearest - np.abs(d[:200])).mean() < 0.03


@pytest.mark.parametrize("model", MODELS)
def test_every_model_codes_every_shape(clone, model):
    codes = pd.read_parquet(clone / codes_of(model, "identity"))
    assert len(codes) == N_CELLS
    assert np.isfinite(codes.filter(like="mu_").to_numpy()).all()


@pytest.mark.parametrize("model", MODELS)
def test_codes_are_classified_by_the_label_of_the_dataset(clone, model):
    (label,) = yaml.safe_load((clone / "config/datasets/adrenal.yaml").read_text())["labels"]
    codes = pd.read_parquet(clone / codes_of(model, "identity"))
    truth = pd.read_parquet(clone / MANIFEST).set_index("CellId").loc[codes["CellId"], label]
    found = classification_scores(embedding_matrix(codes), truth.to_numpy(), codes["split"].to_numpy())
    print(model, found.scores)
    assert found.reason == ""
    assert 0 <= found.scores["balanced_accuracy"] <= 1
    assert found.scores["majority"] > 0.5


def test_volume_alone_and_other_baselines_are_scored_on_turned_shapes(clone):
    names = ("shape_volume", "shape_sizes", "harmonic_power", "harmonic_coefficients")
    tables = {name: f"results/score/adrenal/{name}/seed-42/scores.parquet" for name in names}
    snakemake(clone, *OPTIONS, "--", *tables.values())
    scores = pd.concat([pd.read_parquet(clone / path) for path in tables.values()])
    table = scores[scores["variant"] == "corrected"].pivot_table(
        index="metric", columns="model", values="value"
    )
    print("\n" + table.filter(like="auroc", axis=0).to_string())
    areas = table.filter(regex=r"^classification_\w+_auroc(_rotated)?$", axis=0)
    assert len(areas) == 2
    assert areas.notna().all(axis=None)
    turned = table.loc["rotation_invariance_error_uniform"]
    assert (turned.drop("harmonic_coefficients") < 1e-6).all()
    assert turned["harmonic_coefficients"] > 0.1


@pytest.mark.parametrize("model", [model for model in MODELS if model.startswith("rotation")])
def test_invariant_models_code_all_turns_alike(clone, model):
    codes = pd.read_parquet(clone / codes_of(model, "lattice"))
    mu = codes.filter(like="mu_").to_numpy()
    for _, rows in codes.groupby("CellId"):
        one = mu[rows.index]
        assert np.linalg.norm(one - one[0], axis=1).max() < 1e-4 * np.linalg.norm(one[0])


def test_other_grids_of_the_same_cells_share_their_meshes(clone):
    described = yaml.safe_load((clone / "config/datasets/adrenal.yaml").read_text())
    described |= {"cells_from": ["adrenal"], "n_shards": 0, "source": {}}
    described["sample"]["resolution"] = 24
    (clone / "config/datasets/adrenal_fine.yaml").write_text(yaml.safe_dump(described))
    manifest = "results/sample/adrenal_fine/manifest.parquet"
    plan = job_counts(snakemake(clone, "-n", *OPTIONS, "--", manifest).stdout)
    assert plan == {"mask_scale_factor": 1, "sample": 2, "sample_manifest": 1, "total": 4}
    snakemake(clone, *OPTIONS, "--", manifest)
    assert arrays(clone, "sdf", "adrenal_fine").shape == (N_CELLS, 24, 24, 24)


def test_mitochondria_of_whole_cells_run_from_the_field_of_view(clone):
    if not FIELD.is_dir():
        pytest.skip("the TOMM20 field of view is not beside this checkout")
    folder = clone / "field"
    folder.mkdir()
    names = {"image": "structure", "membrane_segmentation": "cell"}
    row = {"FOVId": "tomm20"}
    for column, name in names.items():
        file = FIELD / f"TOMM20_pipeline_example_{name}_segmentation.tiff"
        row[column] = shutil.copy(file, folder / f"{name}.tiff").name
    pd.DataFrame([row]).to_csv(folder / "fovs.csv", index=False)
    described = yaml.safe_load((clone / "config/datasets/adrenal.yaml").read_text())
    fov = {"channel_names": ["TOMM20"], "label_channels": ["membrane_segmentation"]}
    fov |= {"spacing_um_zyx": [0.29, 0.108333, 0.108333], "margin_um": 1.0, "z_border": False}
    described |= {
        "title": "Mitochondria (TOMM20)",
        "source": {"fovs": "field/fovs.csv", "fov": fov},
        "channels": {"structure": "TOMM20", "cell_mask": "membrane_segmentation"},
        "voxel_um": 0.2,
        "n_shards": 1,
        "stratum": "FOVId",
        "labels": [],
    }
    described["sample"] |= {"n_surface": 4096, "n_queries": 2048}
    described["subsample"] = {"n_points": 1024, "n_queries": 1024, "weight": "uniform"}
    (clone / "config/datasets/tomm20.yaml").write_text(yaml.safe_dump(described))
    sheet = "results/plot/cells/tomm20.png"
    snakemake(clone, *OPTIONS, "--", sheet)
    table = pd.read_parquet(clone / "results/sample/tomm20/manifest.parquet")
    assert len(table) == 13
    assert table["success"].sum() == 13, table["error"].tolist()
    assert (table["n_pieces"] > 1).all()
    assert table["n_pieces_label"].isin(["1", "2", "3", "4", ">=5"]).all()
