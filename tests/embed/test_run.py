"""Decoding to points, and embedding tables: which cells, under which rotations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.sampled import DATASET, FAILED, SPLITS, write_sampled
from fabricate.trained import EMBED, FAMILIES, write_untrained

from morphobench.embed import run as embed
from morphobench.files import read_table
from morphobench.files.tables import embedding_matrix, mu_columns
from morphobench.geometry import rotation
from morphobench.models.decode import POSE_COLUMNS, decoder_inputs

TEST_CELLS = [f"{number:02d}" for number, split in enumerate(SPLITS) if split == "test"]
MATRIX = [f"r_{i}{j}" for i in range(3) for j in range(3)]
ROTATIONS = {"identity": 1, "lattice": 24, "uniform": EMBED["n_uniform"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("embed")


@pytest.fixture(scope="module")
def case(folder):
    return write_sampled(folder / "data")


def table_of(case, family, rotations, out, **changes):
    path = write_untrained(out / f"{family}.pt", family)
    embed.run(
        case.manifest,
        case.shards,
        path,
        out / f"{rotations}.parquet",
        rotations=rotations,
        dataset=DATASET,
        embed_config={**EMBED, **changes},
        seed=1,
        accelerator="cpu",
        threads=1,
    )
    return read_table(out / f"{rotations}.parquet")


@pytest.fixture(scope="module")
def tables(case, folder):
    made = {}
    for family in FAMILIES:
        out = folder / family
        out.mkdir()
        for pose in ROTATIONS:
            made[family, pose] = table_of(case, family, pose, out)
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_identity_table_has_every_sampled_cell_once(tables, family):
    table = tables[family, "identity"]
    assert table["CellId"].tolist() == [f"{n:02d}" for n in range(len(SPLITS)) if n != FAILED]
    assert table["split"].tolist() == [split for n, split in enumerate(SPLITS) if n != FAILED]
    assert (table["rotation"] == 0).all()
    assert mu_columns(table.columns) == [f"mu_{i}" for i in range(8)]
    assert (table[mu_columns(table.columns)].dtypes == np.float32).all()
    assert np.isfinite(embedding_matrix(table)).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pose", ["lattice", "uniform"])
def test_tables_under_rotations_have_every_test_cell_under_every_rotation(tables, family, pose):
    table = tables[family, pose]
    if pose == "uniform":
        back = table[table["rotated_back"]]
        assert back["CellId"].tolist() == TEST_CELLS
        assert (back["rotation"] == 0).all()
        table = table[~table["rotated_back"]]
    found = sorted(zip(table["CellId"], table["rotation"], strict=True))
    assert found == sorted((cell, index) for cell in TEST_CELLS for index in range(ROTATIONS[pose]))
    wanted = rotation.rotation_sets(pose, TEST_CELLS, EMBED["n_uniform"], 1, DATASET)
    place = table["CellId"].map(TEST_CELLS.index)
    np.testing.assert_allclose(
        table[MATRIX].to_numpy().reshape(-1, 3, 3), wanted[table["rotation"], place], atol=1e-12
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_rotated_back_differs_from_the_cell_by_resampling_alone(tables, family):
    table, identity = tables[family, "uniform"], tables[family, "identity"]
    back = embedding_matrix(table[table["rotated_back"]])
    own = embedding_matrix(identity.set_index("CellId").loc[TEST_CELLS])
    off = np.linalg.norm(back - own, axis=1) / np.linalg.norm(own, axis=1)
    assert (off > 1e-4).all() if family.endswith("image") else (off < 1e-4).all()


def spread(table):
    """Largest distance from the code of a pose to the mean code of its cell, relative to the code."""
    by_cell = [embedding_matrix(rows) for _, rows in table.groupby("CellId")]
    return max(
        np.linalg.norm(codes - codes.mean(0), axis=1).max() / np.linalg.norm(codes.mean(0))
        for codes in by_cell
    )


@pytest.mark.parametrize(
    ("family", "pose"),
    [
        ("rotation_invariant_pointcloud", "lattice"),
        ("rotation_invariant_pointcloud", "uniform"),
        ("rotation_invariant_pointcloud_sdf", "lattice"),
        ("rotation_invariant_pointcloud_sdf", "uniform"),
        ("rotation_invariant_image", "lattice"),
    ],
)
def test_invariant_models_embed_all_rotations_alike(tables, family, pose):
    assert spread(tables[family, pose]) < 1e-5


@pytest.mark.parametrize("family", ["classical_pointcloud", "classical_image"])
def test_classical_models_do_not(tables, family):
    assert spread(tables[family, "lattice"]) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_rotations_are_of_the_cell_itself(tables, family):
    """The first rotation of the lattice is none, so its codes are those of the identity table."""
    identity = tables[family, "identity"].set_index("CellId").loc[TEST_CELLS]
    lattice = tables[family, "lattice"].query("rotation == 0").set_index("CellId").loc[TEST_CELLS]
    np.testing.assert_allclose(embedding_matrix(lattice), embedding_matrix(identity), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_do_not_depend_on_batches_or_shards(tables, family, folder, tmp_path):
    one_shard = write_sampled(tmp_path / "data", n_shards=1)
    found = table_of(one_shard, family, "identity", tmp_path, batch_size=2)
    expected = tables[family, "identity"]
    assert list(found) == list(expected)
    names = [name for name in found if name != "vectors"]
    pd.testing.assert_frame_equal(found[names], expected[names], rtol=1e-3, atol=1e-4)
    for one, other in zip(decoder_inputs(found), decoder_inputs(expected), strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_gives_nearly_the_same_embeddings(tables, case, family, tmp_path):
    found = embedding_matrix(table_of(case, family, "uniform", tmp_path, precision="bf16-mixed"))
    expected = embedding_matrix(tables[family, "uniform"])
    off = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert 0 < np.median(off) < 0.03


def test_models_with_a_pose_store_it(tables):
    for family in FAMILIES:
        table = tables[family, "identity"]
        has_pose = family.startswith("rotation_invariant")
        assert (POSE_COLUMNS[0] in table) == has_pose
        if has_pose:
            _, pose = decoder_inputs(table)
            np.testing.assert_allclose(np.linalg.det(pose), 1, atol=1e-4)
        assert ("vectors" in table) == (family == "rotation_invariant_pointcloud_sdf")
        assert "pose_00" not in tables[family, "uniform"]


def test_cells_and_turns_share_batches():
    class Counting(torch.nn.Module):
        sizes = []

        def encode(self, x):
            self.sizes.append(len(x))
            return x.flatten(1)[:, :4]

    class Fake:
        def __len__(self):
            return 7

        def raw(self, rows):
            return {"points_um": np.stack([np.full((3, 3), row, float) for row in rows])}

        def rotated(self, rows, raw, matrices, back):
            assert not back
            return {"points_um": rotation.rotate_points(raw["points_um"], matrices)}

    for n_turns, batch_size in ((1, 4), (4, 8), (24, 10), (24, 64)):
        turns = rotation.uniform(n_turns * 7, np.random.default_rng(0)).reshape(n_turns, 7, 3, 3)
        model = Counting()
        model.sizes = []
        settings = {"representation": "points", "input_scale": 1}
        found = embed.encode_cells(model, Fake(), turns, settings, batch_size=batch_size)
        assert max(model.sizes) <= batch_size
        assert min(model.sizes) > 1
        assert sum(model.sizes) == 7 * n_turns
        expected = (turns @ np.ones(3)) * np.arange(7.0)[:, None]
        np.testing.assert_allclose(found.z[..., :3], expected, rtol=1e-5)


def test_without_test_cells_tables_under_rotations_are_empty_with_a_warning(tmp_path, caplog):
    case = write_sampled(tmp_path / "data", splits=["train"] * 6)
    turned = table_of(case, "classical_pointcloud", "lattice", tmp_path)
    assert turned.empty
    assert "there is no usable test cell" in caplog.text
    as_they_are = table_of(case, "classical_pointcloud", "identity", tmp_path)
    assert len(as_they_are) == 5  # one of six was not sampled
    assert set(turned) <= set(as_they_are)
