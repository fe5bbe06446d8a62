"""The spherical-harmonic surface: smooth shapes it holds, rotations it follows, and what it loses."""

import numpy as np
import pytest
import torch

from morphobench import models
from morphobench.errors import InputError
from morphobench.geometry import rotation
from morphobench.geometry.isosurface import enclosed_volume
from morphobench.models.decode_surfaces import volume_mesh
from morphobench.models.harmonic_surface import HarmonicSurface

SIZE = 33
MODEL = HarmonicSurface(size=SIZE, degree=10)
CENTRE = np.array([1.0, -0.5, 0.7])
UPRIGHT = np.eye(3)
STEPS = np.arange(SIZE) - SIZE // 2
POINTS = np.stack(np.meshgrid(STEPS, STEPS, STEPS, indexing="ij")[::-1], axis=-1).astype(float)


def egg(matrix=UPRIGHT):
    """About the distances from a smooth body without symmetry beside the middle, rotated about the middle."""
    x, y, z = np.moveaxis((POINTS - matrix @ CENTRE) @ matrix, -1, 0)
    length = np.linalg.norm([x / 10, y / (7 + 0.21 * x), z / (5 + 0.2 * y)], axis=0)
    return distances((length - 1) * 5)


def distances(values):
    return torch.tensor(values.clip(-2, 2), dtype=torch.float32)[None, None]


def volume_of(field):
    return enclosed_volume(*volume_mesh(-field.numpy()[0, 0], 1.0, SIZE // 2))


def error(a, b):
    a, b = (volume <= 0 for volume in (a, b))
    return float(1 - (a & b).sum() / (a | b).sum())


def test_a_smooth_shape_keeps_its_volume_and_its_surface():
    x = egg()
    decoded = MODEL.reconstruct(x)
    assert volume_of(decoded) == pytest.approx(volume_of(x), rel=0.03)
    assert error(decoded, x) < 0.05


def test_a_sphere_has_its_radius_and_centre():
    z, _ = MODEL.encode_with_pose(distances(np.linalg.norm(POINTS - CENTRE, axis=-1) - 8))
    assert z[0, 0].item() == pytest.approx(8 * np.sqrt(4 * np.pi), rel=0.01)
    assert z[0, 1:-3].abs().max() < 0.3
    assert z[0, -3:].norm().item() == pytest.approx(np.linalg.norm(CENTRE), rel=0.02)


def test_rotated_shapes_have_one_embedding_and_poses_that_follow():
    z, pose = MODEL.encode_with_pose(egg())
    assert torch.linalg.det(pose).item() == pytest.approx(1, abs=1e-5)
    for matrix in (*rotation.cube_rotations()[5:8], *rotation.uniform(3, np.random.default_rng(0))):
        rotated = egg(matrix)
        z_rotated, pose_rotated = MODEL.encode_with_pose(rotated)
        assert (z_rotated - z).norm() < 0.02 * z.norm()
        np.testing.assert_allclose(pose_rotated[0], matrix @ pose[0].numpy(), atol=0.02)
        assert error(MODEL.decode(z_rotated, pose_rotated), rotated) < 0.06


def test_without_a_pose_shapes_are_decoded_in_their_principal_axes():
    z, _ = MODEL.encode_with_pose(egg())
    inside = POINTS[MODEL.decode(z).numpy()[0, 0] <= 0]
    spread = np.cov(inside.T)
    assert spread[0, 0] > spread[1, 1] > spread[2, 2]
    assert np.abs(spread - np.diag(np.diag(spread))).max() < 0.05 * spread[2, 2]


def test_what_is_not_star_shaped_keeps_its_volume_but_not_its_form():
    hollow = np.abs(np.linalg.norm(POINTS - CENTRE, axis=-1) - 10) - 2
    x = distances(hollow)
    decoded = MODEL.reconstruct(x)
    assert volume_of(decoded) == pytest.approx(volume_of(x), rel=0.05)
    assert error(decoded, x) > 0.5


def test_it_is_saved_without_weights_and_refuses_other_sizes(tmp_path):
    config = {"family": "harmonic_surface", "representation": "sdf", "input_scale": 1.0}
    config["architecture"] = {"size": SIZE, "degree": 10}
    models.save(MODEL, config, tmp_path / "model.pt")
    model, found = models.load(tmp_path / "model.pt")
    assert found == config
    assert not model.state_dict()
    assert torch.equal(model.encode(egg()), MODEL.encode(egg()))
    with pytest.raises(InputError, match="the model reads"):
        MODEL.encode(egg()[..., 1:])
