"""Distances between the points of two clouds, and the check that clouds can be compared."""

import torch

from morphobench.errors import InputError


def pair_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean distances (..., n, m) of points (..., n, dim) and (..., m, dim), in their unit.

    By exact differences: nothing cancels, however far the clouds are from the origin. Not differentiable at
    equal points.
    """
    if a.device.type == "cpu":
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    # On a GPU cdist gives each pair a block of threads of its own, which is far slower.
    squares = torch.zeros((), dtype=a.dtype, device=a.device)
    for x, y in zip(a.unbind(-1), b.unbind(-1), strict=True):
        difference = x.unsqueeze(-1) - y.unsqueeze(-2)
        squares = torch.addcmul(squares, difference, difference)
    return squares.sqrt_()


def rows_per_block(n_columns: int, device: torch.device) -> int:
    """Return how many rows of a matrix of distances to hold at a time."""
    # A processor's cache holds a few blocks of this size; a GPU wants few, large launches.
    elements = 2**17 if device.type == "cpu" else 2**26
    return max(1, elements // n_columns)


def comparable(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two batches of clouds in one precision, at least single.

    Raises
    ------
    InputError
        When their shapes do not fit.
    """
    fits = a.ndim == b.ndim == 3 and len(a) == len(b) > 0 and a.shape[2] == b.shape[2]
    if not fits or 0 in (a.shape[1], b.shape[1]):
        problem = (
            f"point-cloud loss: shapes {tuple(a.shape)} and {tuple(b.shape)}, not (batch, n_points, dim)"
        )
        raise InputError(f"{problem} with equal batch and dim. Choose loss 'mse' for cubes, or sample again.")
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.to(dtype), b.to(dtype)
