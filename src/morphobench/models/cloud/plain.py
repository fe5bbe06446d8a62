"""Operators of vector neurons as plain PyTorch: what the kernels of `fused` compute, on every device.

Features are `constant` (batch, 3 xyz, 1, m), the same for all points, then `local` (batch, 3 xyz, n, c); they
are rectified along `directions` (batch, 3 xyz, n, m + c) plus `shift` (batch, 3 xyz, 1, m + c).
"""

import torch
from torch.nn import functional as F  # noqa: N812

_TINY = 1e-12


def rectify(
    constant: torch.Tensor, local: torch.Tensor, directions: torch.Tensor, shift: torch.Tensor, slope: float
) -> torch.Tensor:
    """Return the rectified features (batch, 3 xyz, n, m + c)."""
    features, directions = _joined(constant, local, directions, shift)
    against, lengths = _against(features, directions)
    return torch.addcmul(features, against.clamp(max=0) / lengths, directions, value=slope - 1)


def rectify_back(
    constant: torch.Tensor,
    local: torch.Tensor,
    directions: torch.Tensor,
    shift: torch.Tensor,
    gradient: torch.Tensor,
    slope: float,
) -> tuple[torch.Tensor | None, ...]:
    """Return the gradients of constant, local, directions and shift; None of constants that are not there."""
    features, directions = _joined(constant, local, directions, shift)
    against, lengths = _against(features, directions)
    of_share = (gradient * directions).sum(1, keepdim=True).mul_(slope - 1).div_(lengths)
    of_product = torch.where(against < 0, of_share, 0)
    share = against.clamp_(max=0).div_(lengths)
    of_directions = (gradient * share).mul_(slope - 1).addcmul_(of_product, features)
    # From the length in the denominator.
    of_directions.addcmul_(share.mul_(of_share), directions, value=-2)
    of_features = torch.addcmul(gradient, of_product, directions)
    of_constant, of_local = of_features.split([constant.shape[3], local.shape[3]], dim=3)
    if not constant.shape[3]:
        return None, of_local, of_directions, None
    of_constant, of_shift = (of.sum(2, keepdim=True) for of in (of_constant, of_directions))
    return of_constant, of_local, of_directions, of_shift


def _joined(
    constant: torch.Tensor, local: torch.Tensor, directions: torch.Tensor, shift: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all channels of features and directions as one tensor each."""
    if not constant.shape[3]:
        return local, directions
    return torch.cat((constant.expand(-1, -1, local.shape[2], -1), local), dim=3), directions + shift


def _against(features: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inner products with directions, and squared lengths of these, each (batch, 1, n, channels)."""
    lengths = directions.square().sum(1, keepdim=True).add_(_TINY)
    return (features * directions).sum(1, keepdim=True), lengths


def edge_mean(
    edges: torch.Tensor, to_feature: torch.Tensor, to_direction: torch.Tensor, slope: float
) -> torch.Tensor:
    """Map edges as `VectorLinearLeakyReLU.edge_mean` does, with its two weights."""
    products = (edges @ edges.transpose(-1, -2)).flatten(-2)
    against = F.linear(products, _quadratic(to_feature, to_direction)).clamp(max=0)
    lengths = F.linear(products, _quadratic(to_direction, to_direction))
    shares = against / (torch.maximum(lengths, _rounding(products, to_direction)) + _TINY)
    summed = shares.transpose(-1, -2) @ edges.flatten(-2)
    removed = summed.unflatten(-1, edges.shape[-2:]) / edges.shape[2]
    linear = torch.einsum("cm,bnma->banc", to_feature, edges.mean(dim=2))
    return linear + (slope - 1) * torch.einsum("cm,bncma->banc", to_direction, removed)


def _quadratic(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return per channel c the coefficients left[c, m] * right[c, n], shape (n_out, n_in * n_in)."""
    return (left.unsqueeze(2) * right.unsqueeze(1)).flatten(1)


@torch.no_grad()
def _rounding(products: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the size below which a squared length, computed from inner products, is rounding error."""
    own_products = products[..., :: weight.shape[1] + 1]
    return F.linear(own_products, 4 * torch.finfo(weight.dtype).eps * weight.square())
