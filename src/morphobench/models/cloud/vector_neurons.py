"""Vector neurons (Deng et al. 2021): channels are vectors of R^3, and every layer commutes with rotations.

Features have shape (batch, 3 xyz, ..., channels): with channels last a layer is one matrix product over all
rows, and xyz never mixes. Parameter names are those of the published checkpoints.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

_TINY = 1e-12


def leaky_relu(features: torch.Tensor, directions: torch.Tensor, slope: float) -> torch.Tensor:
    """Apply the leaky rectifier of vector neurons (Deng et al. 2021, eq. 6 to 8).

    Where a feature points against its direction, its part along the direction is scaled by `slope`; features
    and directions have shape (batch, 3 xyz, ..., channels).
    """
    against = (features * directions).sum(1, keepdim=True).clamp(max=0)
    lengths = directions.square().sum(1, keepdim=True)
    return torch.addcmul(features, against / (lengths + _TINY), directions, value=slope - 1)


def frame(vectors: torch.Tensor) -> torch.Tensor:
    """Return rotations (batch, 3, 3) whose columns are the Gram-Schmidt frame of vectors (batch, 3 xyz, 2).

    Where a vector vanishes, or the second is parallel to the first, no frame can rotate with the input; an
    arbitrary valid one is returned then.
    """
    first, second = vectors.unbind(-1)
    fallback = torch.eye(3).to(vectors)
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
        return leaky_relu(features, self.map_to_dir(features), self.slope)


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
        products = (edges @ edges.transpose(-1, -2)).flatten(-2)
        against = F.linear(products, _quadratic(to_feature, to_direction)).clamp(max=0)
        lengths = F.linear(products, _quadratic(to_direction, to_direction))
        shares = against / (torch.maximum(lengths, _rounding(products, to_direction)) + _TINY)
        summed = shares.transpose(-1, -2) @ edges.flatten(-2)
        removed = summed.unflatten(-1, edges.shape[-2:]) / edges.shape[2]
        linear = torch.einsum("cm,bnma->banc", to_feature, edges.mean(dim=2))
        return linear + (self.slope - 1) * torch.einsum("cm,bncma->banc", to_direction, removed)


def _quadratic(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return per channel c the coefficients left[c, m] * right[c, n], shape (n_out, n_in * n_in)."""
    return (left.unsqueeze(2) * right.unsqueeze(1)).flatten(1)


@torch.no_grad()
def _rounding(products: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the size below which a squared length, computed from inner products, is rounding error."""
    own_products = products[..., :: weight.shape[1] + 1]
    return F.linear(own_products, 4 * torch.finfo(weight.dtype).eps * weight.square())


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
