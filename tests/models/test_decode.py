"""Decoding in micrometres, in any batches: inputs of decoders, sizes, poses, and shapes that are invalid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.perfect_models import Balls, Echo, volume_config
from fabricate.sampled import SIDE_UM
from fabricate.trained import DECODING, write_untrained

from morphobench.errors import InputError
from morphobench.geometry import rotation
from morphobench.geometry.isosurface import enclosed_volume
from morphobench.models import load
from morphobench.models.decode import decode_shapes, decoder_inputs, invalid_reason, model_sizes_um

SIZE = 17
SURFACE = {"representation": "surface", "input_scale": 1.0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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


def test_clouds_that_are_not_finite_are_invalid():
    cloud = np.zeros((4, 3))
    assert invalid_reason(cloud) == ""
    cloud[2, 1] = np.inf
    assert invalid_reason(cloud) == "decodes to points that are not finite"


def test_implicit_shapes_are_as_large_as_the_cell_and_turn_with_their_pose():
    vectors = np.array([[[0.2, 0.1, -0.1], [0.0, 0.25, 0.0]]] * 2)
    turns = rotation.uniform(2, np.random.default_rng(0))
    place = {"batch_size": 1, "sizes_um": np.array([10.0, 4.0])}
    canonical = decode_shapes(Balls(), vectors, SURFACE, **place)
    posed = decode_shapes(Balls(), vectors, SURFACE, pose=turns, **place)
    for before, after, turn, size_um in zip(canonical, posed, turns, place["sizes_um"], strict=True):
        assert enclosed_volume(*before) == pytest.approx(4 / 3 * np.pi * (0.25 * size_um) ** 3, rel=0.03)
        for mesh, expected in ((before, vectors[0, 0]), (after, turn @ vectors[0, 0])):
            middle = (mesh[0].max(axis=0) + mesh[0].min(axis=0)) / 2
            np.testing.assert_allclose(middle, expected * size_um, atol=0.03 * size_um)


def test_shapes_without_a_size_are_refused():
    with pytest.raises(InputError, match="no size"):
        decode_shapes(Echo(size=SIZE), np.zeros((1, SIZE**3)), volume_config("sdf"), batch_size=1)
    with pytest.raises(InputError, match="no column scale_factor"):
        model_sizes_um(pd.DataFrame({"CellId": ["a"]}), "sdf")
    table = pd.DataFrame({"scale_factor": [4.0], "scale_um": [9.0]})
    assert model_sizes_um(table, "seg").tolist() == [0.25]
    assert model_sizes_um(table, "surface").tolist() == [9.0]


def test_decoder_inputs_are_vectors_where_there_are_some():
    table = pd.DataFrame({"mu_0": [1.0, 2.0], "mu_1": [3.0, 4.0]})
    codes, pose = decoder_inputs(table)
    assert codes.tolist() == [[1, 3], [2, 4]]
    assert pose is None
    table["vectors"] = [np.arange(6.0), np.arange(6.0) + 6]
    table = table.assign(**{f"pose_{i}{j}": float(3 * i + j) for i in range(3) for j in range(3)})
    codes, pose = decoder_inputs(table)
    assert codes.tolist() == np.arange(12.0).reshape(2, 2, 3).tolist()
    assert pose[1].tolist() == np.arange(9.0).reshape(3, 3).tolist()
