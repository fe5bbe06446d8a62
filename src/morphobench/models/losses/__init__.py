"""Reconstruction losses: one number per sample, whatever else is in its batch."""

import math
from collections.abc import Callable

import numpy as np
import torch

from morphobench.errors import InputError
from morphobench.geometry.assignment import assign
from morphobench.models.losses import sinkhorn
from morphobench.models.losses.pairs import comparable, pair_distances, rows_per_block


def chamfer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the Chamfer distance: mean distance from a to the nearest of b, plus the same from b to a.

    For clouds (batch, n_points, dim), in their unit, shape (batch,); numbers of points may differ. Distances
    are Euclidean and averaged, so the value does not grow with the number of points. (The published loss sums
    squared distances.) Errors as in `comparable`.
    """
    a, b = comparable(a, b)
    # Only the choice of the nearest needs all pairs; the gradient runs through the nearest pairs alone.
    nearest_in_b, nearest_in_a = _nearest(a.detach(), b.detach())
    return _mean_distance(a, b, nearest_in_b) + _mean_distance(b, a, nearest_in_a)


def _nearest(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the index in b of the nearest to each of a, and in a to each of b, in blocks of distances."""
    in_b = []
    least = a.new_full(b.shape[:2], math.inf)
    in_a = torch.zeros(b.shape[:2], dtype=torch.int64, device=b.device)
    rows = rows_per_block(len(b) * b.shape[1], b.device)
    for start in range(0, a.shape[1], rows):
        distances = pair_distances(a[:, start : start + rows], b)
        in_b.append(distances.argmin(dim=2))
        nearer, row = distances.min(dim=1)
        in_a = torch.where(nearer < least, row + start, in_a)
        least = torch.minimum(least, nearer)
    return torch.cat(in_b, dim=1), in_a


def _mean_distance(source: torch.Tensor, target: torch.Tensor, nearest: torch.Tensor) -> torch.Tensor:
    matched = target.gather(1, nearest.unsqueeze(-1).expand(-1, -1, target.shape[-1]))
    return torch.linalg.vector_norm(source - matched, dim=-1).mean(dim=1)


def earth_mover(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the earth mover's distance: mean Euclidean distance of points matched one to one at least cost.

    Exact, by assignment on the CPU (Jonker and Volgenant 1987), which takes the third power of the number of
    points: milliseconds for clouds of 256. For clouds (batch, n_points, dim), in their unit, shape (batch,).
    Points of the smaller cloud are repeated, as evenly as can be. Errors as in `comparable`.
    """
    a, b = comparable(a, b)
    n_points = max(a.shape[1], b.shape[1])
    a, b = (cloud[:, torch.arange(n_points) * cloud.shape[1] // n_points] for cloud in (a, b))
    costs = (pair_distances(*pair).cpu().numpy() for pair in zip(a.detach(), b.detach(), strict=True))
    matched = np.stack([assign(cost) for cost in costs])
    return _mean_distance(a, b, torch.from_numpy(matched).to(a.device))


def l1(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the summed absolute difference over all values of a sample (batch, ...), shape (batch,).

    A sum, as published, so that the learning rate of the paper keeps its meaning.

    Raises
    ------
    InputError
        When the shapes differ.
    """
    return _difference(a, b, "l1").abs().flatten(1).sum(dim=1)


def mse(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference over all values of a sample (batch, ...), shape (batch,).

    Raises
    ------
    InputError
        When the shapes differ.
    """
    return _difference(a, b, "mse").square().flatten(1).mean(dim=1)


def dice(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return 1 - 2 <a, b> / (|a|^2 + |b|^2) over all values of a sample (batch, ...), shape (batch,).

    Soft Dice loss of segmentations (Milletari et al. 2016), whatever share of the volume the shape fills.

    Raises
    ------
    InputError
        When the shapes differ.
    """
    difference = _difference(a, b, "dice").square().flatten(1).sum(1)
    return difference / (a.square() + b.square()).flatten(1).sum(1).clamp_min(1e-6)


def sdf_dice(
    a: torch.Tensor, b: torch.Tensor, *, width: float = 0.5, mse_share: float = 0.05
) -> torch.Tensor:
    """Return the Dice loss of what signed distances (batch, ...) enclose, plus a share of `mse`: (batch,).

    A voxel lies inside by 1 / (1 + exp(distance / width)), `width` in model units. So thin shapes count, as
    in `dice`, and not distances far from them alone, as in `mse`. Errors as in `dice`.
    """
    return dice(torch.sigmoid(-a / width), torch.sigmoid(-b / width)) + mse_share * mse(a, b)


def _difference(a: torch.Tensor, b: torch.Tensor, loss: str) -> torch.Tensor:
    if a.shape != b.shape:
        problem = f"The {loss} loss got shapes {tuple(a.shape)} and {tuple(b.shape)}, which must be equal."
        raise InputError(f"{problem} Configure model and data for the same size.")
    return a - b


LOSSES: dict[str, Callable[..., torch.Tensor]]
LOSSES = {
    "chamfer": chamfer,
    "sinkhorn": sinkhorn.sinkhorn,
    "earth_mover": earth_mover,
    "dice": dice,
    "sdf_dice": sdf_dice,
    "mse": mse,
    "l1": l1,
}
