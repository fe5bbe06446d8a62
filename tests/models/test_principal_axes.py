"""Frames of second moments: they rotate with the shape, and symmetric shapes have one."""

import numpy as np
import pytest
import torch

from morphobench import models
from morphobench.errors import InputError
from morphobench.geometry import rotation
from morphobench.models.principal_axes import principal_frame

ARCHITECTURES = {
    "rotation_invariant_pointcloud": {
        "latent_dim": 8,
        "hidden_dim": 4,
        "k": 6,
        "folding_hidden": 16,
        "n_output_points": 32,
    },
    "rotation_invariant_pointcloud_sdf": {"latent_dim": 8, "hidden_dim": 4, "k": 6, "decoder_hidden": 8},
}


def clouds(n=4):
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.gamma(1.0, size=(n, 60, 3)) * [3.0, 2.0, 1.0])


def rotations(n=4):
    return torch.from_numpy(rotation.uniform(n, np.random.default_rng(5)))


def test_a_frame_is_a_rotation_that_rotates_with_the_points():
    x, r = clouds(), rotations()
    frames = principal_frame(x)
    torch.testing.assert_close(frames @ frames.transpose(1, 2), torch.eye(3).double().expand(4, 3, 3))
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(4).double())
    torch.testing.assert_close(principal_frame(x @ r.transpose(1, 2)), r @ frames)


def test_a_point_of_weight_two_is_two_points():
    x = clouds()
    weights = torch.ones(4, 60).double()
    weights[:, 7] = 2
    twice = torch.cat((x, x[:, 7:8]), dim=1)
    torch.testing.assert_close(principal_frame(x, weights), principal_frame(twice))


@pytest.mark.parametrize("family", list(ARCHITECTURES))
def test_rotations_change_no_embedding_and_rotate_what_is_decoded(family):
    torch.manual_seed(0)
    model = models.create(family, **ARCHITECTURES[family], pose="principal_axes").double().eval()
    x, r = clouds(), rotations()
    rotated = x @ r.transpose(1, 2)
    with torch.no_grad():
        torch.testing.assert_close(model.encode(rotated), model.encode(x))
        if family.endswith("sdf"):
            torch.testing.assert_close(model.vectors(rotated), model.vectors(x) @ r.transpose(1, 2))
        else:
            torch.testing.assert_close(model.reconstruct(rotated), model.reconstruct(x) @ r.transpose(1, 2))


def test_quarter_turns_rotate_what_an_image_model_decodes():
    torch.manual_seed(0)
    sizes = {"size": 9, "latent_dim": 8, "channels": [2, 3, 4], "strides": [1, 2, 2]}
    model = models.create("rotation_invariant_image", **sizes, pose="principal_axes").eval()
    x = torch.zeros(1, 1, 9, 9, 9)
    x[0, 0, 2:7, 3:6, 4:6] = 1
    x[0, 0, 2, 3, 3] = 3
    rotated = torch.rot90(x, 1, (3, 4))
    with torch.no_grad():
        expected = torch.rot90(model.reconstruct(x), 1, (3, 4))
        torch.testing.assert_close(model.reconstruct(rotated), expected, atol=1e-4, rtol=1e-3)


def test_an_unknown_pose_is_refused():
    with pytest.raises(InputError, match="pose = 'axis' is unknown. Choose 'vectors'"):
        models.create("rotation_invariant_pointcloud", pose="axis")
