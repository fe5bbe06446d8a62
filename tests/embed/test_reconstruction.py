"""Reconstruction errors: a perfect autoencoder is at the noise floor, an off-scale shape is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.perfect_models import SURFACE_CONFIG, Balls, Echo, volume_config
from fabricate.sampled import DATASET as TINY
from fabricate.sampled import SIDE_UM, clouds_um, write_sampled
from fabricate.sampled import SPLITS as TINY_SPLITS
from fabricate.shapes import DATASET, SPLITS, write_sampled_shapes
from fabricate.trained import DECODING, EMBED, small_config, write_untrained
from scipy.spatial import cKDTree

from morphobench import models
from morphobench.embed import reconstruction
from morphobench.embed import run as embed
from morphobench.embed.reconstruction import (
    CLOUD_COLUMNS,
    SHAPE_COLUMNS,
    cloud_errors,
    mesh_errors,
)
from morphobench.embed.references import cloud_references, mean_cloud, mean_mesh, other_cells
from morphobench.files import read_table
from morphobench.geometry import rotation
from morphobench.geometry.isosurface import enclosed_volume
from morphobench.geometry.packing import upsample
from morphobench.models.base import Autoencoder, Embedding
from morphobench.models.cells import POINT_CLOUDS, open_cells
from morphobench.models.decode_surfaces import masked_mesh

TEST = [f"{n:02d}" for n, split in enumerate(SPLITS) if split == "test"]
FLOORS = ["noise_floor_iou", "noise_floor_surface_um"]
ERRORS = ["reconstruction_iou", "reconstruction_surface_um"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return write_sampled_shapes(tmp_path_factory.mktemp("shapes"))


def tables_of(case, folder, model_path, *, dataset, meshes=(), side_um=None, packing=None, **changes):
    """Embed as it is and reconstruct; return both tables."""
    common = {"dataset": dataset, "seed": 1, "accelerator": "cpu", "threads": 1}
    common["embed_config"] = {**EMBED, **changes}
    stages = (case.manifest, case.shards, model_path)
    embed.run(*stages, folder / "identity.parquet", rotations="identity", **common)
    out = folder / "reconstruction.parquet"
    more = {"meshes": meshes, "side_um": side_um, "packing": packing, "stratum": "rule"}
    reconstruction.run(*stages, folder / "identity.parquet", out, **more, **common)
    return read_table(folder / "identity.parquet"), read_table(out)


def errors_of(monkeypatch, shapes, folder, model, chosen, *, meshes=None, **changes):
    monkeypatch.setattr(models, "load", lambda path: (model, chosen))
    changes = {"error_points": 256, "error_voxels": 32, **changes}
    meshes = shapes.meshes if meshes is None else meshes
    return tables_of(shapes, folder, "model.pt", dataset=DATASET, meshes=meshes, **changes)[1]


@pytest.mark.parametrize("representation", ["sdf", "seg"])
def test_a_perfect_autoencoder_of_shapes_is_at_the_floor(representation, shapes, monkeypatch, tmp_path):
    found = errors_of(monkeypatch, shapes, tmp_path, Echo(), volume_config(representation))
    assert found["CellId"].tolist() == TEST
    assert (found["split"] == "test").all()
    np.testing.assert_allclose(found[ERRORS], found[FLOORS], atol=1e-6)
    assert (found["reconstruction_iou"] < 0.25).all()
    assert (found["reconstruction_surface_um"] < 0.2).all()
    assert (found["reason"] == "").all()
    assert found["success"].all()


def test_a_shape_of_another_size_is_penalised_but_not_by_the_published_error(shapes, monkeypatch, tmp_path):
    by_voxels = [
        errors_of(monkeypatch, shapes, tmp_path, Echo(enlarge), volume_config("sdf"))
        for enlarge in (0.0, 1.0, 2.0)
    ]
    for column in ERRORS:
        means = [table[column].mean() for table in by_voxels]
        assert means[0] < means[1] - 0.05 < means[2] - 0.1
    legacy = [table["reconstruction_iou_legacy"].mean() for table in by_voxels]
    errors = [table["reconstruction_iou"].mean() for table in by_voxels]
    assert legacy[1] - legacy[0] < 0.5 * (errors[1] - errors[0])


def test_shapes_that_decode_to_nothing_have_the_largest_error_and_a_reason(shapes, monkeypatch, tmp_path):
    found = errors_of(monkeypatch, shapes, tmp_path, Echo(enlarge=-99.0), volume_config("sdf"))
    assert (found["reconstruction_iou"] == 1).all()
    assert found[["reconstruction_surface_um", "reconstruction_iou_legacy"]].isna().all(axis=None)
    assert (found["reason"] == "decodes to no surface").all()
    assert not found["success"].any()


def test_without_masked_meshes_errors_stay_empty_with_a_reason(shapes, monkeypatch, tmp_path):
    found = errors_of(monkeypatch, shapes, tmp_path, Echo(), volume_config("sdf"), meshes=())
    assert found[list(SHAPE_COLUMNS)].isna().all(axis=None)
    assert (found["reason"] == "no masked surface to compare with").all()


@pytest.mark.parametrize("representation", ["sdf", "surface"])
def test_errors_do_not_depend_on_batches(representation, shapes, monkeypatch, tmp_path):
    model, chosen = (
        (Balls(), SURFACE_CONFIG) if representation == "surface" else (Echo(), volume_config("sdf"))
    )
    one, other = (errors_of(monkeypatch, shapes, tmp_path, model, chosen, batch_size=size) for size in (2, 7))
    pd.testing.assert_frame_equal(one, other, rtol=1e-5, atol=1e-6)


def test_the_implicit_model_stores_vectors_in_the_canonical_frame(shapes, monkeypatch, tmp_path):
    monkeypatch.setattr(models, "load", lambda path: (Balls(), SURFACE_CONFIG))
    options = {"dataset": DATASET, "error_points": 256, "error_voxels": 32}
    table, errors = tables_of(shapes, tmp_path, "model.pt", meshes=shapes.meshes, **options)
    assert np.isfinite(errors[ERRORS]).all(axis=None)
    vectors = np.stack(table["vectors"].to_list()).reshape(-1, 2, 3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), table[["mu_0", "mu_1"]], rtol=1e-5)
    # Both vectors span the first two canonical axes, the first one along the first.
    np.testing.assert_allclose(vectors[:, :, 2], 0, atol=1e-6)
    np.testing.assert_allclose(vectors[:, 0, 1], 0, atol=1e-6)
    place = shapes.manifest, shapes.shards, "model.pt", tmp_path / "uniform.parquet"
    how = {"embed_config": EMBED, "seed": 1, "accelerator": "cpu", "threads": 1}
    embed.run(*place, rotations="uniform", dataset=DATASET, **how)
    rotated = read_table(tmp_path / "uniform.parquet")
    assert "vectors" not in rotated
    by_cell = rotated.groupby("CellId")[["mu_0", "mu_1"]]
    assert (by_cell.max() - by_cell.min()).to_numpy().max() < 1e-5


def test_masked_meshes_lie_where_the_sampled_points_are(shapes):
    cells = open_cells(shapes.manifest, shapes.shards, POINT_CLOUDS)
    points_um = cells.raw(range(len(cells)))["points_um"]
    for row, cloud in zip(cells.table.to_dict("records"), points_um, strict=True):
        vertices_um, faces = masked_mesh(row, shapes.meshes)
        np.testing.assert_allclose(vertices_um.max(axis=0), -vertices_um.min(axis=0), atol=1e-4)
        mesh = vertices_um, faces
        assert mesh_errors(mesh, mesh, {**EMBED, "error_voxels": 16, "error_points": 9})[0] == 0
        nearest = np.linalg.norm(cloud[:, None] - vertices_um[None], axis=-1).min(axis=1)
        assert nearest.max() < 0.6


# Clouds and cubes


class Same(Autoencoder):
    """A perfect autoencoder of clouds or cubes, in a turned canonical frame."""

    def __init__(self, shape, turn):
        super().__init__()
        self.shape, self.turn = shape, torch.tensor(turn, dtype=torch.float32)

    def infer(self, x):
        # Canonical = R^-1 observed, points as rows.
        canonical = x @ self.turn if x.ndim == 3 else x
        pose = self.turn.expand(len(x), 3, 3) if x.ndim == 3 else None
        return Embedding(canonical.flatten(1), pose)

    def decode(self, z, pose=None):
        shape = z.reshape(-1, *self.shape)
        return shape if pose is None else shape @ pose.transpose(1, 2)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("clouds"))


@pytest.fixture(scope="module")
def untrained(clouds, tmp_path_factory):
    """Errors of every family that decodes into points."""
    found = {}
    for family in DECODING:
        folder = tmp_path_factory.mktemp(family)
        path = write_untrained(folder / "model.pt", family)
        found[family] = tables_of(clouds, folder, path, dataset=TINY, side_um=SIDE_UM)[1]
    return found


@pytest.mark.parametrize("family", DECODING)
def test_every_test_cell_has_errors_and_no_other_cell(untrained, family):
    table = untrained[family]
    assert table["CellId"].tolist() == [f"{n:02d}" for n, split in enumerate(TINY_SPLITS) if split == "test"]
    assert (table[list(CLOUD_COLUMNS)] > 0).all(axis=None)


@pytest.mark.parametrize("family", DECODING)
def test_no_untrained_model_is_better_than_perfect(untrained, family):
    table = untrained[family]
    for kind in ("sinkhorn", "chamfer"):
        assert table[f"sampling_distance_{kind}_um"].mean() < table[f"reconstruction_{kind}_um"].mean()


@pytest.mark.parametrize("family", DECODING)
def test_errors_of_clouds_do_not_depend_on_batches_or_shards(untrained, family, tmp_path):
    case = write_sampled(tmp_path / "data", n_shards=1)
    path = write_untrained(tmp_path / "model.pt", family)
    found = tables_of(case, tmp_path, path, dataset=TINY, side_um=SIDE_UM, batch_size=2)[1]
    pd.testing.assert_frame_equal(found, untrained[family], rtol=1e-3, atol=1e-4)


def test_without_test_cells_the_table_is_empty(tmp_path):
    case = write_sampled(tmp_path / "data", splits=["train"] * 6)
    path = write_untrained(tmp_path / "model.pt", "classical_pointcloud")
    found = tables_of(case, tmp_path, path, dataset=TINY, side_um=SIDE_UM)[1]
    assert found.empty
    assert list(found) == ["CellId", "split", "success", "reason"]


def cloud_errors_of(monkeypatch, clouds, folder, representation, **changes):
    turn = rotation.about_z(40)
    chosen = small_config("classical_pointcloud" if representation == "points" else "classical_image")
    model = Same((64, 3) if representation == "points" else (1, 9, 9, 9), turn)
    monkeypatch.setattr(models, "load", lambda path: (model, chosen))
    return tables_of(clouds, folder, "model.pt", dataset=TINY, side_um=SIDE_UM, **changes)[1]


def test_a_perfect_autoencoder_of_whole_clouds_has_no_error(clouds, monkeypatch, tmp_path):
    found = cloud_errors_of(monkeypatch, clouds, tmp_path, "points", error_points=64)
    assert found.filter(like="reconstruction").shape[1] == 3
    assert (found.filter(like="reconstruction").abs() < 1e-3).all(axis=None)
    # All 64 stored points are compared: there are no others to sample.
    assert found.filter(like="sampling_distance").isna().all(axis=None)
    assert (found.filter(regex="other_cell|mean_shape") > 0.1).all(axis=None)


@pytest.mark.parametrize("representation", ["points", "cube"])
def test_a_perfect_autoencoder_of_choices_is_at_the_floor(representation, clouds, monkeypatch, tmp_path):
    found = cloud_errors_of(monkeypatch, clouds, tmp_path, representation, error_points=32)
    for kind in ("sinkhorn", "chamfer"):
        error, floor = (found[f"{what}_{kind}_um"].mean() for what in ("reconstruction", "sampling_distance"))
        assert error == pytest.approx(floor, rel=0.25) if representation == "cube" else error < floor


def test_cloud_errors_have_their_columns_in_order(clouds):
    cells = open_cells(clouds.manifest, clouds.shards, POINT_CLOUDS, "test")
    chosen = small_config("classical_pointcloud")
    codes = cells.raw(range(len(cells)))["points_um"].reshape(len(cells), -1) * chosen["input_scale"]
    own = {"dataset": TINY, "stratum": None, "packing": None, "seed": 1}
    references = cloud_references(clouds.manifest, clouds.shards, **own, n_points=24)
    same = Same((64, 3), np.eye(3))
    found = cloud_errors(
        same, cells, codes, None, chosen, EMBED, references, dataset=TINY, side_um=None, seed=1
    )
    assert tuple(found.columns) == (*CLOUD_COLUMNS, "reason")


def test_published_units_are_the_models_own(clouds, monkeypatch, tmp_path):
    """A reconstruction moved by one model unit: the published error says so whatever a micrometre is."""

    class Moved(Same):
        def decode(self, z, pose=None):
            return super().decode(z, pose) + 1.0

    chosen = small_config("classical_pointcloud")
    monkeypatch.setattr(models, "load", lambda path: (Moved((64, 3), np.eye(3)), chosen))
    _, found = tables_of(clouds, tmp_path, "model.pt", dataset=TINY, error_points=64)
    expected = 3**0.5
    assert found["reconstruction_sinkhorn_legacy"].mean() == pytest.approx(expected, rel=0.02)
    assert found["reconstruction_sinkhorn_um"].mean() == pytest.approx(expected / 0.5, rel=0.05)


# What errors are read against


def test_a_perfect_decoder_that_samples_anew_is_at_the_sampling_distance(clouds, monkeypatch, tmp_path):
    """The model knows the spheres and jitters them anew, with as many points as are stored."""
    jitter, known = {"n_points": 128, "jitter_um": 0.05, "jitter_clip_um": 0.1}, clouds_um().reshape(-1, 3)
    case = write_sampled(tmp_path / "data")
    for shard in case.shards:
        centres_um = np.load(shard / "centres_um.npy").reshape(-1, 64, 3)
        rng = np.random.default_rng(1)
        np.save(shard / "points_um.npy", np.stack([upsample(c, **jitter, rng=rng) for c in centres_um]))
    chosen = small_config("classical_pointcloud")

    class Anew(Same):
        def decode(self, z, pose=None):
            spheres = super().decode(z, pose)[:, :64] / chosen["input_scale"]
            rng = np.random.default_rng(7)
            drawn = [upsample(known[cKDTree(known).query(c)[1]], **jitter, rng=rng) for c in spheres.numpy()]
            return torch.tensor(np.stack(drawn)) * chosen["input_scale"]

    monkeypatch.setattr(models, "load", lambda path: (Anew((128, 3), np.eye(3)), chosen))
    options = {"error_points": 128, "sinkhorn_blur_um": 0.005, "sinkhorn_scaling": 0.9}
    _, found = tables_of(case, tmp_path, "model.pt", dataset=TINY, packing={"points": jitter}, **options)
    for kind in ("sinkhorn", "chamfer"):
        error, floor, other, mean = (
            found[f"{what}_{kind}_um"].mean()
            for what in ("reconstruction", "sampling_distance", "other_cell", "mean_shape")
        )
        assert error == pytest.approx(floor, rel=0.1)
        assert floor < 0.25 * min(other, mean)


def test_a_sampling_of_another_part_of_a_stored_cloud_is_at_the_sampling_distance(monkeypatch, tmp_path):
    """The model decodes other points than those compared, as many."""
    case = write_sampled(tmp_path / "data")
    rng = np.random.default_rng(3)
    for shard in case.shards:
        cells = len(np.load(shard / "points_um.npy"))
        np.save(shard / "points_um.npy", rng.normal(size=(cells, 2000, 3)).astype(np.float32))
    chosen = small_config("classical_pointcloud")

    class Other(Same):
        def decode(self, z, pose=None):
            return torch.tensor(rng.normal(size=(len(z), 100, 3)) * chosen["input_scale"]).float()

    monkeypatch.setattr(models, "load", lambda path: (Other((2000, 3), np.eye(3)), chosen))
    _, found = tables_of(case, tmp_path, "model.pt", dataset=TINY, error_points=100)
    for kind in ("sinkhorn", "chamfer"):
        whats = ("reconstruction", "sampling_distance", "other_cell", "mean_shape")
        means = [found[f"{what}_{kind}_um"].mean() for what in whats]
        # Here all cells are alike.
        np.testing.assert_allclose(means, np.mean(means), rtol=0.15)


def test_other_cells_are_of_the_stratum_and_of_another_group_where_there_is_one():
    table = pd.DataFrame(
        {
            "CellId": [f"c{n}" for n in range(8)],
            "group": ["a", "a", "b", "b", "c", "c", "d", "e"],
            "rule": ["x", "y", "x", "y", "z", "z", "w", None],
        }
    )
    found = other_cells(table, "rule", 3)
    assert found[:4].tolist() == [2, 3, 0, 1]
    # Within one group where there is no other; alone; without a value.
    assert found[4:].tolist() == [5, 4, -1, -1]
    np.testing.assert_array_equal(other_cells(table, "rule", 3), found)
    anyone = np.stack([other_cells(table, "no such column", seed) for seed in range(20)])
    assert (anyone != np.arange(8)).all()
    assert all(len(set(column)) > 2 for column in anyone.T)
    # A cell's draw does not depend on where it stands in the table.
    moved = other_cells(table.iloc[:4].iloc[::-1].reset_index(drop=True), "rule", 3)
    assert moved.tolist() == [2, 3, 0, 1]


def test_the_mean_shape_has_the_points_of_all_training_cells(clouds):
    cells = open_cells(clouds.manifest, clouds.shards, POINT_CLOUDS, "train")
    found = mean_cloud(cells, 3000, 1)[0].numpy()
    stored = cells.raw(range(len(cells)))["points_um"].reshape(-1, 3)
    np.testing.assert_allclose(found.mean(0), stored.mean(0), atol=0.08)
    np.testing.assert_allclose(found.std(0), stored.std(0), rtol=0.06)
    assert {tuple(point) for point in found} <= {tuple(point) for point in stored}


def test_another_cell_in_place_of_a_decoded_shape_has_its_errors(shapes, monkeypatch, tmp_path):
    found = errors_of(monkeypatch, shapes, tmp_path, Echo(), volume_config("sdf"))
    assert (found["other_cell_iou"] > found["reconstruction_iou"]).all()
    assert (found["other_cell_surface_um"] > found["reconstruction_surface_um"]).all()


def test_the_mean_surface_encloses_the_mean_volume_whatever_the_order(shapes):
    manifest = read_table(shapes.manifest)
    cells = manifest[manifest["success"] & (manifest["split"] == "train")]
    vertices_um, faces = mean_mesh(cells, shapes.meshes, EMBED, 0)
    volumes = [abs(enclosed_volume(*masked_mesh(row, shapes.meshes))) for row in cells.to_dict("records")]
    assert enclosed_volume(vertices_um, faces) == pytest.approx(np.mean(volumes), rel=0.15)
    np.testing.assert_array_equal(mean_mesh(cells.iloc[::-1], shapes.meshes, EMBED, 0)[0], vertices_um)
    assert mean_mesh(cells[:0], shapes.meshes, EMBED, 0) is None


def test_the_mean_of_one_shape_is_that_shape(shapes):
    (row,) = read_table(shapes.manifest).query("success")[:1].to_dict("records")
    embed_config = {**EMBED, "error_voxels": 48}
    only = mean_mesh(pd.DataFrame([row]), shapes.meshes, embed_config, 0)
    error, _ = reconstruction.mesh_errors(only, masked_mesh(row, shapes.meshes), embed_config)
    assert error < 0.05
