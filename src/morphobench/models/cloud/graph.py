"""Neighbour graphs of point clouds and the vectors on their edges; k counts the point itself."""

import torch

from morphobench.errors import InputError
from morphobench.models.cloud import checked, fused
from morphobench.models.inputs import check_batch
from morphobench.models.losses.pairs import pair_distances


def check_points(points: torch.Tensor, k: int, n_columns: int = 3) -> None:
    """Check a batch of clouds (batch, n_points, n_columns), xyz and, as a fourth column, intensity.

    Raises
    ------
    InputError
        When the shape is wrong, the batch is empty, there are fewer than `k` points or a coordinate is not
        finite.
    """
    columns = "x, y, z, intensity" if n_columns == 4 else "x, y, z"
    note = f", columns {columns}. Choose representation 'points', and intensity for four columns."
    check_batch(points, "clouds", ("batch", "n_points", n_columns), note)
    if points.shape[1] < k:
        problem = f"clouds have {points.shape[1]} points, the model looks at k = {k} neighbours."
        raise InputError(f"{problem} Sample more points per cell, or lower k.")


@torch.no_grad()
def nearest_points(points: torch.Tensor, k: int) -> torch.Tensor:
    """Return indices (batch, n_points, k), unordered, of the k nearest of points (batch, n_points, 3).

    By exact differences, for a cloud may lie far from the origin; one cloud at a time, so that memory grows
    with n_points^2 and not with the batch.
    """
    measure = fused.squares if checked.fit(points) else lambda cloud: pair_distances(cloud, cloud)
    return torch.stack([measure(cloud).topk(k, largest=False, sorted=False).indices for cloud in points])


@torch.no_grad()
def nearest_features(features: torch.Tensor, k: int) -> torch.Tensor:
    """Return indices (batch, n_points, k), unordered, of the k nearest of features (batch, n_points, n).

    The nearest j of i has the largest <f_i, f_j> - |f_j|^2 / 2: one matrix product, of centred features, for
    a common offset would cost digits.
    """
    centred = features - features.mean(dim=1, keepdim=True)
    half_squares = centred.square().sum(-1).unsqueeze(1) / 2
    return (centred @ centred.transpose(1, 2) - half_squares).topk(k, sorted=False).indices


def gather_neighbours(values: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """Return values (batch, n_points, k, channels) of neighbours (batch, n_points, k), indices of points."""
    batch, n_points, channels = values.shape
    starts = torch.arange(batch, device=values.device).view(-1, 1, 1) * n_points
    flat = values.reshape(-1, channels).index_select(0, (neighbours + starts).flatten())
    return flat.view(*neighbours.shape, channels)


def edge_vectors(points: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """Return x_j - x_i, x_j x x_i and x_i of every edge, shape (batch, n_points, k, 3 vectors, 3 xyz).

    The equivariant input of the vector-neuron encoder (Vasan et al. 2025), from points (batch, n_points, 3)
    and neighbours (batch, n_points, k).
    """
    centres = points.unsqueeze(2)
    offsets = gather_neighbours(points, neighbours) - centres
    # (x_j - x_i) x x_i equals x_j x x_i, without cancelling large terms.
    normals = torch.linalg.cross(offsets, centres.expand_as(offsets), dim=-1)
    return torch.stack((offsets, normals, centres.expand_as(offsets)), dim=-2)
