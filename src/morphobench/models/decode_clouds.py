"""What models decode as point clouds in micrometres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from morphobench.models.base import Autoencoder
from morphobench.models.device import model_device

# Of the published sampler: three times its scale of the skewness, its largest weight and its jitter.
_PUBLISHED_SKEW, _PUBLISHED_TOP, _PUBLISHED_JITTER_VOXEL = 300.0, 1e21, 0.001


def cube_to_points_um(
    cube: torch.Tensor, *, side_um: float, n_points: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw points from volumes with probability proportional to intensity above zero.

    Zero is the mean of a z-scored cube, so background draws nothing. A cube that is nowhere positive is
    drawn from uniformly: its cloud then says honestly that nothing was reconstructed.

    Parameters
    ----------
    cube
        Shape (batch, 1, s, s, s), axes z, y, x.
    side_um
        Side of the cube in micrometres.
    n_points
        Points per cell; each lies uniformly inside its voxel.
    generator
        CPU generator.

    Returns
    -------
    torch.Tensor
        Shape (batch, n_points, 3), xyz, micrometres, origin in the middle of the cube.
    """
    size = cube.shape[-1]
    weights = cube.detach().cpu().float().flatten(1).clamp_min(0)
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, torch.ones_like(weights))
    # Inverting the cumulative sum, because torch.multinomial stops at 2^24 categories.
    cumulative = weights.double().cumsum(1)
    # All draws of a cell in a row: the same points however cells are batched.
    draws = torch.rand(len(weights), n_points, 4, generator=generator, dtype=torch.float64)
    place = draws[..., 0] * cumulative[:, -1:]
    voxel = torch.searchsorted(cumulative, place, right=True).clamp_max(size**3 - 1)
    index_xyz = torch.stack([voxel % size, voxel // size % size, voxel // size**2], dim=-1)
    return ((index_xyz + draws[..., 1:]) / size - 0.5).float() * side_um


def to_points_um(
    decoded: torch.Tensor,
    settings: Mapping[str, Any],
    *,
    side_um: float,
    n_points: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Turn decoded clouds (model units) or cubes into clouds of `n_points` in micrometres, on the CPU.

    A cloud with more points is thinned by a seeded choice; one with fewer is kept as it is.
    """
    if settings["representation"] == "cube":
        return cube_to_points_um(decoded, side_um=side_um, n_points=n_points, generator=generator)
    points = decoded.detach().cpu()[..., :3] / settings["input_scale"]
    return subsample(points, n_points, generator)


def published_cloud(cube: torch.Tensor, n_points: int, generator: torch.Generator) -> torch.Tensor:
    """Draw points from volumes as the published scores do, for `legacy` alone.

    With p the intensity over its largest and kappa = 300 (mean - median) / standard deviation of p, the
    weight of a voxel is exp(kappa p), at most 1e21, and nothing where p is not positive. Points are drawn
    with replacement and moved by up to 0.001 voxel.

    Parameters
    ----------
    cube
        Shape (batch, 1, s, s, s), axes z, y, x.
    n_points
        Points per cell.
    generator
        CPU generator.

    Returns
    -------
    torch.Tensor
        Shape (batch, n_points, 3), xyz, voxels; NaN for a volume that is nowhere positive.
    """
    size = cube.shape[-1]
    flat = cube.detach().cpu().double().flatten(1)
    share = flat / flat.amax(1, keepdim=True)
    spread = share.mean(1, keepdim=True) - share.median(1, keepdim=True).values
    kappa = _PUBLISHED_SKEW * spread / share.std(1, keepdim=True)
    weights = (kappa * share).clamp_max(math.log(_PUBLISHED_TOP)).exp()
    weights = torch.where(flat > 0, weights, torch.zeros_like(weights)).nan_to_num(0.0)
    cumulative = weights.cumsum(1)
    draws = torch.rand(len(flat), n_points, 4, generator=generator, dtype=torch.float64)
    voxel = torch.searchsorted(cumulative, draws[..., 0] * cumulative[:, -1:], right=True)
    voxel = voxel.clamp_max(size**3 - 1)
    index_xyz = torch.stack([voxel % size, voxel // size % size, voxel // size**2], dim=-1)
    points = index_xyz + (2 * draws[..., 1:] - 1) * _PUBLISHED_JITTER_VOXEL
    points[cumulative[:, -1] <= 0] = math.nan
    return points.float()


def subsample(points: torch.Tensor, n_points: int, generator: torch.Generator) -> torch.Tensor:
    """Keep `n_points` of each cloud, a seeded choice; shape (batch, at most n_points, 3)."""
    if points.shape[1] <= n_points:
        return points
    return torch.stack(
        [cloud[torch.randperm(len(cloud), generator=generator)[:n_points]] for cloud in points]
    )


@torch.inference_mode()
def decode_points_um(
    model: Autoencoder, z: np.ndarray, settings: Mapping[str, Any], *, batch_size: int, **sampling: Any
) -> torch.Tensor:
    """Decode codes in the canonical frame, in batches.

    Parameters
    ----------
    z
        Codes, shape (n, latent_dim).
    **sampling
        Arguments of `to_points_um`.

    Returns
    -------
    torch.Tensor
        Shape (n, n_points, 3), xyz, micrometres.
    """
    device = model_device(model)
    batches = torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32)).split(batch_size)
    return torch.cat(
        [to_points_um(model.decode(batch.to(device)), settings, **sampling) for batch in batches]
    )
