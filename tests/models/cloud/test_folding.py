"""FoldingNet decoder and the grids it folds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from morphobench.errors import InputError
from morphobench.models.classical_pointcloud import ClassicalPointcloud
from morphobench.models.cloud import folding
from morphobench.models.rotation_invariant_pointcloud import RotationInvariantPointcloud


def error(got, wanted):
    return (torch.linalg.vector_norm(got - wanted) / torch.linalg.vector_norm(wanted)).item()


def test_folding_is_the_published_one():
    torch.manual_seed(0)
    net = folding.FoldingNet(32, 64, folding.sphere(100))
    z = torch.linspace(-1, 1, 3 * 32).view(3, 32)
    code = net.project(z).unsqueeze(1).expand(-1, 100, -1)
    once = net.folding1(torch.cat((code, net.grid.expand(3, -1, -1)), -1))
    assert error(net(z), net.folding2(torch.cat((code, once), -1))) < 1e-6


def test_sphere_has_exactly_the_points_asked_for_evenly_spread():
    for n in (1, 2, 100, 2048):
        grid = folding.sphere(n)
        assert grid.shape == (n, 3)
        assert np.allclose(np.linalg.norm(grid, axis=1), folding.EXTENT)
    assert np.abs(grid.mean(0)).max() < 1e-3
    distances = np.linalg.norm(grid[:, None] - grid[None], axis=-1) + np.eye(n)
    nearest = distances.min(axis=1)
    assert nearest.max() < 2 * nearest.min()


def test_ball_is_filled_evenly():
    grid = folding.ball(4000)
    radii = np.linalg.norm(grid, axis=1) / folding.EXTENT
    assert grid.shape == (4000, 3)
    assert np.allclose(np.quantile(radii**3, [0.25, 0.5, 0.75, 1]), [0.25, 0.5, 0.75, 1], atol=0.01)
    second = grid.T @ grid / len(grid)
    assert np.allclose(second, np.eye(3) * folding.EXTENT**2 / 5, atol=2e-4)


def test_a_decoder_that_starts_by_he_keeps_more_of_the_grids_spread():
    torch.manual_seed(0)
    z = torch.randn(8, 16)
    nets = [folding.FoldingNet(16, 64, folding.ball(256), start=start) for start in ("default", "he")]
    shrunk, spread = (net(z).std(dim=1).mean().item() for net in nets)
    assert spread > 30 * shrunk
    with pytest.raises(InputError, match=r"decoder_start = 'zero' is unknown. Choose one of default, he"):
        folding.FoldingNet(16, 64, folding.ball(4), start="zero")


def test_plane_is_the_published_one():
    grid = folding.plane(2048)
    assert grid.shape == (2025, 2)
    assert np.allclose(
        grid[[0, 1, 45, -1]], [[-0.3, -0.3], [-0.3, -0.3 + 0.6 / 44], [-0.3 + 0.6 / 44, -0.3], [0.3, 0.3]]
    )


def test_grid_file_replaces_the_grid(tmp_path):
    grid = np.random.default_rng(0).normal(size=(33, 3))
    np.save(tmp_path / "grid.npy", grid)
    model = ClassicalPointcloud(grid_file=str(tmp_path / "grid.npy"))
    assert torch.allclose(model.decoder["pcloud"].grid, torch.tensor(grid, dtype=torch.float32))
    with torch.no_grad():
        assert model.decode(torch.zeros(2, 256)).shape == (2, 33, 3)


@pytest.mark.parametrize(
    "content", [np.zeros((5, 4)), np.zeros(5), np.full((5, 3), np.nan), np.zeros((0, 3)), None]
)
def test_bad_grid_files_are_refused(tmp_path, content):
    path = tmp_path / "grid.npy"
    if content is None:
        path.write_text("no array")
    else:
        np.save(path, content)
    with pytest.raises(InputError, match=r"grid\.npy"):
        ClassicalPointcloud(grid_file=str(path))


def test_other_grids_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing.npy"):
        ClassicalPointcloud(grid_file=str(tmp_path / "missing.npy"))
    with pytest.raises(InputError, match="torus"):
        ClassicalPointcloud(grid="torus")
    with pytest.raises(InputError, match="n_output_points = 0"):
        RotationInvariantPointcloud(n_output_points=0)


@torch.no_grad()
def test_clouds_are_the_same_one_at_a_time_as_together():
    torch.manual_seed(0)
    net, z = folding.FoldingNet(8, 16, folding.sphere(20)), torch.randn(3, 8)
    assert net(z[:0]).shape == (0, 20, 3)
    with torch.enable_grad():
        together = net(z).detach()
    torch.testing.assert_close(net(z), together)
