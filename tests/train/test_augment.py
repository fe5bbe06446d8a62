"""Augmentation: rigid rotations, noise on places alone, nothing but the generator behind it."""

from __future__ import annotations

import pytest
import torch

from morphobench.models.inputs import Batch
from morphobench.train.augment import augment, encode_fewer, sample_rotations


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def augmented(batch, kind, seed=0, jitter=0.0):
    return augment(batch, {"rotation": kind, "jitter": jitter}, generator(seed))


@pytest.mark.parametrize("kind", ["z", "so3", "lattice"])
def test_rotations_are_proper_and_differ(kind):
    found = sample_rotations(kind, 40, generator())
    eye = torch.eye(3, dtype=torch.float64).expand(40, 3, 3)
    torch.testing.assert_close(found @ found.transpose(1, 2), eye)
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(40, dtype=torch.float64))
    assert len(found.round(decimals=6).unique(dim=0)) > 10


def test_rotations_about_z_leave_z_alone_in_steps_of_15_degrees():
    found = sample_rotations("z", 200, generator())
    assert torch.equal(found[:, 2], torch.tensor([0.0, 0, 1], dtype=torch.float64).expand(200, 3))
    angles = torch.rad2deg(torch.atan2(found[:, 1, 0], found[:, 0, 0]))
    torch.testing.assert_close(angles / 15, (angles / 15).round())
    assert len(angles.round().unique()) > 20


def test_uniform_rotations_point_everywhere():
    tips = sample_rotations("so3", 4000, generator())[:, :, 0]
    assert tips.mean(dim=0).abs().max() < 0.05
    torch.testing.assert_close(tips.square().mean(dim=0), torch.full((3,), 1 / 3).double(), atol=0.03, rtol=0)


@pytest.mark.parametrize("kind", ["z", "so3", "lattice"])
def test_queries_turn_with_their_cloud_and_scalars_stay(kind):
    x, queries = torch.rand(3, 20, 4, generator=generator(1)), torch.rand(3, 9, 3, generator=generator(2))
    distances = torch.rand(3, 9, generator=generator(3))
    found = augmented(Batch(x, queries, distances), kind)
    torch.testing.assert_close(
        torch.cdist(found.x[..., :3], found.queries), torch.cdist(x[..., :3], queries), atol=1e-5, rtol=0
    )
    assert torch.equal(found.x[..., 3], x[..., 3])
    assert torch.equal(found.distances, distances)
    assert not torch.allclose(found.x, x)


def test_a_volume_rotates_as_its_points_do():
    cube = torch.zeros(1, 1, 5, 5, 5)
    cube[0, 0, 4, 1, 2] = 1.0  # z, y, x
    place = torch.tensor([0.0, -1.0, 2.0], dtype=torch.float64)
    for seed in range(12):
        found = augmented(Batch(cube), "lattice", seed).x[0, 0].nonzero()[0]
        expected = sample_rotations("lattice", 1, generator(seed))[0] @ place
        assert found.flip(0).double().sub(2).tolist() == expected.tolist()


def test_noise_moves_places_within_its_bound_and_no_intensity():
    x = torch.rand(2, 500, 4, generator=generator(1))
    found = augmented(Batch(x), "none", jitter=0.1).x
    moved = (found - x)[..., :3]
    assert moved.abs().max() <= 0.2 + 1e-6
    assert 0.07 < moved.std() < 0.1
    assert torch.equal(found[..., 3], x[..., 3])


def test_the_same_generator_gives_the_same_batch():
    x = Batch(torch.rand(2, 30, 3, generator=generator(1)))
    assert torch.equal(augmented(x, "so3", 5, 0.1).x, augmented(x, "so3", 5, 0.1).x)
    assert not torch.equal(augmented(x, "so3", 5, 0.1).x, augmented(x, "so3", 6, 0.1).x)


def test_nothing_asked_nothing_done():
    x = torch.rand(2, 30, 3)
    assert augmented(Batch(x), "none").x is x


@pytest.mark.parametrize("n_columns", [3, 4])
def test_the_encoder_reads_whole_points_of_each_cloud_and_all_are_the_target(n_columns):
    clouds = torch.randn(2, 10, n_columns, generator=generator())
    fewer = encode_fewer(Batch(clouds), {"encoded_points": 6}, generator(1))
    assert fewer.x.shape == (2, 6, n_columns)
    for read, cloud in zip(fewer.x.tolist(), clouds.tolist(), strict=True):
        assert len({tuple(point) for point in read}) == 6
        assert all(point in cloud for point in read)
    assert fewer.target is clouds
    for enough in (10, 30, None):
        assert encode_fewer(Batch(clouds), {"encoded_points": enough}, generator()).x is clouds
