"""Point clouds in micrometres from decoded clouds and cubes."""

import math

import torch

from morphobench.models.inputs import Config

# Published sampler: three times its scale of the skewness, its largest weight and its jitter.
_LEGACY_SKEW, _LEGACY_TOP, _LEGACY_JITTER_VOXEL = 300.0, 1e21, 0.001


def cube_to_points_um(
    cube: torch.Tensor, *, side_um: float, n_points: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw points from cubes (batch, 1, s, s, s) of side `side_um`, in proportion to intensity above zero.

    Zero is the mean of a z-scored cube, so background draws nothing. A cube that is nowhere positive is drawn
    from uniformly. Each point lies uniformly inside its voxel; origin in the middle of the cube, xyz.
    """
    size = cube.shape[-1]
    weights = cube.detach().cpu().float().flatten(1).clamp_min(0)
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, torch.ones_like(weights))
    index_xyz, offset = _draw_voxels(weights.double(), size, n_points, generator)
    return ((index_xyz + offset) / size - 0.5).float() * side_um


def cube_to_points_legacy(cube: torch.Tensor, n_points: int, generator: torch.Generator) -> torch.Tensor:
    """Draw points from cubes (batch, 1, s, s, s) as published; xyz, voxels, shape (batch, n_points, 3).

    With p the intensity over its largest and kappa = 300 (mean - median) / standard deviation of p, the
    weight of a voxel is exp(kappa p), at most 1e21, and nothing where p is not positive. Points are moved by
    up to 0.001 voxel. NaN for a cube that is nowhere positive.
    """
    size = cube.shape[-1]
    flat = cube.detach().cpu().double().flatten(1)
    share = flat / flat.amax(1, keepdim=True)
    skew = share.mean(1, keepdim=True) - share.median(1, keepdim=True).values
    kappa = _LEGACY_SKEW * skew / share.std(1, keepdim=True)
    weights = (kappa * share).clamp_max(math.log(_LEGACY_TOP)).exp()
    weights = torch.where(flat > 0, weights, torch.zeros_like(weights)).nan_to_num(0.0)
    index_xyz, offset = _draw_voxels(weights, size, n_points, generator)
    points = index_xyz + (2 * offset - 1) * _LEGACY_JITTER_VOXEL
    points[weights.sum(1) <= 0] = math.nan
    return points.float()


def _draw_voxels(
    weights: torch.Tensor, size: int, n_points: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw voxels by weights of shape (batch, s^3); return their index xyz and uniform offsets in [0, 1)."""
    # Inverting the cumulative sum, because torch.multinomial stops at 2^24 categories.
    cumulative = weights.cumsum(1)
    # All draws of a cell in a row: the same points however cells are batched.
    draws = torch.rand(len(weights), n_points, 4, generator=generator, dtype=torch.float64)
    voxel = torch.searchsorted(cumulative, draws[..., 0] * cumulative[:, -1:], right=True)
    voxel = voxel.clamp_max(size**3 - 1)
    return torch.stack([voxel % size, voxel // size % size, voxel // size**2], dim=-1), draws[..., 1:]


def to_points_um(
    decoded: torch.Tensor, model_config: Config, *, side_um: float, n_points: int, generator: torch.Generator
) -> torch.Tensor:
    """Convert decoded clouds (model units) or cubes into clouds of at most `n_points`, micrometres (CPU)."""
    if model_config["representation"] == "cube":
        return cube_to_points_um(decoded, side_um=side_um, n_points=n_points, generator=generator)
    points = decoded.detach().cpu()[..., :3] / model_config["input_scale"]
    return subsample(points, n_points, generator)


def subsample(points: torch.Tensor, n_points: int, generator: torch.Generator) -> torch.Tensor:
    """Keep `n_points` of each cloud, a seeded choice; shape (batch, at most n_points, 3)."""
    if points.shape[1] <= n_points:
        return points
    kept = [torch.randperm(points.shape[1], generator=generator)[:n_points] for _ in points]
    return torch.stack([cloud[rows] for cloud, rows in zip(points, kept, strict=True)])
