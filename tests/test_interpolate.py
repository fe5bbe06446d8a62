"""Evolution energy: 1 on the straight way, more on a detour, and what the published frame adds to it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from trained_case import DATASET, DECODING, EMBED, FAILED, N_POINTS, SIDE_UM, write_case, write_untrained

from morphobench import embed, interpolate, rotation
from morphobench.files import read_table, write_table

# A lattice of 1 um with moves below half of it: every point's nearest is its own image, so the Chamfer
# distance of two shapes is twice the length of the move.
LATTICE_UM = torch.stack(torch.meshgrid(*[torch.arange(4.0)] * 3, indexing="ij"), -1).reshape(-1, 3) - 1.5
PAIRS = pd.DataFrame({"pair": [0, 1], "start": ["12", "01"], "end": ["13", "02"]})
SCALE = 0.5


class Mover(torch.nn.Module):
    """Decodes the first three numbers of a code into a move of one shape, which `bend` leads astray."""

    def __init__(self, bend=0.0):
        super().__init__()
        self.bend = bend

    def decode(self, z, pose=None):
        # Nothing at the ends of a pair, `bend` half way.
        detour = self.bend * (1 - (z[:, 3:4] / 0.1) ** 2)
        move = z[:, :3] + detour * torch.tensor([0.0, 0.0, 1.0])
        return (LATTICE_UM + move[:, None]) * SCALE


def codes(n):
    rng = np.random.default_rng(1)
    z = rng.uniform(-0.1, 0.1, (n, 4))
    z[:, 2] = 0
    z[:, 3] = np.where(np.arange(n) % 2, 0.1, -0.1)
    return z


def measure(monkeypatch, tmp_path, model, turn_degrees=0, n_fractions=4):
    """Run the stage on cells whose stored clouds are the model's shapes, turned about z."""
    case = write_case(tmp_path / "data")
    manifest = read_table(case.manifest)
    z, turn = codes(len(manifest)), rotation.about_z(turn_degrees)
    decoded_um = model.decode(torch.tensor(z, dtype=torch.float32)).numpy() / SCALE
    for number, folder in enumerate(case.shards):
        mine = manifest.index[(manifest["shard"] == number) & manifest["success"]]
        np.save(folder / "points_um.npy", rotation.rotate_points(decoded_um[mine], turn).astype(np.float32))
    table = pd.DataFrame(z, columns=[f"mu_{i}" for i in range(4)]).assign(CellId=manifest["CellId"])
    write_table(table.drop(index=FAILED).sample(frac=1, random_state=0), tmp_path / "identity.parquet")
    write_table(PAIRS, tmp_path / "pairs.csv")
    settings = {"representation": "points", "input_scale": SCALE}
    monkeypatch.setattr(interpolate.models, "load", lambda path: (model, settings))
    return evolution(case, tmp_path, n_fractions)


def evolution(case, folder, n_fractions=4, **changes):
    interpolate.run(
        case.manifest,
        case.shards,
        folder / "model.pt",
        folder / "identity.parquet",
        folder / "pairs.csv",
        folder / "evolution.parquet",
        dataset=DATASET,
        n_fractions=n_fractions,
        embed={**EMBED, "error_points": N_POINTS, **changes},
        side_um=SIDE_UM,
        seed=1,
    )
    return read_table(folder / "evolution.parquet")


def test_straight_way_has_energy_one(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover())
    np.testing.assert_allclose(found[["energy", "energy_legacy"]], 1, atol=1e-4)


def test_table_has_a_row_for_every_pair_and_fraction(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover(), n_fractions=3)
    assert found.columns.tolist() == ["pair", "start", "end", "fraction", "energy", "energy_legacy"]
    assert found["pair"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found["start"].tolist() == ["12"] * 3 + ["01"] * 3
    np.testing.assert_allclose(found["fraction"], [0.25, 0.5, 0.75] * 2)


def test_detour_costs_energy(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover(bend=0.2))
    assert (found["energy"] >= 1 - 1e-4).all()
    assert found["energy"].max() > 1.1


def test_pose_adds_to_the_legacy_energy_alone(monkeypatch, tmp_path):
    found = measure(monkeypatch, tmp_path, Mover(), turn_degrees=30)
    np.testing.assert_allclose(found["energy"], 1, atol=1e-4)
    assert (found["energy_legacy"] > found["energy"] + 0.5).all()


def test_energy_of_a_known_detour():
    start, end = LATTICE_UM[None], LATTICE_UM[None] + torch.tensor([0.3, 0.0, 0.0])
    middle = LATTICE_UM[None] + torch.tensor([0.15, 0.2, 0.0])
    found = interpolate.energies([middle, start], start, end)
    np.testing.assert_allclose(found, [[2 * np.hypot(0.15, 0.2) / 0.3, 1.0]], rtol=1e-5)


def test_pair_that_decodes_to_one_shape_has_no_energy():
    cloud = LATTICE_UM[None]
    assert np.isnan(interpolate.energies([cloud], cloud, cloud)).all()


@pytest.mark.parametrize("family", DECODING)
def test_every_family_interpolates_alike_in_any_batches(family, tmp_path):
    case = write_case(tmp_path / "data")
    embed.run(
        case.manifest,
        case.shards,
        write_untrained(tmp_path / "model.pt", family),
        tmp_path / "identity.parquet",
        pose="identity",
        dataset=DATASET,
        settings=EMBED,
        side_um=SIDE_UM,
        seed=1,
        accelerator="cpu",
        threads=1,
    )
    write_table(PAIRS, tmp_path / "pairs.csv")
    found = evolution(case, tmp_path, error_points=20)
    assert len(found) == 8
    assert (found[["energy", "energy_legacy"]] > 0).all(axis=None)
    again = evolution(case, tmp_path, error_points=20, batch_size=1)
    pd.testing.assert_frame_equal(found, again, rtol=2e-2)
