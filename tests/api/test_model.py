"""Trained models in Python: the numbers of the workflow, and what cannot be encoded."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
from fabricate.sampled import CUBE, DATASET, write_sampled
from fabricate.trained import EMBED, TRAIN_CONFIG, intensity_config, run_training, small_config
from harness.stages import folder, run_stages
from paths import ROOT

import morphobench
from morphobench import config, files
from morphobench.config import schema
from morphobench.download.stack import read_volumes
from morphobench.embed import run as embed
from morphobench.errors import InputError
from morphobench.files import weights
from morphobench.files.layout import stored_mesh
from morphobench.models import decode
from morphobench.train import run as train

CELLS, SEED = "red_blood_cells", 42
SAMPLE = {"n_surface": 64, "n_queries": 32, "n_points": 64, "resolution": 16}
SHAPE_MODELS = ("classical_image_seg", "rotation_invariant_image_sdf", "rotation_invariant_pointcloud_sdf")


def embedding(manifest, shards, model, out, dataset):
    """Embed cells as rule `embed` does; return the table, by CellId."""
    options = {"rotations": "identity", "dataset": dataset, "embed_config": EMBED, "seed": SEED}
    embed.run(manifest, shards, model, out, **options, accelerator="cpu", threads=1)
    return pd.read_parquet(out).set_index("CellId")


def numbers(table):
    return table.filter(regex=r"^mu_\d+$").to_numpy(np.float32)


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("points"))


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Real red blood cells after every stage of preprocessing, and the data set that says how."""
    root = tmp_path_factory.mktemp("cells")
    change = {"n_shards": 1, "source": {"max_cells": 8}, "sample": SAMPLE, "folds": None}
    change["subsample"] = {"n_points": 48, "n_queries": 16}
    # One factor for all: sizes count.
    change["scale_factor"] = {"mode": "global"}
    whole = schema.read_yaml(ROOT / "config/config.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        described = config.resolve(schema.merge(whole, {"datasets": {CELLS: change}}), ROOT)
        run_stages(described, CELLS, root)
    return root, described


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    """Return a function: the folder of a model that was trained on the cells, and their embeddings."""
    root, _ = cells
    place = (root / f"sample/{CELLS}/manifest.parquet", [folder(root, "sample", CELLS, 0)])

    @cache
    def on_shapes(name):
        out = train_on_shapes(cells, name, tmp_path_factory.mktemp(name))
        return out, embedding(*place, out / "model.pt", out / "identity.parquet", CELLS)

    return on_shapes


def train_on_shapes(cells, name, out):
    root, described = cells
    model_config = config.model_for(described, CELLS, name)
    small = small_config(model_config["family"], max_epochs=1)
    model_config["training"] = small["training"]
    size = {"size": 17} if model_config["representation"] != "surface" else {}
    model_config["architecture"] = {**small["architecture"], **size}
    dataset = described["datasets"][CELLS]
    known = {
        "preprocessing": weights.preprocessing(dataset, model_config["representation"]),
        "sections": weights.sections(dataset),
        "draw_seed": SEED,
    }
    outs = {name: out / file for name, file in FILES.items()}
    train.run(
        root / f"sample/{CELLS}/manifest.parquet",
        [folder(root, "sample", CELLS, 0)],
        **outs,
        dataset=CELLS,
        model_name=name,
        model_config=model_config,
        train_config=TRAIN_CONFIG,
        seed=1,
        source_digest="a",
        threads=1,
        cells_config=known,
        shared=root / f"{CELLS}_shared.parquet",
    )
    return out


FILES = {
    "model_out": "model.pt",
    "record_out": "record.json",
    "curves_out": "curves.csv",
    "checkpoints": "checkpoints",
}


@pytest.mark.parametrize("name", [SHAPE_MODELS[1], pytest.param(SHAPE_MODELS[2], marks=pytest.mark.long)])
def test_volumes_have_the_embeddings_of_the_workflow(cells, trained, name):
    _, described = cells
    out, table = trained(name)
    source = ROOT / described["datasets"][CELLS]["source"]["stack"]
    known = pd.read_csv(source.with_name("manifest.csv"))["CellId"].tolist()
    every = read_volumes(source)
    model, few = morphobench.load(out), list(table.index[:3])
    volumes = [every[known.index(cell)] for cell in few]
    encoded = model.encode(volumes, spacing_um=1.0, cell_ids=few)
    np.testing.assert_allclose(encoded, numbers(table)[:3], rtol=1e-5, atol=1e-6)
    # Finer voxels along z, and another margin: nearly the same cell.
    other = np.pad(np.repeat(volumes[0], 2, axis=0), 3)
    moved = model.encode([other], spacing_um=(0.5, 1.0, 1.0), cell_ids=few[:1])
    assert np.linalg.norm(numbers(table) - moved, axis=1).argmin() == 0


def masked(root, table):
    """Return the surfaces of cells after stage `mask`."""
    shard = folder(root, "mask", CELLS, 0)
    return [stored_mesh(shard, files.read_cell(shard, cell)) for cell in table.index]


@pytest.mark.parametrize("name", SHAPE_MODELS)
def test_meshes_have_the_embeddings_and_poses_of_the_workflow(cells, trained, name):
    root, _ = cells
    out, table = trained(name)
    meshes, ids, model = masked(root, table), list(table.index), morphobench.load(out)
    z, pose = decode.decoder_inputs(table.reset_index())
    np.testing.assert_allclose(model.decoder_input(meshes, cell_ids=ids), z, rtol=1e-5, atol=1e-6)
    if pose is not None:
        np.testing.assert_allclose(model.pose(meshes, cell_ids=ids), pose, atol=1e-5)
    millimetres = [(vertices_um / 1000, faces) for vertices_um, faces in meshes[:1]]
    again = model.encode(millimetres, spacing_um=1000.0, cell_ids=ids[:1])
    np.testing.assert_allclose(again, numbers(table)[:1], rtol=1e-3, atol=1e-4)


def test_the_page_of_documentation_runs_as_written(trained, tmp_path, monkeypatch, capsys):
    name = "rotation_invariant_image_sdf"
    place = tmp_path / f"results/train/{CELLS}/{name}/seed-42/fold-0"
    place.parent.mkdir(parents=True)
    place.symlink_to(trained(name)[0])
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    known = {}
    exec(code, known)  # noqa: S102 (our own page)
    assert known["embeddings"].shape == (2, 8)
    assert known["vertices"].shape[1] == 3
    # Quarter turns are exact.
    assert float(capsys.readouterr().out.split(":")[1]) < 1e-4


def test_shapes_are_decoded_in_micrometres_of_the_training(trained):
    model = morphobench.load(trained("rotation_invariant_pointcloud_sdf")[0])
    ball = np.linalg.norm(np.indices((25, 25, 25)) - 12, axis=0) < 9
    vectors = model.decoder_input([ball], spacing_um=1.0)
    (one,), (twice,) = (model.decode(vectors, sizes_um=[size]) for size in (18.0, 36.0))
    assert len(one[1])
    np.testing.assert_allclose(2 * np.ptp(one[0], axis=0), np.ptp(twice[0], axis=0), rtol=1e-5)
    with pytest.raises(InputError, match="lengths do not hold a shape"):
        model.decode(model.encode([ball], spacing_um=1.0))


@pytest.mark.parametrize("make", [lambda: small_config("rotation_invariant_pointcloud"), intensity_config])
def test_points_have_the_embeddings_of_the_workflow(points, tmp_path, make):
    out = run_training(points, tmp_path / "out", {**make(), "training": small_config("x")["training"]})
    table = embedding(*points, out / "model.pt", tmp_path / "identity.parquet", DATASET)
    stored = pd.read_parquet(points.manifest).query("success").set_index("CellId").loc[table.index]
    arrays = {name: [np.load(shard / f"{name}.npy") for shard in points.shards] for name in READ}
    rows = list(zip(stored["shard"], stored["index"], strict=True))
    clouds = [arrays["points_um"][shard][row] for shard, row in rows]
    model = morphobench.load(out / "model.pt")
    if model.model_config.get("intensity"):
        counts = [arrays["intensity"][shard][row] for shard, row in rows]
        clouds = [np.column_stack(pair) for pair in zip(clouds, counts, strict=True)]
    encoded = model.encode(clouds, cell_ids=list(table.index), batch_size=3)
    np.testing.assert_allclose(encoded, numbers(table), rtol=1e-5, atol=1e-6)
    # In another unit, and turned: a rotation-invariant model says the same.
    nanometres = [cloud * [1000, 1000, 1000, 1][: cloud.shape[1]] for cloud in clouds]
    again = model.encode(nanometres, spacing_um=0.001, cell_ids=list(table.index))
    np.testing.assert_allclose(again, encoded, rtol=1e-4, atol=1e-5)
    decoded = model.decode(encoded[:2], pose=model.pose(clouds[:2]))
    n_points = model.model_config["architecture"]["n_output_points"]
    assert [cloud.shape for cloud in decoded] == [(n_points, 3)] * 2


READ = ("points_um", "intensity")


def test_cubes_have_the_embeddings_of_the_workflow(points, tmp_path):
    out = run_training(points, tmp_path / "out", small_config("classical_image", max_epochs=1))
    table = embedding(*points, out / "model.pt", tmp_path / "identity.parquet", DATASET)
    stored = pd.read_parquet(points.manifest).query("success").set_index("CellId").loc[table.index]
    arrays = [np.load(shard / "cube.npy") for shard in points.shards]
    cubes = [arrays[shard][row] for shard, row in zip(stored["shard"], stored["index"], strict=True)]
    model = morphobench.load(out)
    np.testing.assert_allclose(model.encode(cubes), numbers(table), rtol=1e-5, atol=1e-6)
    assert model.decode(model.encode(cubes[:2]))[0].shape == (CUBE["size"],) * 3
    np.testing.assert_array_equal(model.pose(cubes[:2]), np.tile(np.eye(3), (2, 1, 1)))


@pytest.fixture(scope="module")
def model_of_points(points, tmp_path_factory):
    out = tmp_path_factory.mktemp("points") / "out"
    return morphobench.load(run_training(points, out, small_config("classical_pointcloud", max_epochs=1)))


@pytest.mark.parametrize(
    ("cells_in", "options", "reason"),
    [
        ([np.zeros((64, 2))], {}, r"cell 0: the model reads points \(n, 3\)"),
        ([np.full((64, 3), np.nan)], {}, "finite numbers"),
        ([np.zeros((4, 4, 4))], {}, "the model reads points"),
        ([np.zeros((64, 3))] * 2, {"cell_ids": ["a"]}, "1 cell_ids for 2 cells"),
    ],
)
def test_cells_of_another_kind_are_named(model_of_points, cells_in, options, reason):
    with pytest.raises(InputError, match=reason):
        model_of_points.encode(cells_in, **options)


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(InputError, match=r"model\.pt: no such file"):
        morphobench.load(tmp_path)
