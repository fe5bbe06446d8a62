"""Point clouds in micrometres from decoded clouds and cubes."""

import itertools
import math

import torch
from torch.nn import functional

from morphobench.models.inputs import Config

# Published sampler: three times its scale of the skewness, its largest weight and its jitter.
_LEGACY_SKEW, _LEGACY_TOP, _LEGACY_JITTER_VOXEL = 300.0, 1e21, 0.001

# Steps per voxel in which intensities between voxels are summed.
_FINER = 8


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


def common_points_um(
    decoded: torch.Tensor,
    model_config: Config,
    *,
    side_um: float | None,
    n_points: int,
    seed: int,
    first: int = 0,
) -> torch.Tensor:
    """Convert decoded clouds (model units) or cubes into clouds of `n_points`, micrometres (CPU).

    All shapes are drawn with the same random numbers: the same points of clouds; points of cubes that move as
    the intensities do. Between two shapes the noise of sampling so cancels as far as they are alike. Another
    `first` draw, a multiple of `n_points`, gives an independent sample; of a cloud, what it has left.
    """
    generator = torch.Generator().manual_seed(seed)
    if model_config["representation"] == "cube":
        uniforms = torch.rand(first + n_points, 3, generator=generator, dtype=torch.float64)[first:]
        return _cube_at_quantiles_um(decoded, side_um=side_um, quantiles=uniforms)
    rows = torch.randperm(decoded.shape[1], generator=generator)[first : first + n_points]
    return decoded.detach().cpu()[:, rows, :3] / model_config["input_scale"]


def _cube_at_quantiles_um(cube: torch.Tensor, *, side_um: float, quantiles: torch.Tensor) -> torch.Tensor:
    """Return points of cubes at quantiles (n_points, 3): of z; of y in that plane; of x in that row of it.

    Intensities are linear between the centres of voxels, so that points move smoothly as intensities change
    (Knothe-Rosenblatt rearrangement); at uniform quantiles they have the law of `cube_to_points_um` up to
    that interpolation.
    """
    size = cube.shape[-1]
    weights = cube.detach().cpu().double()[:, 0].clamp_min(0)
    weights = torch.where(weights.sum((1, 2, 3), keepdim=True) > 0, weights, torch.ones_like(weights))
    rows = weights.sum(3)
    planes = rows.sum(2)[:, None].expand(-1, len(quantiles), -1)
    z = _place_at_quantile(planes, quantiles[:, 0])
    y = _place_at_quantile(_between(rows, z), quantiles[:, 1])
    x = _place_at_quantile(_between(weights, z, y), quantiles[:, 2])
    return (torch.stack([x, y, z], dim=-1) / size - 0.5).float() * side_um


def _between(weights: torch.Tensor, *places: torch.Tensor) -> torch.Tensor:
    """Interpolate weights (batch, size, ..., size) along their first axes at places (batch, n), in voxels."""
    cubes, result = torch.arange(len(weights))[:, None], 0.0
    lows = [(place - 0.5).clamp(0, weights.shape[-1] - 1) for place in places]
    for corner in itertools.product((0, 1), repeat=len(places)):
        index, share = [cubes], 1.0
        for low, step in zip(lows, corner, strict=True):
            index.append((low.long() + step).clamp_max(weights.shape[-1] - 1))
            share = share * (low.frac() if step else 1 - low.frac())
        result = result + share[..., None] * weights[tuple(index)]
    return result


def _place_at_quantile(weights: torch.Tensor, quantile: torch.Tensor) -> torch.Tensor:
    """Return where weights (batch, n, size), linear between voxels, reach a quantile (n,); in voxels."""
    fine = functional.interpolate(weights, scale_factor=_FINER, mode="linear", align_corners=False)
    cumulative = fine.cumsum(-1)
    reached = quantile * cumulative[..., -1]
    index = torch.searchsorted(cumulative, reached[..., None], right=True).clamp_max(fine.shape[-1] - 1)
    before, own = (part.gather(-1, index)[..., 0] for part in (cumulative - fine, fine))
    return (index[..., 0] + ((reached - before) / own).clamp(0, 1).nan_to_num(0.5)) / _FINER


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
