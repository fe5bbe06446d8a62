"""Kernels for GPUs as operators of torch, which so knows the shapes that they return.

Triton is loaded at the first call. Whether tensors may go this way says `checked.fit`.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.library import custom_op


@custom_op("morphobench::rectify", mutates_args=())
def rectify(
    constant: torch.Tensor, local: torch.Tensor, directions: torch.Tensor, shift: torch.Tensor, slope: float
) -> torch.Tensor:
    """Rectify vectors, see `fused_vectors.rectify`."""
    from morphobench.models.cloud import fused_vectors

    return fused_vectors.rectify(constant, local, directions, shift, slope)


@custom_op("morphobench::rectify_back", mutates_args=())
def rectify_back(
    constant: torch.Tensor,
    local: torch.Tensor,
    directions: torch.Tensor,
    shift: torch.Tensor,
    gradient: torch.Tensor,
    slope: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return gradients of `rectify`, see `fused_vectors.rectify_back`."""
    from morphobench.models.cloud import fused_vectors

    return fused_vectors.rectify_back(constant, local, directions, shift, gradient, slope)


@custom_op("morphobench::squares", mutates_args=())
def squares(points: torch.Tensor) -> torch.Tensor:
    """Return squared distances, see `fused_edges.squares`."""
    from morphobench.models.cloud import fused_edges

    return fused_edges.squares(points)


@custom_op("morphobench::edge_mean", mutates_args=())
def edge_mean(
    edges: torch.Tensor, to_feature: torch.Tensor, to_direction: torch.Tensor, slope: float
) -> torch.Tensor:
    """Return the first layer, see `fused_edges.edge_mean`."""
    from morphobench.models.cloud import fused_edges

    return fused_edges.edge_mean(edges, to_feature, to_direction, slope)


@custom_op("morphobench::edge_mean_back", mutates_args=())
def edge_mean_back(
    edges: torch.Tensor,
    to_feature: torch.Tensor,
    to_direction: torch.Tensor,
    gradient: torch.Tensor,
    slope: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gradients of `edge_mean`, see `fused_edges.edge_mean_back`."""
    from morphobench.models.cloud import fused_edges

    return fused_edges.edge_mean_back(edges, to_feature, to_direction, gradient, slope)


rectify.register_fake(lambda constant, local, directions, *_: torch.empty_like(directions))
rectify_back.register_fake(lambda *tensors: tuple(map(torch.empty_like, tensors[:4])))
squares.register_fake(lambda points: points.new_empty(len(points), len(points)))
edge_mean.register_fake(lambda edges, weight, *_: edges.new_empty(len(edges), 3, edges.shape[1], len(weight)))
edge_mean_back.register_fake(lambda edges, *weights: tuple(map(torch.empty_like, weights[:2])))


class EdgeMean(torch.autograd.Function):
    """`VectorLinearLeakyReLU.edge_mean` of edges without gradient, and the gradients by its two weights."""

    @staticmethod
    def forward(
        ctx: Any, edges: torch.Tensor, to_feature: torch.Tensor, to_direction: torch.Tensor, slope: float
    ) -> torch.Tensor:
        """Map edges (batch, n_points, k, n_in, 3 xyz) to features (batch, 3 xyz, n_points, n_out)."""
        tensors = [given.contiguous() for given in (edges, to_feature, to_direction)]
        ctx.save_for_backward(*tensors)
        ctx.slope = slope
        return edge_mean(*tensors, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients by the weights."""
        return None, *edge_mean_back(*ctx.saved_tensors, gradient, ctx.slope), None
