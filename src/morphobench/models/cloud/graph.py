"""Neighbour graphs of point clouds and the vectors on their edges; k counts the point itself."""

import torch

from morphobench.errors import InputError
from morphobench.models.losses.pairs import pair_distances

_COLUMNS = {3: "x, y, z", 4: "x, y, z, intensity"}


def check_points(points: torch.Tensor, k: int, n_columns: int = 3) -> None:
    """Check a batch of clouds (batch, n_points, n_columns), xyz and, as a fourth column, intensity.

    Raises
    ------
    InputError
        When the shape is wrong, the batch is empty, there are fewer than `k` points or a coordinate is not
        finite.
    """
    if points.ndim != 3 or points.shape[-1] != n_columns:
        raise InputError(
            f"A point-cloud model got a batch of shape {tuple(points.shape)} but needs (batch, n_points, "
            f"{n_columns}), columns {_COLUMNS[n_columns]}. Choose the representation 'points', and a model "
            "with intensity for four columns, without for three."
        )
    if len(points) == 0:
        raise InputError("A point-cloud model got an empty batch. Check that the split holds any cells.")
    if points.shape[1] < k:
        raise InputError(
            f"A point-cloud model got clouds of {points.shape[1]} points but looks at k = {k} neighbours. "
            "Sample more points per cell, or lower k in the model's configuration."
        )
    bad = ~torch.isfinite(points).flatten(1).all(dim=1)
    if bad.any():
        samples = bad.nonzero().flatten().tolist()
        raise InputError(
            f"A point-cloud model got NaN or infinite coordinates in sample(s) {samples} of a batch. "
            "Run the sampling stage again for these cells, or drop them from the manifest."
        )


@torch.no_grad()
def nearest_points(points: torch.Tensor, k: int) -> torch.Tensor:
    """Return indices (batch, n_points, k), unordered, of the k nearest of points (batch, n_points, 3).

    By exact differences, for a cloud may lie far from the origin; one cloud at a time, so that memory grows
    with n_points^2 and not with the batch.
    """
    return torch.stack(
        [pair_distances(cloud, cloud).topk(k, largest=False, sorted=False).indices for cloud in points]
    )


@torch.no_grad()
def nearest_features(features: torch.Tensor, k: int) -> torch.Tensor:
    """Return indices (batch, n_points, k), unordered, of the k nearest of features (batch, n_points, n).

    The nearest j of i has the largest <f_i, f_j> - |f_j|^2 / 2: one matrix product, of centred features, for
    a common offset would cost digits.
    """
    centred = features - features.mean(dim=1, keepdim=True)
    half_squares = centred.square().sum(-1).unsqueeze(1) / 2
    closeness = centred @ centred.transpose(1, 2) - half_squares
    return closeness.topk(k, sorted=False).indices


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
