"""Descriptors without training: known answers, what rotation leaves of them, and their tables."""

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ROOT
from scipy.spatial.distance import pdist
from scipy.special import sph_harm_y

from morphobench.embed import baselines, descriptors
from morphobench.errors import InputError
from morphobench.files.tables import embedding_matrix
from morphobench.geometry import harmonics, rotation

OPTIONS = {
    "radial_histogram": {"n_bins": 8, "largest_um": 12.0},
    "pairwise_histogram": {"n_bins": 8, "largest_um": 12.0},
    "harmonic_power": {"degree": 5},
    "harmonic_coefficients": {"degree": 5},
    "distance_histograms": {"n_bins": 8},
    "measures": {"volume_um3": 30.0, "area_um2": 80.0},
    "principal_axes": {},
}
OTHER_FEATURES = ("table", "columns", "harmonic_shells", "harmonic_surface", "random", "known")
# Controls, which follow the pose on purpose.
TURNING = ("harmonic_coefficients", "principal_axes")


def cloud(rng, n=200):
    return rng.normal(size=(1, n, 3)) * [1, 2, 4] + [0, 1.5, 0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_all_but_the_control_ignore_rotation_shift_and_the_order_of_points(seed):
    rng = np.random.default_rng(seed)
    points = cloud(rng)
    moved = rotation.rotate_points(points, rotation.uniform(1, rng)) + 30
    moved = moved[:, rng.permutation(points.shape[1])]
    for name, options in OPTIONS.items():
        before, after = (getattr(descriptors, name)(one, **options) for one in (points, moved))
        if name in TURNING:
            assert np.linalg.norm(after - before) > 0.05 * np.linalg.norm(before)
            lengths = [np.linalg.norm(one) for one in (before, after)]
            assert lengths[0] == pytest.approx(lengths[1])
        else:
            # A distance at the edge of a bin may cross it by its last digit.
            np.testing.assert_allclose(after, before, atol=2 / points.shape[1])


def test_histograms_have_their_known_values():
    square = np.array([[[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]]]) + 7
    radial = descriptors.radial_histogram(square, n_bins=4, largest_um=2.0)
    assert radial.tolist() == [[0, 0, 1, 0]]
    pairs = descriptors.pairwise_histogram(square, n_bins=4, largest_um=2.0)
    np.testing.assert_allclose(pairs, [[0, 0, 1, 0]])
    assert descriptors.radial_histogram(square, n_bins=4, largest_um=0.1).tolist() == [[0, 0, 0, 1]]
    points = cloud(np.random.default_rng(0))
    counts, _ = np.histogram(pdist(points[0]), bins=8, range=(0, 60))
    found = descriptors.pairwise_histogram(points, n_bins=8, largest_um=30.0)
    np.testing.assert_allclose(found[0], counts / counts.sum())


def test_harmonics_are_those_of_the_textbook():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(50, 3))
    radius = np.linalg.norm(points, axis=-1)
    found = harmonics.real_harmonics(points, radius, 4)
    polar, azimuth = np.arccos(points[:, 2] / radius), np.arctan2(points[:, 1], points[:, 0])
    for degree in range(5):
        for order in range(degree + 1):
            # Without the phase (-1)^m of Condon and Shortley.
            expected = (-1) ** order * sph_harm_y(degree, order, polar, azimuth)
            middle, scale = degree**2 + degree, np.sqrt(2) if order else 1
            np.testing.assert_allclose(found[middle + order], scale * expected.real, atol=1e-12)
            if order:
                np.testing.assert_allclose(found[middle - order], scale * expected.imag, atol=1e-12)


def test_a_sphere_has_no_power_but_its_radius_and_a_bump_has_its_own():
    rng = np.random.default_rng(2)
    unit = rng.normal(size=(20_000, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    # Pairs of opposite points: their mean is the centre.
    unit = np.concatenate([unit, -unit])
    power = descriptors.harmonic_power(3 * unit[None], degree=4)[0]
    assert power[0] == pytest.approx(3 * np.sqrt(4 * np.pi), rel=0.02)
    assert power[1:].max() < 0.01
    bumpy = harmonics.real_harmonics(unit, np.ones(len(unit)), 2)[6]
    power = descriptors.harmonic_power((3 + 0.5 * bumpy)[None, :, None] * unit, degree=4)[0]
    assert power[2] == pytest.approx(0.5, rel=0.03)
    assert power[[1, 3, 4]].max() < 0.02


def test_distances_are_counted_in_units_of_their_mean():
    points = cloud(np.random.default_rng(0))
    small, large = (descriptors.distance_histograms(scale * points, n_bins=8)[0] for scale in (1, 7))
    np.testing.assert_allclose(small[:-1], large[:-1], atol=1e-3)
    assert large[-1] - small[-1] == pytest.approx(np.log(7))
    assert small[-1] == pytest.approx(np.log(pdist(points[0]).mean()))
    np.testing.assert_allclose([small[:8].sum(), small[8:-1].sum()], 1)
    shape_alone = descriptors.distance_histograms(points, n_bins=8, sizes=False)
    np.testing.assert_array_equal(shape_alone[0], small[:-1])


def test_measures_have_their_known_values():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(4000, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    sphere = {"volume_um3": 36 * np.pi, "area_um2": 36 * np.pi}
    found = descriptors.measures(3 * unit[None], **sphere)[0]
    np.testing.assert_allclose(found[:3], [36 * np.pi, 36 * np.pi, 1])
    np.testing.assert_allclose(found[3:], [1, *[np.sqrt(3)] * 3], rtol=0.03)
    hollow = descriptors.measures(3 * unit[None], volume_um3=18 * np.pi, area_um2=36 * np.pi)[0]
    assert hollow[3] == pytest.approx(0.5, rel=0.03)
    box = rng.uniform(-1, 1, size=(1, 4000, 3)) * [1, 5, 2]
    lengths = descriptors.measures(box, volume_um3=80.0, area_um2=136.0)[0, 4:]
    np.testing.assert_allclose(lengths, np.array([5, 2, 1]) / np.sqrt(3), rtol=0.05)


def test_the_axes_of_a_cloud_are_a_rotation_that_follows_it():
    rng = np.random.default_rng(4)
    points = cloud(rng) + 0.3 * rng.exponential(size=(1, 200, 3)) ** 2
    matrix = rotation.uniform(1, rng)
    before, after = (
        descriptors.principal_axes(one).reshape(3, 3)
        for one in (points, rotation.rotate_points(points, matrix))
    )
    assert np.linalg.det(before) == pytest.approx(1)
    np.testing.assert_allclose(after, matrix[0] @ before, atol=1e-9)


def test_points_at_the_centre_and_few_points_are_no_problem():
    flat = np.zeros((1, 20, 3))
    flat[0, :, 0] = np.linspace(-1, 1, 20)
    flat[0, 10] = 0
    for name, options in OPTIONS.items():
        assert np.isfinite(getattr(descriptors, name)(flat, **options)).all()


# ---------------------------------------------------------------- the tables


@pytest.fixture
def sampled(tmp_path):
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"CellId": [f"c{i:02d}" for i in range(12)], "index": np.arange(12) % 6})
    table = table.assign(shard=np.arange(12) // 6, success=True, group=table["CellId"])
    table = table.assign(split=["train"] * 6 + ["val"] * 2 + ["test"] * 4, volume_um3=np.arange(12.0))
    table = table.assign(area_um2=50.0, scale_factor=2.0, kind=["a", "b"] * 6)
    table.loc[0, "success"] = False
    for shard in range(2):
        (tmp_path / f"shard-{shard}").mkdir()
        np.save(tmp_path / f"shard-{shard}/points_um.npy", rng.normal(size=(6, 40, 3)).astype(np.float32))
        grid = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij"), axis=-1)
        sizes = rng.uniform(0.8, 1.2, size=(6, 1, 1, 1, 3))
        bodies = np.linalg.norm(grid / sizes, axis=-1) - 5
        np.save(tmp_path / f"shard-{shard}/sdf.npy", bodies.astype(np.float32))
    table.to_parquet(tmp_path / "manifest.parquet")
    return tmp_path


def embed(sampled, name, options, **more):
    outs = {pose: sampled / f"{name}_{pose}.parquet" for pose in ("identity", "lattice", "uniform")}
    baselines.run(
        sampled / "manifest.parquet",
        [sampled / "shard-0", sampled / "shard-1"],
        outs,
        sampled / f"{name}_changes.parquet",
        baseline={"features": name, "options": options},
        n_uniform=3,
        dataset="made_up",
        seed=1,
        labels=["kind"],
        targets=["volume_um3"],
        **more,
    )
    return {pose: pd.read_parquet(path) for pose, path in outs.items()}


@pytest.mark.parametrize(
    ("name", "options", "width", "turns"),
    [
        ("radial_histogram", {"n_points": 30, "n_bins": 7}, 7, False),
        ("pairwise_histogram", {"n_points": 30, "n_bins": 7}, 7, False),
        ("harmonic_power", {"n_points": 30, "degree": 2}, 3, False),
        ("harmonic_coefficients", {"n_points": 30, "degree": 2}, 9, True),
        ("columns", {"columns": ["volume_um3"]}, 1, False),
        ("distance_histograms", {"n_points": 30, "n_bins": 7}, 15, False),
        ("distance_histograms", {"n_points": 30, "n_bins": 7, "sizes": False}, 14, False),
        ("measures", {"n_points": 30}, 7, False),
        ("principal_axes", {"n_points": 30}, 9, True),
        ("harmonic_shells", {"n_shells": 4, "degree": 3, "decay": 0.5}, 21, False),
        ("random", {"n_values": 5}, 5, True),
        ("known", {}, 3, False),
    ],
)
def test_a_baseline_has_the_embedding_tables_of_a_model(sampled, name, options, width, turns):
    tables = embed(sampled, name, options)
    assert {pose: len(table) for pose, table in tables.items()} == {
        "identity": 11,
        "lattice": 24 * 4,
        "uniform": (3 + 1) * 4,
    }
    assert embedding_matrix(tables["identity"]).shape == (11, width)
    frame = [f"r_{i}{j}" for i in range(3) for j in range(3)]
    for pose in ("lattice", "uniform"):
        table = tables[pose]
        back = ["rotated_back"] if pose == "uniform" else []
        assert list(table.columns[: 13 + len(back)]) == [
            "CellId",
            "group",
            "split",
            "rotation",
            *back,
            *frame,
        ]
        own = embedding_matrix(tables["identity"].set_index("CellId").loc[table["CellId"]])
        moved = np.abs(embedding_matrix(table) - own).max(axis=1)
        if back:
            assert (moved[table["rotated_back"]] == 0).all()
            moved, table = moved[~table["rotated_back"]], table[~table["rotated_back"]]
        wanted = rotation.rotation_sets(pose, table["CellId"].unique(), 3, 1, "made_up")
        np.testing.assert_array_equal(table[frame].to_numpy().reshape(wanted.shape), wanted)
        # Of 435 distances one may cross an edge.
        assert (moved.max() > 0.05) if turns else (moved < 0.04).all()
    again = embed(sampled, name, options)
    for pose, table in tables.items():
        pd.testing.assert_frame_equal(again[pose], table)


def test_features_are_those_of_the_turned_cloud(sampled):
    table = embed(sampled, "harmonic_coefficients", {"n_points": 40, "degree": 3})["uniform"]
    row = table.iloc[6]
    points = np.load(sampled / "shard-1/points_um.npy")[int(row["CellId"][1:]) % 6].astype(np.float64)
    matrix = row[[f"r_{i}{j}" for i in range(3) for j in range(3)]].to_numpy(float).reshape(3, 3)
    expected = descriptors.harmonic_coefficients((points @ matrix.T)[None], degree=3)[0]
    np.testing.assert_allclose(embedding_matrix(table)[6], expected, rtol=1e-5, atol=1e-6)


def test_histograms_do_not_reach_as_far_as_test_cells_ask(sampled):
    points = np.load(sampled / "shard-1/points_um.npy")
    before = embed(sampled, "radial_histogram", {"n_points": 40, "n_bins": 5})["identity"]
    points[5] *= 100
    np.save(sampled / "shard-1/points_um.npy", points)
    after = embed(sampled, "radial_histogram", {"n_points": 40, "n_bins": 5})["identity"]
    np.testing.assert_array_equal(embedding_matrix(after)[:-1], embedding_matrix(before)[:-1])
    assert embedding_matrix(after)[-1, -1] > 0.9


def test_missing_columns_and_values_are_named(sampled, caplog):
    with pytest.raises(InputError, match="no column length_um"):
        embed(sampled, "columns", {"columns": ["length_um"]})
    table = pd.read_parquet(sampled / "manifest.parquet")
    for name, options in {"measures": {"n_points": 30}, "harmonic_shells": {}}.items():
        table.drop(columns=["area_um2", "scale_factor"]).to_parquet(sampled / "manifest.parquet")
        with pytest.raises(InputError, match="no column (area_um2|scale_factor)"):
            embed(sampled, name, options)
    table.loc[3, "volume_um3"] = np.nan
    table.to_parquet(sampled / "manifest.parquet")
    codes = embedding_matrix(embed(sampled, "columns", {"columns": ["volume_um3"]})["identity"])
    assert np.isnan(codes).sum() == 1
    assert "1 of 11 cells lack" in caplog.text


def test_random_numbers_are_each_cells_own_and_labels_are_all_that_is_known(sampled, caplog):
    drawn = embed(sampled, "random", {"n_values": 3})
    numbers = np.concatenate([embedding_matrix(table) for table in drawn.values()]).ravel()
    # Those of the cells rotated back are those of the cells.
    assert len(np.unique(numbers)) == 3 * (11 + 24 * 4 + 3 * 4)
    known = embed(sampled, "known", {})["identity"]
    table = pd.read_parquet(sampled / "manifest.parquet").set_index("CellId").loc[known["CellId"]]
    z = embedding_matrix(known)
    assert (z[:, 0] == (table["kind"] == "a")).all()
    np.testing.assert_allclose(z[:, :2].sum(axis=1), 1)
    assert np.corrcoef(z[:, 2], table["volume_um3"])[0, 1] == pytest.approx(1)
    table = pd.read_parquet(sampled / "manifest.parquet").drop(columns=["kind", "volume_um3"])
    table.to_parquet(sampled / "manifest.parquet")
    assert (embedding_matrix(embed(sampled, "known", {})["identity"]) == 0).all()
    assert "no column kind, volume_um3" in caplog.text


def test_published_numbers_enter_as_they_are_and_cells_that_they_lack_are_told(sampled, caplog):
    file = sampled / "theirs.csv"
    theirs = pd.DataFrame(
        {"CellId": [f"c{i:02d}" for i in range(20)], "note": "x", "a": np.arange(20.0), "b": -1}
    )
    theirs[::-1].to_csv(file, index=False)
    tables = embed(sampled, "table", {"file": str(file)})
    numbers = [int(cell[1:]) for cell in tables["lattice"]["CellId"]]
    np.testing.assert_array_equal(embedding_matrix(tables["lattice"]), [[number, -1] for number in numbers])
    theirs[theirs["a"] != 7].to_csv(file, index=False)
    z = embedding_matrix(embed(sampled, "table", {"file": str(file)})["identity"])
    assert np.isnan(z).all(axis=1).sum() == np.isnan(z).any(axis=1).sum() == 1
    assert "lacks 1 of 11 cells (c07 ...)" in caplog.text
    broken = {
        "2 columns of numbers, for 0 of 11 cells": theirs.assign(CellId=theirs["CellId"] + "x"),
        "0 columns of numbers": theirs[["CellId", "note"]],
        "occurs more than once": pd.concat([theirs, theirs]),
        "CellId": theirs.drop(columns="CellId"),
    }
    for reason, table in broken.items():
        table.to_csv(file, index=False)
        with pytest.raises(InputError, match=f"theirs.csv.*{reason}"):
            embed(sampled, "table", {"file": str(file)})
    file.unlink()
    with pytest.raises(InputError, match="theirs.csv"):
        embed(sampled, "table", {"file": str(file)})


def test_a_test_split_of_no_cells_gives_empty_tables(sampled):
    table = pd.read_parquet(sampled / "manifest.parquet")
    table.assign(split="train").to_parquet(sampled / "manifest.parquet")
    tables = embed(sampled, "radial_histogram", {"n_points": 40, "n_bins": 5})
    assert [len(table) for table in tables.values()] == [11, 0, 0]
    assert list(tables["lattice"]) == list(tables["identity"])


def test_baselines_have_colours_of_their_own_and_known_features():
    known = yaml.safe_load((ROOT / "config/config.yaml").read_text())["baselines"]
    looks = [yaml.safe_load(path.read_text()) for path in (ROOT / "config/models").glob("*.yaml")]
    colors = [look["color"].lower() for look in (*known.values(), *looks)]
    assert len(set(colors)) == len(colors)
    for baseline in known.values():
        of_clouds = callable(getattr(descriptors, baseline["features"], None))
        assert of_clouds or baseline["features"] in OTHER_FEATURES
    for kind in ("packing", "punctate", "polymorphic"):
        names = {name for name, baseline in known.items() if kind in baseline["kinds"]}
        assert {"harmonic_power", "harmonic_coefficients"} <= names
        assert len(names) >= 4
