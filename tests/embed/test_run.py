"""Decoding to points, and embedding tables: which cells, under which rotations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.sampled import DATASET, FAILED, SIDE_UM, SPLITS, clouds_um, cube_of, write_sampled
from fabricate.trained import DECODING, EMBED, FAMILIES, write_untrained

from morphobench.embed import run as embed
from morphobench.files import read_table
from morphobench.files.tables import embedding_matrix, mu_columns
from morphobench.geometry import rotation
from morphobench.models import load
from morphobench.models.base import Embedding
from morphobench.models.decode import POSE_COLUMNS, decode_shapes, decoder_inputs
from morphobench.models.decode_clouds import cube_to_points_um, subsample
from morphobench.models.inputs import rotate_arrays, rotate_trilinear

TEST_CELLS = [f"{number:02d}" for number, split in enumerate(SPLITS) if split == "test"]
MATRIX = [f"r_{i}{j}" for i in range(3) for j in range(3)]
ROTATIONS = {"identity": 1, "lattice": 24, "uniform": EMBED["n_uniform"]}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# Cubes to points


def blobs(n=3, size=5):
    return torch.randn(n, 1, size, size, size, generator=seeded(4))


def draw(cube, n_points=4000, side_um=10.0, seed=0):
    return cube_to_points_um(cube, side_um=side_um, n_points=n_points, generator=seeded(seed))


def test_points_lie_in_their_voxel_xyz_in_micrometres():
    cube = torch.full((1, 1, 5, 5, 5), -1.0)
    cube[0, 0, 4, 1, 2] = 0.3  # z, y, x
    points_um = draw(cube)[0]
    assert points_um.shape == (4000, 3)
    assert points_um.dtype == torch.float32
    low, high = points_um.amin(0), points_um.amax(0)
    # Voxels are 2 um wide and the middle of the cube is the origin.
    corner = torch.tensor([-1.0, -3.0, 3.0])
    assert (low >= corner).all()
    assert (high <= corner + 2).all()
    torch.testing.assert_close(points_um.mean(0), corner + 1, atol=0.05, rtol=0)
    assert (high - low > 1.95).all()


def test_points_follow_the_positive_intensity():
    cube, n_points = blobs(1), 40000
    voxel = (draw(cube, n_points)[0] / 2 + 2.5).floor().long().clamp(0, 4)
    x, y, z = voxel.T
    observed = torch.bincount((z * 5 + y) * 5 + x, minlength=125).double()
    weights = cube.flatten().clamp_min(0).double()
    expected = weights / weights.sum() * n_points
    assert observed[weights == 0].sum() == 0
    drawn = expected > 0
    chi_square = ((observed - expected)[drawn] ** 2 / expected[drawn]).sum()
    degrees = drawn.sum() - 1
    assert abs(chi_square - degrees) < 5 * (2 * degrees) ** 0.5


def test_a_cube_that_is_nowhere_positive_fills_the_whole_cube():
    points_um = draw(-blobs(1).abs(), 20000)[0]
    # Mean and variance of a uniform variable of width 10.
    assert (points_um.mean(0).abs() < 5 * (100 / 12 / 20000) ** 0.5).all()
    torch.testing.assert_close(points_um.var(0), torch.full((3,), 100 / 12), rtol=0.05, atol=0)


def test_same_seed_same_points_however_cells_are_batched():
    cubes = blobs()
    assert torch.equal(draw(cubes), draw(cubes))
    assert not torch.equal(draw(cubes), draw(cubes, seed=1))
    generator = seeded()
    one_by_one = [
        cube_to_points_um(cube[None], side_um=10.0, n_points=4000, generator=generator) for cube in cubes
    ]
    assert torch.equal(draw(cubes), torch.cat(one_by_one))


def test_thinning_keeps_different_points_of_the_cloud():
    clouds = torch.from_numpy(clouds_um(3))
    kept = subsample(clouds, 20, seeded())
    assert kept.shape == (3, 20, 3)
    for cloud, few in zip(clouds, kept, strict=True):
        assert (few[:, None] == cloud).all(-1).any(0).sum() == 20
    assert torch.equal(subsample(clouds, 64, seeded()), clouds)


@pytest.mark.parametrize("family", DECODING)
def test_decoded_shapes_are_micrometres_and_do_not_depend_on_batches(family, tmp_path):
    model, chosen = load(write_untrained(tmp_path / "model.pt", family))
    z = np.random.default_rng(0).normal(size=(5, 8))
    found = {
        batch_size: decode_shapes(
            model,
            z,
            chosen,
            batch_size=batch_size,
            side_um=SIDE_UM,
            n_points=20,
            generator=seeded(),
        )
        for batch_size in (1, 2, 5)
    }
    found = {size: torch.tensor(np.stack(clouds)) for size, clouds in found.items()}
    assert found[5].shape == (5, 20, 3)
    for batch_size in (1, 2):
        # A cube's draw can fall into the next voxel when an intensity moves by a rounding.
        agree = torch.isclose(found[batch_size], found[5], atol=1e-4).float().mean()
        assert agree > 0.99
    if chosen["representation"] == "points":
        with torch.no_grad():
            model_units = model.decode(torch.tensor(z[:1], dtype=torch.float32))[0]
        offsets = found[1][0][:, None] * chosen["input_scale"] - model_units
        assert offsets.norm(dim=-1).amin(dim=1).max() < 1e-5


# Rotations


def turned_points(points_um, turn):
    return rotate_arrays({"points_um": points_um}, turn, {})["points_um"]


def test_points_are_turned_exactly():
    raw = clouds_um(2)
    (turn,) = rotation.uniform(1, np.random.default_rng(0))
    found = turned_points(raw, turn)
    np.testing.assert_allclose(found[1, 7], turn @ raw[1, 7], rtol=1e-5, atol=1e-6)
    for quarter in rotation.cube_rotations():
        there = turned_points(raw, quarter)
        np.testing.assert_array_equal(turned_points(there, quarter.T), raw)


def test_turned_cube_is_the_cube_of_the_turned_cloud():
    cloud = clouds_um(1)
    for quarter in rotation.cube_rotations():
        counts = {"cube": cube_of(cloud[0])[None]}
        rotated = rotate_arrays(counts, quarter, {"architecture": {"size": 9}})["cube"]
        found = rotated[0].astype(int)
        expected = cube_of(turned_points(cloud, quarter)[0]).astype(int)
        # The sphere stencil is not the same to the last sub-voxel after a flip.
        assert abs(found - expected).sum() < 0.02 * expected.sum()


def test_interpolated_turn_agrees_with_the_exact_one_and_moves_matter_the_right_way():
    counts = cube_of(clouds_um(1)[0])[None]
    for quarter in rotation.cube_rotations():
        exact = rotation.rotate_cube_lattice(counts, quarter)
        np.testing.assert_allclose(rotate_trilinear(counts, quarter), exact, atol=1e-3)
    blob = np.zeros((1, 9, 9, 9))
    blob[0, 4, 4, 7] = 1.0  # 3 voxels along x
    z, y, x = np.unravel_index(rotate_trilinear(blob, rotation.about_z(45))[0].argmax(), (9, 9, 9))
    assert (z, y, x) == (4, 6, 6)


def test_sets_of_rotations():
    assert rotation.rotation_set("identity", 4, 1, DATASET).tolist() == [np.eye(3).tolist()]
    assert len(np.unique(rotation.rotation_set("lattice", 4, 1, DATASET), axis=0)) == 24
    drawn = rotation.rotation_set("uniform", 4, 1, DATASET)
    np.testing.assert_array_equal(drawn, rotation.rotation_set("uniform", 4, 1, DATASET))
    assert not np.allclose(drawn, rotation.rotation_set("uniform", 4, 2, DATASET))
    np.testing.assert_allclose(np.linalg.det(drawn), 1)


# The tables


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
    found = sorted(zip(table["CellId"], table["rotation"], strict=True))
    assert found == sorted((cell, index) for cell in TEST_CELLS for index in range(ROTATIONS[pose]))
    wanted = rotation.rotation_set(pose, EMBED["n_uniform"], 1, DATASET)
    np.testing.assert_allclose(
        table[MATRIX].to_numpy().reshape(-1, 3, 3), wanted[table["rotation"]], atol=1e-12
    )


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


def test_the_lattice_holds_the_published_turns():
    lattice = rotation.rotation_set("lattice", 4, 1, DATASET)
    for degrees in (0, 90, 180, 270):
        assert np.isclose(lattice, rotation.about_z(degrees)).all(axis=(1, 2)).any()


def test_cells_and_turns_share_batches():
    class Counting(torch.nn.Module):
        sizes = []

        def encode_with_pose(self, x):
            self.sizes.append(len(x))
            return Embedding(x.flatten(1)[:, :4], None)

    class Fake:
        def __len__(self):
            return 7

        def raw(self, rows):
            return {"points_um": np.stack([np.full((3, 3), row, float) for row in rows])}

    for n_turns, batch_size in ((1, 4), (4, 8), (24, 10), (24, 64)):
        turns = rotation.uniform(n_turns, np.random.default_rng(0))
        model = Counting()
        model.sizes = []
        how = {"batch_size": batch_size, "device": torch.device("cpu")}
        found = embed.encode_cells(
            model, Fake(), turns, {"representation": "points", "input_scale": 1}, **how
        )
        assert max(model.sizes) <= batch_size
        assert min(model.sizes) > 1
        assert sum(model.sizes) == 7 * n_turns
        expected = (turns @ np.ones(3))[:, None] * np.arange(7.0)[:, None]
        np.testing.assert_allclose(found.z[..., :3], expected, rtol=1e-5)


def test_without_test_cells_tables_under_rotations_are_empty_with_a_warning(tmp_path, caplog):
    case = write_sampled(tmp_path / "data", splits=["train"] * 6)
    turned = table_of(case, "classical_pointcloud", "lattice", tmp_path)
    assert turned.empty
    assert "no sampled cell in split test" in caplog.text
    as_they_are = table_of(case, "classical_pointcloud", "identity", tmp_path)
    assert len(as_they_are) == 5  # one of six was not sampled
    assert set(turned) <= set(as_they_are)
