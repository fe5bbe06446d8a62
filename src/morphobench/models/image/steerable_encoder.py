"""Published image encoder: residual blocks of steerable convolutions, then a mean over space."""

import itertools
import re
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from morphobench.models.image.steerable import (
    Counts,
    Fields,
    Merged,
    NormReLU,
    Padding,
    Responses,
    ScalarNorm,
    ScalarReLU,
    SteerableConvolution,
    VectorNorm,
)
from morphobench.models.image.steerable_basis import Group, degrees

_DERIVED = re.compile(
    r"(^|\.)encoder\..*(_basisexpansion\..*|bias_expansion|filter|expanded_bias|change_of_basis|irrep_0_avg"
    r"|indices\w*|\d_indices|\.eps|num_batches_tracked)$"
)


def without_derived(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Drop tables, indices and counters of a published image checkpoint, which follow from the architecture.

    Keys are ``encoder.embedding.net...`` and ``decoder.<key>...``, as in a model of `morphobench.models`.
    """
    return {key: value for key, value in state.items() if not _DERIVED.search(key)}


def grid_sizes(size: int, strides: Sequence[int]) -> list[int]:
    """Return the edge of the grid in voxels after each block of the encoder."""
    return list(itertools.accumulate(strides, lambda edge, stride: -(-edge // stride), initial=size))[1:]


class Unit(nn.Module):
    """Convolution (with pooling), normalisation, non-linearity; numbered as in the published checkpoints."""

    def __init__(self, convolution: SteerableConvolution, activated: Counts | None = None) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"0": convolution})
        if activated:
            norm, relu = ScalarNorm(activated[0]), ScalarReLU()
            vectors = activated.get(1)
            self.net["2"] = Merged(norm, VectorNorm(vectors)) if vectors else norm
            self.net["3"] = Merged(relu, NormReLU(vectors)) if vectors else relu

    def after(self, responses: Responses) -> Fields:
        """Apply all but the fixed kernels."""
        convolution, *layers = self.net.values()
        fields = convolution.mix(responses)
        for layer in layers:
            fields = layer(fields)
        return fields

    def forward(self, fields: Fields) -> Fields:
        """Apply all layers to fields of shape (batch, n, 2 degree + 1, z, y, x)."""
        return self.after(self.net["0"].responses(fields))


class Block(nn.Module):
    """Residual block: `n_units` units beside an identity, 1^3 or strided 3^3 convolution; then their sum."""

    def __init__(
        self, n_in: Counts, n_out: Counts, stride: int, n_units: int, group: Group, padding: Padding
    ) -> None:
        super().__init__()
        layout = (3, group, padding)
        units = [Unit(SteerableConvolution(n_in, n_out, *layout, stride), n_out)]
        units += [Unit(SteerableConvolution(n_out, n_out, *layout), n_out) for _ in range(n_units - 1)]
        self.conv = nn.Sequential(*units)
        self.shares_responses = stride == 2
        self.residual = None
        if stride == 2:
            self.residual = Unit(SteerableConvolution(n_in, n_out, *layout, stride))
        elif n_in != n_out:
            self.residual = Unit(SteerableConvolution(n_in, n_out, 1, group))

    def forward(self, fields: Fields) -> Fields:
        """Apply the block to fields of shape (batch, n, 2 degree + 1, z, y, x)."""
        responses = self.conv[0].net["0"].responses(fields)
        main = self.conv[1:](self.conv[0].after(responses))
        if self.residual is None:
            beside = fields
        else:
            beside = self.residual.after(responses) if self.shares_responses else self.residual(fields)
        return {degree: x + beside[degree] if degree in beside else x for degree, x in main.items()}


class SteerableEncoder(nn.Module):
    """Encoder of volumes into `latent_dim` invariant scalars and two equivariant vectors (Vasan et al. 2025).

    Exact for the 24 rotations of the grid when every grid size is odd down to the last block (input edge
    2^m + 1); pooling breaks the symmetry of an even grid. Group "trivial" is an encoder of the same shape
    without the symmetry, and without vectors. Channels count scalar fields, and as many vector fields, of
    each block. Layers by Weiler et al. 2018 (arXiv:1807.02547); parameter names as in published checkpoints.
    """

    def __init__(
        self, group: Group, latent_dim: int, channels: Sequence[int], strides: Sequence[int], n_units: int
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        n_in: Counts = {0: 1}
        for i, (n_fields, stride) in enumerate(zip(channels, strides, strict=True)):
            n_out = dict.fromkeys(degrees(group), n_fields)
            padding: Padding = "constant" if i else "replicate"
            blocks.append(Block(n_in, n_out, stride, n_units, group, padding))
            n_in = n_out
        n_out = {degree: 2 if degree else latent_dim for degree in degrees(group)}
        self.net = nn.Sequential(*blocks, Unit(SteerableConvolution(n_in, n_out, 1, group)))

    def forward(self, cube_zyx: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode volumes (batch, 1, z, y, x) into scalars (batch, latent_dim) and vectors (batch, 2, 3), xyz.

        The trivial group has None for vectors.
        """
        fields = self.net[:-1]({0: cube_zyx[:, :, None]})
        # The last convolution looks at one voxel at a time, so the mean over space may come before it.
        means = self.net[-1]({i: field.mean((3, 4, 5), keepdim=True) for i, field in fields.items()})
        scalars, vectors = means[0].flatten(1), means.get(1)
        return scalars, None if vectors is None else vectors.flatten(2)
