"""Vector neurons (Deng et al. 2021): channels are vectors of R^3, and every layer commutes with rotations.

Features have shape (batch, 3 xyz, ..., channels): with channels last a layer is one matrix product over all
rows, and xyz never mixes. Parameter names are those of the published checkpoints.
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from morphobench.models.cloud import checked, fused, plain


class _Rectified(torch.autograd.Function):
    """Leaky rectifier of vector neurons that keeps its input alone, not what is computed on the way."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> torch.Tensor:
        *tensors, slope = inputs
        tensors = [given.contiguous() for given in tensors]
        ctx.slope, ctx.operators = slope, fused if checked.fit(*tensors) else plain
        ctx.save_for_backward(*tensors)
        return ctx.operators.rectify(*tensors, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return *ctx.operators.rectify_back(*ctx.saved_tensors, gradient, ctx.slope), None


def rectify(
    weight: torch.Tensor, local: torch.Tensor, slope: float, constant: torch.Tensor | None = None
) -> torch.Tensor:
    """Apply the leaky rectifier of vector neurons (Deng et al. 2021, eq. 6 to 8).

    Where a feature points against its direction, its part along the direction is scaled by `slope`;
    directions are `weight`, shape (n, n), times features. These have shape (batch, 3 xyz, ..., n), or are the
    channels of `constant` (batch, 3, 1, m), the same for all points, and then those of `local`
    (batch, 3, n_points, n - m): the constants' share of directions is computed once.
    """
    if constant is None:
        return leaky_relu(local, F.linear(local, weight), slope)
    of_constant, of_local = weight.split([constant.shape[-1], local.shape[-1]], dim=1)
    return _Rectified.apply(
        constant, local, F.linear(local, of_local), F.linear(constant, of_constant), slope
    )


def leaky_relu(features: torch.Tensor, directions: torch.Tensor, slope: float) -> torch.Tensor:
    """Apply the rule of `rectify` to features and directions, shape (batch, 3 xyz, ..., channels)."""
    flat = [
        tensor.flatten(2, -2) if tensor.ndim > 3 else tensor.unsqueeze(2) for tensor in (features, directions)
    ]
    constant, shift = (features.new_zeros(len(features), 3, 1, n) for n in (0, directions.shape[-1]))
    return _Rectified.apply(constant, *flat, shift, slope).view_as(directions)


def frame(vectors: torch.Tensor) -> torch.Tensor:
    """Return rotations (batch, 3, 3) whose columns are the Gram-Schmidt frame of vectors (batch, 3 xyz, 2).

    Where a vector vanishes, or the second is parallel to the first, no frame can rotate with the input; an
    arbitrary valid one is returned then.
    """
    first, second = vectors.unbind(-1)
    fallback = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    u1 = _unit(first, fallback[0].expand_as(first), torch.zeros_like(first[:, :1]))
    noise = 8 * torch.finfo(vectors.dtype).eps * torch.linalg.vector_norm(second, dim=1, keepdim=True)
    far_axis = fallback[u1.detach().abs().argmin(dim=1)]
    # Rejected twice: where hardly anything is left, the first time leaves rounding error along u1.
    across = _reject(_reject(second, u1), u1)
    u2 = _unit(across, _reject(far_axis, u1), noise)
    return torch.stack((u1, u2, torch.linalg.cross(u1, u2, dim=1)), dim=-1)


def _reject(vector: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    return vector - (vector * unit).sum(1, keepdim=True) * unit


def _unit(vector: torch.Tensor, fallback: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    length = torch.linalg.vector_norm(vector, dim=1, keepdim=True)
    return F.normalize(torch.where(length > noise, vector, fallback), dim=1, eps=0.0)


class VectorLinear(nn.Module):
    """Mix vector channels by one matrix, the same for x, y and z."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, ..., n_in) to (batch, 3, ..., n_out)."""
        return self.linear(features)


class VectorLeakyReLU(nn.Module):
    """Rectify every channel at a plane whose normal is a learned mix of all channels."""

    def __init__(self, n_channels: int, slope: float) -> None:
        super().__init__()
        self.map_to_dir = nn.Linear(n_channels, n_channels, bias=False)
        self.slope = slope

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, ..., n_channels) to the same shape."""
        return rectify(self.map_to_dir.weight, features, self.slope)


class VectorLinearLeakyReLU(nn.Module):
    """Mix channels, then rectify them at planes learned from the same input."""

    def __init__(self, n_in: int, n_out: int, slope: float) -> None:
        super().__init__()
        self.map_to_feat = VectorLinear(n_in, n_out)
        self.map_to_dir = VectorLinear(n_in, n_out)
        self.slope = slope

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, ..., n_in) to (batch, 3, ..., n_out)."""
        return leaky_relu(self.map_to_feat(features), self.map_to_dir(features), self.slope)

    def edge_mean(self, edges: torch.Tensor) -> torch.Tensor:
        """Map edges (batch, n_points, k, n_in, 3 xyz) to their mean output (batch, 3 xyz, n_points, n_out).

        Equal to `forward` and a mean over k, but without a vector per edge and output channel: the rectifier
        depends on the inner products of the edge's few input vectors alone (a quadratic form per channel),
        and what is left is linear in those vectors.
        """
        to_feature, to_direction = self.map_to_feat.linear.weight, self.map_to_dir.linear.weight
        if not edges.requires_grad and checked.fit(edges, to_feature, to_direction):
            return fused.EdgeMean.apply(edges, to_feature, to_direction, self.slope)
        return plain.edge_mean(edges, to_feature, to_direction, self.slope)


class VectorFrame(nn.Module):
    """Read an equivariant rotation off vector features."""

    def __init__(self, n_channels: int, slope: float) -> None:
        super().__init__()
        self.vn1 = VectorLinearLeakyReLU(n_channels, n_channels // 2, slope)
        self.vn2 = VectorLinearLeakyReLU(n_channels // 2, n_channels // 4, slope)
        self.vn_lin = VectorLinear(n_channels // 4, 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, n_channels) to rotations of shape (batch, 3, 3)."""
        return frame(self.vn_lin(self.vn2(self.vn1(features))))
