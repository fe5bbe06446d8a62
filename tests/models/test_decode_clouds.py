"""Decoded cubes and clouds become points in micrometres: by intensity, seeded, however cells are batched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fabricate.sampled import clouds_um

from morphobench.models.decode_clouds import (
    common_points_um,
    cube_to_points_legacy,
    cube_to_points_um,
    subsample,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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


def test_subsampling_keeps_different_points_of_the_cloud():
    clouds = torch.from_numpy(clouds_um(3))
    kept = subsample(clouds, 20, seeded())
    assert kept.shape == (3, 20, 3)
    for cloud, few in zip(clouds, kept, strict=True):
        assert (few[:, None] == cloud).all(-1).any(0).sum() == 20
    assert torch.equal(subsample(clouds, 64, seeded()), clouds)


def test_published_sampler_weights_by_the_skewness():
    cube = torch.full((1, 1, 4, 4, 4), 0.5)
    cube[0, 0, 3, 1, 2] = 1.0  # z, y, x
    cube[0, 0, 0, 0, 0] = -1.0
    share = cube.flatten()
    kappa = 300 * (share.mean() - share.median()) / share.std()
    points = cube_to_points_legacy(cube, 20000, torch.Generator().manual_seed(0))[0]
    bright = ((points - torch.tensor([2.0, 1.0, 3.0])).abs() < 0.0011).all(dim=1).double().mean().item()
    weight = torch.exp(kappa * torch.tensor([1.0, 0.5])).double()
    assert bright == pytest.approx((weight[0] / (weight[0] + 62 * weight[1])).item(), abs=0.02)
    assert (points.round().abs().sum(dim=1) > 0).all()
    assert torch.isnan(cube_to_points_legacy(-cube.abs(), 10, torch.Generator())).all()


# The same random numbers for several shapes


def blob(at_um, spread_um=1.5, size=17, side_um=16.0):
    """A cube with a soft spot, shape (1, 1, size, size, size); `at_um` in x, y, z."""
    place = (np.indices((size,) * 3)[::-1] + 0.5) / size * side_um - side_um / 2
    apart = ((place - np.reshape(at_um, (3, 1, 1, 1))) ** 2).sum(0)
    return torch.tensor(np.exp(-apart / (2 * spread_um**2))[None, None]).float()


COMMON = {"side_um": 16.0, "n_points": 300, "seed": 4}
CUBE = {"representation": "cube", "input_scale": 1.0}


def test_points_of_cubes_have_the_law_of_the_intensities():
    at_um = np.array([2.0, -1.0, 0.5])
    found = common_points_um(blob(at_um), CUBE, **{**COMMON, "n_points": 20_000})[0].numpy()
    np.testing.assert_allclose(found.mean(axis=0), at_um, atol=0.05)
    # The spot, and what voxels and interpolation between them add.
    np.testing.assert_allclose(found.std(axis=0), 1.5, rtol=0.06)
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.03
    generator = torch.Generator().manual_seed(1)
    plain = cube_to_points_um(blob(at_um), side_um=16.0, n_points=20_000, generator=generator)[0].numpy()
    np.testing.assert_allclose(
        np.quantile(found, [0.1, 0.5, 0.9], axis=0), np.quantile(plain, [0.1, 0.5, 0.9], axis=0), atol=0.12
    )


def test_points_of_a_cube_that_moves_move_with_it():
    cubes = torch.cat([blob([0, 0, 0]), blob([1.3, -0.7, 0.4])])
    first, second = common_points_um(cubes, CUBE, **COMMON).numpy()
    np.testing.assert_allclose(second - first, np.broadcast_to([1.3, -0.7, 0.4], first.shape), atol=0.1)


def test_a_cube_without_intensity_gives_points_everywhere():
    found = common_points_um(-torch.ones(1, 1, 9, 9, 9), CUBE, **COMMON)[0].numpy()
    assert (np.abs(found) <= 8).all()
    np.testing.assert_allclose(found.std(axis=0), 16 / 12**0.5, rtol=0.1)


def test_clouds_give_the_same_points_of_each_and_other_ones_at_the_next_draw():
    clouds = (
        torch.arange(40.0).reshape(1, 40, 1).expand(3, 40, 3) + torch.tensor([0.0, 100, 200])[:, None, None]
    )
    chosen, options = {"representation": "points", "input_scale": 2.0}, {**COMMON, "n_points": 15}
    found = common_points_um(clouds, chosen, **options)
    assert found.shape == (3, 15, 3)
    torch.testing.assert_close(found[1] - found[0], torch.full((15, 3), 50.0))
    following = common_points_um(clouds, chosen, **options, first=15)
    assert not set(found[0, :, 0].tolist()) & set(following[0, :, 0].tolist())
    assert common_points_um(clouds, chosen, **options, first=30).shape[1] == 10
    torch.testing.assert_close(common_points_um(clouds, chosen, **options), found)
