"""Distances between the points of two clouds."""

from __future__ import annotations

import torch


def pair_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean distances of all pairs, by exact differences; not differentiable at equal points.

    Squares are not expanded: nothing cancels, however far the clouds are from the origin.

    Parameters
    ----------
    a, b
        Shape (..., n, dim) and (..., m, dim), any unit.

    Returns
    -------
    torch.Tensor
        Shape (..., n, m), in the unit of the points.
    """
    if a.device.type == "cpu":
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    # On a GPU cdist gives each pair a block of threads of its own, which takes twenty times as long.
    squares = torch.zeros((), dtype=a.dtype, device=a.device)
    for x, y in zip(a.unbind(-1), b.unbind(-1), strict=True):
        difference = x.unsqueeze(-1) - y.unsqueeze(-2)
        squares = torch.addcmul(squares, difference, difference)
    return squares.sqrt_()
