"""Evolution energy: 1 on a shortest path, more beside it, and what the published frame adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.meshes import NOTHING, ball, box
from fabricate.perfect_models import SURFACE_CONFIG, Balls, Echo, volume_config
from fabricate.sampled import DATASET, FAILED, N_POINTS, SIDE_UM, write_sampled
from fabricate.shapes import write_sampled_shapes
from fabricate.trained import DECODING, EMBED, write_untrained
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from morphobench.embed import run as embed
from morphobench.files import read_table, write_table
from morphobench.geometry import rotation
from morphobench.models.decode import POSE_COLUMNS
from morphobench.models.decode_clouds import common_points_um
from morphobench.score import evolution, shape_distances
from morphobench.score.evolution import ENERGIES, Interpolation

# A lattice of 1 um with moves below half of it: every point's nearest is its own image, so the earth mover's
# distance of two shapes is the length of the move, and the Chamfer distance twice that.
LATTICE_UM = torch.stack(torch.meshgrid(*[torch.arange(4.0)] * 3, indexing="ij"), -1).reshape(-1, 3) - 1.5
PAIRS = pd.DataFrame({"pair": [0, 1], "start": ["12", "01"], "end": ["13", "02"]})
SCALE = 0.5
# What every path has; `energy_sampling` asks for more points than there are in these tests.
PATHS = ["energy", "energy_input", "energy_legacy"]


class Mover(torch.nn.Module):
    """Decodes the first three numbers of an embedding into a move of one shape, which `bend` leads astray."""

    def __init__(self, bend=0.0):
        super().__init__()
        self.bend = bend

    def export(self):
        return self

    def decode(self, z, pose=None):
        # Nothing at the ends of a pair, `bend` in the middle.
        bend = self.bend * (1 - (z[:, 3:4] / 0.1) ** 2)
        move = z[:, :3] + bend * torch.tensor([0.0, 0.0, 1.0])
        return (LATTICE_UM + move[:, None]) * SCALE


def embeddings(n):
    rng = np.random.default_rng(1)
    z = rng.uniform(-0.1, 0.1, (n, 4))
    z[:, 2] = 0
    z[:, 3] = np.where(np.arange(n) % 2, 0.1, -0.1)
    return z


def measure(monkeypatch, tmp_path, model, degrees=0, n_fractions=4):
    """Run the stage on cells whose stored clouds are the model's shapes, rotated about z."""
    case = write_sampled(tmp_path / "data")
    manifest = read_table(case.manifest)
    z, matrix = embeddings(len(manifest)), rotation.about_z(degrees)
    decoded_um = model.decode(torch.tensor(z, dtype=torch.float32)).numpy() / SCALE
    for number, folder in enumerate(case.shards):
        mine = manifest.index[(manifest["shard"] == number) & manifest["success"]]
        np.save(folder / "points_um.npy", rotation.rotate_points(decoded_um[mine], matrix).astype(np.float32))
    table = pd.DataFrame(z, columns=[f"mu_{i}" for i in range(4)]).assign(CellId=manifest["CellId"])
    poses = pd.DataFrame([matrix.ravel()] * len(table), columns=POSE_COLUMNS)
    table = pd.concat([table, poses], axis=1)
    write_table(table.drop(index=FAILED).sample(frac=1, random_state=0), tmp_path / "identity.parquet")
    write_table(PAIRS, tmp_path / "pairs.csv")
    settings = {"representation": "points", "input_scale": SCALE}
    monkeypatch.setattr(evolution, "load_for_inference", lambda *_: (model, settings))
    return run(case, tmp_path, n_fractions)


def run(case, folder, n_fractions=4, energy_points=N_POINTS, **changes):
    evolution.run(
        case.manifest,
        case.shards,
        folder / "model.pt",
        folder / "identity.parquet",
        folder / "pairs.csv",
        folder / "evolution.parquet",
        dataset=DATASET,
        n_fractions=n_fractions,
        energy_points=energy_points,
        embed_config={**EMBED, "error_points": N_POINTS, **changes},
        side_um=SIDE_UM,
        seed=1,
        accelerator="cpu",
        threads=1,
    )
    return read_table(folder / "evolution.parquet")


def test_a_linear_path_has_energy_one(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover())
    np.testing.assert_allclose(found[PATHS], 1, atol=1e-4)
    assert not found["constant"].any()


def test_table_has_a_row_for_every_pair_and_fraction(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover(), n_fractions=3)
    assert found.columns.tolist() == ["pair", "start", "end", "fraction", *ENERGIES, "constant", "reason"]
    assert found["pair"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found["start"].tolist() == ["12"] * 3 + ["01"] * 3
    np.testing.assert_allclose(found["fraction"], [0.25, 0.5, 0.75] * 2)


def test_a_bent_path_costs_energy(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover(bend=0.2))
    assert (found["energy"] >= 1 - 1e-4).all()
    assert found["energy"].max() > 1.1


def test_pose_adds_to_the_legacy_energy_alone(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover(), degrees=30)
    np.testing.assert_allclose(found[["energy", "energy_input"]], 1, atol=1e-4)
    assert (found["energy_legacy"] > found["energy"] + 0.5).all()


def energies(interpolants, start, end, **changes):
    """Energies of a pair of clouds: decoded, input and published shapes are the same."""
    same = Interpolation(interpolants, [start, end], [start, end], interpolants, [start, end])
    return evolution.energies(same._replace(**changes), n_voxels=16, speck_share=0.01)


def test_energy_of_a_known_path():
    lattice = LATTICE_UM.numpy()
    start, end = lattice, lattice + [0.3, 0, 0]
    found = energies([lattice + [0.15, 0.2, 0], start], start, end)
    for name in PATHS:
        np.testing.assert_allclose(found[name], [2 * np.hypot(0.15, 0.2) / 0.3, 1.0], rtol=1e-5)
    assert (found["reason"] == "").all()


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_pair_that_decodes_to_one_shape_has_a_stated_energy_and_a_reason(noise):
    cloud = LATTICE_UM.numpy()
    found = energies([cloud, cloud + 0.2], cloud, cloud + noise)
    assert found["energy"].tolist() == [evolution.CONSTANT] * 2
    assert found["constant"].all()
    assert found["energy_input"].isna().all()
    assert found["reason"].tolist() == ["the end points decode to one shape"] * 2
    # The cells themselves differ.
    found = energies([cloud], cloud, cloud, inputs=[cloud - 0.1, cloud + 0.1])
    assert found.loc[0, ["energy", "energy_input"]].tolist() == pytest.approx([2, 1], abs=1e-6)


def test_a_constant_decoder_has_the_stated_energy_at_every_place(monkeypatch, tmp_path):
    class Constant(Mover):
        def decode(self, z, pose=None):
            return super().decode(torch.zeros_like(z))

    found = measure(monkeypatch, tmp_path, Constant())
    assert (found["energy"] == evolution.CONSTANT).all()
    assert found["constant"].all()


def test_broken_shapes_have_no_energy_and_the_reason_says_which():
    cloud = LATTICE_UM.numpy()
    broken = np.full_like(cloud, np.nan)
    found = energies([broken, cloud + 0.1], cloud, cloud + 0.2)
    assert np.isfinite(found.loc[1, "energy"])
    assert np.isnan(found.loc[0, "energy"])
    assert found["reason"].tolist() == ["the interpolant decodes to points that are not finite", ""]
    found = energies([cloud], cloud, broken)
    assert found["reason"].tolist() == ["the end decodes to points that are not finite"]
    found = energies([cloud], cloud, cloud + 0.2, inputs=None)
    assert np.isfinite(found.loc[0, "energy"])
    assert found["reason"].tolist() == ["no masked surface to take for the input"]


@pytest.mark.parametrize("family", DECODING)
def test_every_family_interpolates_alike_in_any_batches(family, tmp_path):
    case = write_sampled(tmp_path / "data")
    embed.run(
        case.manifest,
        case.shards,
        write_untrained(tmp_path / "model.pt", family),
        tmp_path / "identity.parquet",
        rotations="identity",
        dataset=DATASET,
        embed_config=EMBED,
        seed=1,
        accelerator="cpu",
        threads=1,
    )
    write_table(PAIRS, tmp_path / "pairs.csv")
    found = run(case, tmp_path, error_points=20, energy_points=20)
    assert len(found) == 8
    # Of 64 stored points 20 are drawn twice, or of a cube.
    assert (found[[name for name in ENERGIES if name != "energy_legacy"]] >= 1 - 1e-9).all(axis=None)
    assert (found["energy_sampling"] > 1.01).all()
    assert (found["energy_legacy"] > 0).all()
    assert (found["reason"] == "").all()
    again = run(case, tmp_path, error_points=20, energy_points=20, batch_size=1)
    pd.testing.assert_frame_equal(found, again, rtol=2e-2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_energy_is_one_on_a_linear_path_and_more_beside_it(seed):
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, 6, 3))
    fractions = np.linspace(0.1, 0.9, 9)
    path = start[:, None] + fractions[:, None] * (end - start)[:, None]
    off = path + 0.1 * rng.normal(size=path.shape)

    def energy(points):
        to_start, to_end = (np.linalg.norm(points - one[:, None], axis=2) for one in (start, end))
        return shape_distances.evolution_energy(to_start, to_end, np.linalg.norm(end - start, axis=1))

    np.testing.assert_allclose(energy(path), 1.0)
    assert energy(off).shape == (6, 9)
    assert (energy(off) > 1).all()


def test_energy_without_a_distance_is_missing_not_infinite():
    energy = shape_distances.evolution_energy(
        np.ones((3, 2)), np.array([[1, np.inf], [1, 1], [1, 1]]), np.array([2, 0, np.nan])
    )
    np.testing.assert_array_equal(energy, [[1.0, np.nan], [np.nan] * 2, [np.nan] * 2])


# Distances


def test_interpolants_between_shifted_boxes_have_known_distances():
    steps = (0.0, 1.0, 2.0)
    start, middle, end = (box((4, 4, 4), (shift, 0, 0)) for shift in steps)
    (distances,) = shape_distances.mesh_distances([middle], [[start, end]], 48, 0.01)
    assert distances.to_start == pytest.approx([1 - 3 / 5], abs=1e-12)
    assert distances.to_end == pytest.approx([1 - 3 / 5], abs=1e-12)
    assert distances.ends == pytest.approx(1 - 2 / 6, abs=1e-12)
    legacy = shape_distances.own_box_distances([middle], [start, end], 0.5)
    assert (legacy.to_start, legacy.to_end, legacy.ends) == (0, 0, 0)


def test_a_missing_interpolant_is_as_far_as_can_be_and_a_missing_end_has_no_distances():
    (distances,) = shape_distances.mesh_distances([NOTHING, ball()], [[ball(), ball(10.0)]], 16, 0.01)
    np.testing.assert_array_equal(distances.to_start, [1, 0])
    assert distances.to_end[0] == 1
    (distances,) = shape_distances.mesh_distances([NOTHING, ball()], [[ball(), NOTHING]], 16, 0.01)
    assert np.isnan([*distances.to_start, *distances.to_end, distances.ends]).all()
    assert np.isnan(shape_distances.mesh_distances([NOTHING], [[NOTHING, NOTHING]], 16, 0.01)[0].ends)
    assert np.isnan(shape_distances.own_box_distances([ball()], [NOTHING, ball()], 1.0).ends)
    assert np.isnan(shape_distances.own_box_distances([NOTHING, ball()], [ball(), ball()], 1.0).to_end[0])


def test_chamfer_distances_of_clouds_are_those_of_the_loss():
    from morphobench.models.losses import chamfer

    rng = np.random.default_rng(0)
    clouds = [rng.normal(size=(n, 3)).astype(np.float32) for n in (40, 50, 60)]
    distances = shape_distances.chamfer_distances(clouds[:1], clouds[1:])
    for value, (a, b) in {
        distances.to_start[0]: (0, 1),
        distances.to_end[0]: (0, 2),
        distances.ends: (1, 2),
    }.items():
        expected = chamfer(*(torch.from_numpy(clouds[k])[None] for k in (a, b))).item()
        assert value == pytest.approx(expected, rel=1e-5)
    clouds[0][3] = np.nan
    assert np.isnan(shape_distances.chamfer_distances(clouds[:1], clouds[1:]).to_start).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_transport_distance_is_a_metric_of_clouds_as_sets(seed):
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, 30, 3)) * rng.uniform(0.1, 3, (3, 1, 1))
    distance = shape_distances.transport_distance
    assert distance(a, rng.permutation(a)) == 0
    assert distance(a, a + [0.3, 0, 0.4]) == pytest.approx(0.5)
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12
    assert distance(a, b) >= np.linalg.norm(a.mean(0) - b.mean(0)) - 1e-12
    assert np.isnan(distance(a, np.where(b > 9, b, np.nan)))


def path_energies(interpolants, a, b):
    """Energies of a path by the earth mover's distance, and as published."""
    measures = (shape_distances.transport_distances, shape_distances.chamfer_distances)
    return [shape_distances.evolution_energy(*by(interpolants, [a, b])) for by in measures]


@pytest.mark.parametrize("n_spots", [30, 128])
def test_a_superposition_of_two_cells_is_no_shorter_path_than_spots_that_travel(n_spots):
    rng = np.random.default_rng(n_spots)
    # Spots of several points each, and the best assignment of spots for those that travel.
    centres = rng.uniform(-5, 5, (2, n_spots, 3))
    costs = cdist(*centres)
    centres[1] = centres[1][linear_sum_assignment(costs)[1]]
    a, b = np.repeat(centres, 256 // n_spots, axis=1) + 0.05 * rng.normal(
        size=(n_spots * (256 // n_spots), 3)
    )
    fractions = np.array([0.25, 0.5, 0.75])
    ghosts = [np.where(rng.permutation(len(a))[:, None] < share * len(a), b, a) for share in fractions]
    travel = [a + share * (b - a) for share in fractions]
    for path in (ghosts, travel):
        assert (path_energies(path, a, b)[0] >= 1 - 1e-9).all()
    np.testing.assert_allclose(path_energies(travel, a, b)[0], 1, rtol=0.02)
    # The published distance rewards the ghosts.
    assert (path_energies(ghosts, a, b)[1] < 0.85).all()
    third = rng.uniform(-5, 5, (1, len(a), 3))
    assert path_energies(third, a, b)[0] > 1.5


def cubes_of_balls(radii_um, size=33, side_um=16.0):
    """Cubes of balls with the share of every voxel that lies inside, softly."""
    place = (np.indices((size,) * 3) + 0.5) / size * side_um - side_um / 2
    radius, edge = np.sqrt((place**2).sum(0)), side_um / size
    return torch.tensor(
        np.stack([np.clip(0.5 + (r - radius) / edge, 0, 1) for r in radii_um])[:, None]
    ).float()


@pytest.mark.parametrize("growth", [1.02, 1.1, 1.3])
@pytest.mark.parametrize("representation", ["cube", "points"])
def test_growth_of_a_sphere_has_energy_one_for_cubes_and_clouds(representation, growth):
    radii_um = 5.0 * np.linspace(1, growth, 5)
    rng = np.random.default_rng(1)
    unit = rng.normal(size=(2048, 3))
    unit *= rng.random((2048, 1)) ** (1 / 3) / np.linalg.norm(unit, axis=1, keepdims=True)
    decoded = torch.tensor(radii_um[:, None, None] * unit * SCALE).float()
    if representation == "cube":
        decoded = cubes_of_balls(radii_um)
    chosen = {"representation": representation, "input_scale": SCALE}
    shapes = common_points_um(decoded, chosen, side_um=16.0, n_points=256, seed=3).numpy()
    found = path_energies(shapes[1:-1], shapes[0], shapes[-1])[0]
    np.testing.assert_allclose(found, 1.0, atol=0.001 if representation == "points" else 0.02)


def test_a_start_that_is_sampled_again_says_how_much_sampling_adds():
    rng = np.random.default_rng(2)
    start, again, end = rng.normal(size=(3, 64, 3)) + [[[0, 0, 0]], [[0, 0, 0]], [[6, 0, 0]]]
    found = energies([start], start, end, again=again)
    expected = (shape_distances.transport_distance(again, start) + 6) / 6
    assert found.loc[0, "energy_sampling"] == pytest.approx(expected, rel=0.05)
    assert found.loc[0, "energy"] == 1


# Shapes


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return write_sampled_shapes(tmp_path_factory.mktemp("shapes"))


ENDS = {"start": ["03", "04"], "end": ["05", "06"]}


def shape_evolution(monkeypatch, shapes, folder, model, chosen, *, meshes=None, ends=ENDS, **changes):
    settings = {**EMBED, "error_points": 64, "error_voxels": 24}
    for module in (embed, evolution):
        monkeypatch.setattr(module, "load_for_inference", lambda *_: (model, chosen))
    common = {"dataset": "blobs", "seed": 1, "accelerator": "cpu", "threads": 1}
    stages = (shapes.manifest, shapes.shards, "model.pt")
    embed.run(*stages, folder / "identity.parquet", rotations="identity", embed_config=settings, **common)
    pairs = pd.DataFrame(ends)
    write_table(pairs.assign(pair=np.arange(len(pairs)))[["pair", "start", "end"]], folder / "pairs.csv")
    evolution.run(
        *stages,
        folder / "identity.parquet",
        folder / "pairs.csv",
        folder / "evolution.parquet",
        meshes=shapes.meshes if meshes is None else meshes,
        n_fractions=3,
        energy_points=32,
        embed_config={**settings, **changes},
        side_um=None,
        **common,
    )
    return read_table(folder / "evolution.parquet")


MODELS = {
    "sdf": (Echo, volume_config("sdf")),
    "seg": (Echo, volume_config("seg")),
    "surface": (Balls, SURFACE_CONFIG),
}


@pytest.mark.parametrize("representation", MODELS)
def test_shapes_have_every_energy_whatever_the_batch(representation, shapes, monkeypatch, tmp_path):
    family, chosen = MODELS[representation]
    found = shape_evolution(monkeypatch, shapes, tmp_path, family(), chosen)
    assert len(found) == 6
    assert (found["reason"] == "").all()
    # The Jaccard distance is a metric: no path is shorter than that between the ends.
    assert (found[PATHS] >= 1 - 1e-9).all(axis=None)
    again = shape_evolution(monkeypatch, shapes, tmp_path, family(), chosen, batch_size=11)
    pd.testing.assert_frame_equal(found, again, rtol=1e-3)


def test_energy_of_inputs_differs_by_the_error_of_the_grid(shapes, monkeypatch, tmp_path):
    """A perfect model's ends are the cells themselves, but for its grid."""
    found = shape_evolution(monkeypatch, shapes, tmp_path, Echo(), volume_config("sdf"))
    assert (abs(found["energy_input"] - found["energy"]) < 0.25).all()


def test_size_counts_in_the_common_grid_alone(shapes, monkeypatch, tmp_path):
    """Ends that differ in size alone: no distance at all in their own boxes."""

    class Growing(Balls):
        def decode(self, z, pose=None):
            same = torch.zeros_like(z)
            same[:, 1, 0] = 0.2 + z[:, 0, 0].abs()
            return super().decode(same)

    found = shape_evolution(monkeypatch, shapes, tmp_path, Growing(), SURFACE_CONFIG)
    assert np.isfinite(found["energy"]).all()
    assert (found["energy_legacy"].isna() | (found["energy_legacy"] > found["energy"] + 0.5)).any()


def test_what_decodes_to_nothing_has_a_reason(shapes, monkeypatch, tmp_path):
    found = shape_evolution(monkeypatch, shapes, tmp_path, Echo(enlarge=-99.0), volume_config("sdf"))
    assert (found["energy"] == evolution.CONSTANT).all()
    assert found["constant"].all()
    assert found["energy_legacy"].isna().all()
    # Nothing is at 1 from either input, the farthest that a shape can be.
    assert (found["energy_input"] >= 2).all()
    assert (found["reason"] == "the start decodes to no surface").all()


def test_without_pairs_the_table_is_empty_with_a_warning(shapes, monkeypatch, tmp_path, caplog):
    none = {side: pd.Series(dtype=str) for side in ("start", "end")}
    found = shape_evolution(monkeypatch, shapes, tmp_path, Echo(), volume_config("sdf"), ends=none)
    assert found.empty
    assert {"pair", "start", "end", "fraction", *ENERGIES, "constant", "reason"} == set(found)
    assert "no pair of test cells" in caplog.text


def test_without_masked_meshes_only_the_energy_of_inputs_is_missing(shapes, monkeypatch, tmp_path):
    found = shape_evolution(monkeypatch, shapes, tmp_path, Echo(), volume_config("sdf"), meshes=())
    assert np.isfinite(found[["energy", "energy_legacy"]]).all(axis=None)
    assert found["energy_input"].isna().all()
    assert (found["reason"] == "no masked surface to take for the input").all()
