"""FoldingNet decoder (Yang et al. 2018): a fixed grid of points is folded twice into a shape."""

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from morphobench.errors import InputError
from morphobench.files import FilePath, limits

# Half width of the plane and radius of the sphere that the published decoders fold, in model units.
EXTENT = 0.3

# How the weights of the folds begin: as torch makes them, or with larger variances.
Start = Literal["default", "he"]


def plane(n_points: int) -> np.ndarray:
    """Return the published square grid, shape (floor(sqrt(n_points))^2, 2), within +-0.3 model units.

    2025 points for 2048.
    """
    ticks = np.linspace(-EXTENT, EXTENT, math.isqrt(n_points))
    return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)


def sphere(n_points: int) -> np.ndarray:
    """Return evenly spread points of a sphere of radius 0.3 model units, shape (n_points, 3), xyz.

    Fibonacci lattice (Gonzalez 2010).
    """
    rank = np.arange(n_points)
    z = 1 - (2 * rank + 1) / n_points
    longitude = rank * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - z**2)
    return EXTENT * np.stack((ring * np.cos(longitude), ring * np.sin(longitude), z), axis=-1)


def ball(n_points: int) -> np.ndarray:
    """Return points that fill a ball of radius 0.3 model units evenly, shape (n_points, 3), xyz.

    Halton's sequence. A cloud that fills a volume needs no folding of a surface to resemble it.
    """
    from scipy.stats import qmc

    radius, height, turn = qmc.Halton(3, scramble=False).random(n_points + 1)[1:].T
    z, longitude = 2 * height - 1, 2 * np.pi * turn
    ring = np.sqrt(1 - z**2)
    directions = np.stack((ring * np.cos(longitude), ring * np.sin(longitude), z), axis=-1)
    return EXTENT * np.cbrt(radius)[:, np.newaxis] * directions


def read_grid(path: FilePath) -> np.ndarray:
    """Read a grid from a .npy file, shape (n_points, 2 or 3), model units.

    Raises
    ------
    InputError
        When the file is missing or holds no such array.
    """
    try:
        limits.check_npy(path)
        grid = np.load(path, allow_pickle=False)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} (grid_file) could not be read: {error}. Give a .npy file.") from error
    if grid.ndim != 2 or grid.shape[1] not in (2, 3) or not len(grid) or not np.isfinite(grid).all():
        problem = f"{path} (grid_file) holds an array of shape {grid.shape}, or one with NaN."
        raise InputError(f"{problem} It must hold finite numbers, shape (n_points, 2) or (n_points, 3).")
    return grid


def make_grid(kind: str, n_points: int, grid_file: FilePath | None) -> np.ndarray:
    """Return the grid of a decoder, shape (n, 2 or 3), model units: the file's, or one of these kinds.

    A plane has fewer points than asked for when that is no square number, a file what it holds.

    Raises
    ------
    InputError
        When the kind is unknown, `n_points` is not positive or the file is no grid.
    """
    kinds = {"plane": plane, "sphere": sphere, "ball": ball}
    if kind not in kinds:
        raise InputError(f"grid = {kind!r} is unknown. Choose one of {', '.join(sorted(kinds))}.")
    if n_points < 1:
        raise InputError(f"n_output_points = {n_points} leaves nothing to decode. Give a positive number.")
    return kinds[kind](n_points) if grid_file is None else read_grid(grid_file)


class FoldingNet(nn.Module):
    """Decoder of embeddings into point clouds of `n_coordinates` columns.

    Both folds have width `hidden_dim`; the grid, shape (n_points, 2 or 3), is not part of the weights. With
    `start` "he" these begin as He et al. (2015) say; as torch begins them, six layers shrink the grid to a
    point, and the first epochs go into unfolding it.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden_dim: int,
        grid: np.ndarray,
        n_coordinates: int = 3,
        start: Start = "default",
    ) -> None:
        super().__init__()
        self.latent_dim, self.n_coordinates = latent_dim, n_coordinates
        equal = latent_dim == hidden_dim
        self.project = nn.Identity() if equal else nn.Linear(latent_dim, hidden_dim, bias=False)
        self.folding1 = _perceptron(hidden_dim, grid.shape[1], n_coordinates)
        self.folding2 = _perceptron(hidden_dim, n_coordinates, n_coordinates)
        if start not in get_args(Start):
            raise InputError(
                f"decoder_start = {start!r} is unknown. Choose one of {', '.join(get_args(Start))}."
            )
        if start == "he":
            _start_he(self.folding1)
            _start_he(self.folding2)
        self.register_buffer("grid", torch.tensor(grid, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map embeddings (batch, latent_dim) to clouds (batch, n_points, n_coordinates)."""
        projected = self.project(z).unsqueeze(1)
        if z.device.type != "cpu" or torch.is_grad_enabled() or len(z) < 2:
            return self._clouds(projected)
        # What a layer makes of one cloud stays in a processor's cache until the next layer reads it.
        return torch.cat([self._clouds(part) for part in projected.split(1)])

    def _clouds(self, projected: torch.Tensor) -> torch.Tensor:
        return _fold(self.folding2, projected, _fold(self.folding1, projected, self.grid))


def _perceptron(hidden_dim: int, n_in: int, n_out: int) -> nn.Sequential:
    first, second = nn.Linear(hidden_dim + n_in, hidden_dim), nn.Linear(hidden_dim, hidden_dim)
    rectify = nn.ReLU(inplace=True)
    return nn.Sequential(first, rectify, second, rectify, nn.Linear(hidden_dim, n_out))


def _start_he(perceptron: nn.Sequential) -> None:
    *hidden, last = (layer for layer in perceptron if isinstance(layer, nn.Linear))
    for layer in (*hidden, last):
        nonlinearity = "linear" if layer is last else "relu"
        nn.init.kaiming_normal_(layer.weight, nonlinearity=nonlinearity)
        nn.init.zeros_(layer.bias)


def _fold(perceptron: nn.Sequential, projected: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    # The embedding is the same for all points of a cloud, so its share of the first layer is computed once.
    first, width = perceptron[0], projected.shape[-1]
    from_embedding = F.linear(projected, first.weight[:, :width], first.bias)
    return perceptron[1:](from_embedding + F.linear(points, first.weight[:, width:]))
