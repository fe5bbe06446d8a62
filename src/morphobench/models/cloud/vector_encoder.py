"""Vector-neuron graph encoder of the explicit and implicit point-cloud models."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from morphobench.errors import InputError
from morphobench.models.cloud import checked
from morphobench.models.cloud.graph import edge_vectors, nearest_points
from morphobench.models.cloud.vector_neurons import (
    VectorLeakyReLU,
    VectorLinear,
    VectorLinearLeakyReLU,
    rectify,
)

Variant = Literal["corrected", "published"]

# In a batch; 32 clouds of 2048 points are four times as many.
_MANY_POINTS = 2**14
# The last layer reads the features of every layer, in eight blocks of `hidden_dim` channels; these three are
# the means over points of the block after them. They come first here, and `_NATURAL` is the way back.
_MEANS_FIRST = (1, 3, 5, 0, 2, 4, 6, 7)
_NATURAL = tuple(map(_MEANS_FIRST.index, range(8)))
# Keeps the gradient of a root finite.
_LEAST_SQUARE = 1e-8


def intensity_vectors(edges: torch.Tensor, intensity: torch.Tensor, variant: Variant) -> torch.Tensor:
    """Return the edge vectors at length one, times the intensity of the edge's centre (Vasan et al. 2025).

    Edges have shape (batch, n_points, k, 3 vectors, 3 xyz), model units, as the result; intensity has shape
    (batch, n_points). "corrected" divides each vector by its length over xyz, which commutes with every
    rotation; a vector too short to have a direction in this precision gives zero. "published" divides each
    Cartesian component by its norm over the three vectors, as the published models do, which commutes with
    signed permutations of the axes alone; 0 / 0, there NaN, gives zero.
    """
    corrected = variant == "corrected"
    norms = torch.linalg.vector_norm(edges, dim=-1 if corrected else -2, keepdim=True)
    nonzero = norms > (_rounding(norms) if corrected else 0)
    units = torch.where(nonzero, edges / torch.where(nonzero, norms, 1), 0)
    return intensity[..., None, None, None] * units


@torch.no_grad()
def _rounding(lengths: torch.Tensor) -> torch.Tensor:
    """Return the lengths that rounding alone gives to offset, normal and centre, (..., 3 vectors, 1)."""
    offset, _, centre = lengths.unbind(-2)
    reach = offset + centre
    # Below eight rounding errors a vector has no direction.
    eps = 8 * torch.finfo(lengths.dtype).eps
    return torch.stack((eps * reach, eps * reach * reach, torch.zeros_like(reach)), dim=-2)


def _checkpointed(function: Callable[..., Any], *inputs: torch.Tensor) -> Any:
    """Apply a function with activation checkpointing, unless the batch has few points or kernels keep none.

    For the layer of edges, whose activations would be half of the memory of a training step.
    """
    n_points = inputs[0].shape[0] * max(inputs[0].shape[1:3])
    if not torch.is_grad_enabled() or n_points < _MANY_POINTS or checked.fit(*inputs):
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)


class VectorBackbone(nn.Module):
    """DGCNN of vector neurons, from a cloud to `n_vectors` that rotate with it (Vasan et al. 2025).

    Layers have `hidden_dim` vector channels. With `intensity`, points have a fourth column, a scalar that
    rotations leave alone and that scales directions by `variant`, see `intensity_vectors`.
    """

    def __init__(
        self, n_vectors: int, hidden_dim: int, k: int, intensity: bool = False, variant: Variant = "corrected"
    ) -> None:
        super().__init__()
        if variant not in ("corrected", "published"):
            raise InputError(f"variant = {variant!r} is unknown. Choose 'corrected' or 'published'.")
        self.k, self.intensity, self.variant = k, intensity, variant
        wide = 2 * hidden_dim

        def rectified(n_in: int, n_out: int) -> tuple[nn.Module, nn.Module]:
            return VectorLeakyReLU(n_in, slope=0.0), VectorLinear(n_in, n_out)

        # Three vectors for each edge, see `edge_vectors`, and as many by intensity.
        first = VectorLinearLeakyReLU(6 if intensity else 3, hidden_dim, slope=0.0)
        second = nn.Sequential(VectorLinear(hidden_dim, wide), *rectified(wide, hidden_dim))
        others = (nn.Sequential(*rectified(wide, hidden_dim)) for _ in range(3))
        self.convs = nn.ModuleList((first, second, *others))
        self.final_conv = nn.Sequential(*rectified(8 * hidden_dim, n_vectors))

    def edges(self, points: torch.Tensor) -> torch.Tensor:
        """Return the edge vectors, shape (batch, n_points, k, 3 or, with intensity, 6 vectors, 3 xyz).

        Points have shape (batch, n_points, 3 or 4): x, y, z and, with intensity, a scalar; model units.
        """
        xyz = points[..., :3]
        edges = edge_vectors(xyz, nearest_points(xyz, self.k))
        if not self.intensity:
            return edges
        return torch.cat((edges, intensity_vectors(edges, points[..., 3], self.variant)), dim=-2)

    def vectors(self, edges: torch.Tensor) -> torch.Tensor:
        """Map `edges` to equivariant vectors, shape (batch, 3 xyz, n_vectors)."""
        return self._mixed(self._rectified(edges))

    def vectors_and_lengths(self, edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map `edges` to `vectors`, and to lengths of every channel pooled over points, not vectors.

        Lengths, root mean squares of shape (batch, 8 hidden_dim), do not vanish where vectors cancel.
        """
        rectified = self._rectified(edges)
        lengths = (rectified.square().sum(1).mean(1) + _LEAST_SQUARE).sqrt()
        return self._mixed(rectified), _in_order(lengths, _NATURAL)

    def _rectified(self, edges: torch.Tensor) -> torch.Tensor:
        """Return what the last layer averages over points, (batch, 3, n_points, 8 hidden_dim).

        Channels are in the order `_MEANS_FIRST`.
        """
        local, means = [_checkpointed(self.convs[0].edge_mean, edges)], []
        widen, *second = self.convs[1]
        local.append(_layer(second, widen(local[-1])))
        for conv in self.convs[2:]:
            means.append(_mean(local[-1]))
            local.append(_layer(conv, local[-1], means[-1]))
        weight = self.final_conv[0].map_to_dir.weight
        ordered = _in_order(_in_order(weight, _MEANS_FIRST, dim=0), _MEANS_FIRST)
        return rectify(ordered, torch.cat(local, -1), self.final_conv[0].slope, torch.cat(means, -1))

    def _mixed(self, rectified: torch.Tensor) -> torch.Tensor:
        # Mixing channels and averaging points commute; averaging first spares the largest matrix product.
        return self.final_conv[1](_in_order(_mean(rectified).squeeze(2), _NATURAL))


def _layer(
    layer: Iterable[nn.Module], local: torch.Tensor, means: torch.Tensor | None = None
) -> torch.Tensor:
    """Rectify and mix features; `means` over points stand before them, the same for each."""
    rectifier, mix = layer
    return mix(rectify(rectifier.map_to_dir.weight, local, rectifier.slope, means))


def _mean(features: torch.Tensor) -> torch.Tensor:
    """Return the mean over points; its gradient stays one row, which that of torch's own mean copies."""
    return features.sum(dim=2, keepdim=True) / features.shape[2]


def _in_order(channels: torch.Tensor, order: Sequence[int], dim: int = -1) -> torch.Tensor:
    """Return blocks of `hidden_dim` channels in another order."""
    blocks = channels.chunk(len(order), dim)
    return torch.cat([blocks[i] for i in order], dim)
