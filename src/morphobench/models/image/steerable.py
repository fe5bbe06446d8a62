"""Rotation-equivariant layers in plain torch.

Features are kept by degree: ``fields[0]`` holds scalar fields, shape (batch, n, 1, z, y, x), and
``fields[1]`` vector fields, shape (batch, n, 3, z, y, x) with components x, y, z. A network of the trivial
group has degree 0 only.
"""

import math
from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from morphobench.errors import InputError
from morphobench.models.image.pooling import Padding, pool
from morphobench.models.image.steerable_basis import Group, Pair, kernel_bases

Fields = dict[int, torch.Tensor]
Counts = dict[int, int]

VARIANCE_FLOOR, MOMENTUM = 1e-5, 0.1


class Responses(NamedTuple):
    """Responses of the fixed kernels, before the learned mixing.

    `maps` from (input degree, output degree) have shape (batch, n_in * elements, 2 out + 1, z, y, x);
    `coverage` is the response of the pooling to a constant 1, (z, y, x): less than 1 at borders.
    """

    maps: dict[Pair, torch.Tensor]
    coverage: torch.Tensor


def _by_component(bases: dict[Pair, torch.Tensor], n_in: int, n_out: int) -> torch.Tensor:
    """Return all kernels between the components of fields of every degree, scalar first: zero for others.

    For 1 or 2 degrees in and out, shape (kernels, 1 or 4 components out, 1 or 4 in, k, k, k).
    """
    blocks = []
    for (i, o), basis in bases.items():
        after_in = n_in * n_in - basis.shape[2] - i
        after_out = n_out * n_out - basis.shape[1] - o
        blocks.append(F.pad(basis, [0] * 6 + [i, after_in, o, after_out]))
    return torch.cat(blocks)


class SteerableConvolution(nn.Module):
    """Convolution between scalar and vector fields that commutes with rotations, with optional pooling.

    The learned weights combine fixed kernels linearly. So the fixed kernels are applied first, once for each
    input field, then pooled, and only then mixed: this needs about 24 times fewer products in the mixing
    than expanding full filters, and the mixing runs on the pooled grid. Input fields that feed two
    convolutions share the first step (`responses`).

    The kernel has an odd edge, voxels, and the grid is padded by zeros or edge values to keep its size;
    stride 2 pools after the convolution. `weights` concatenates, over sorted pairs (input degree, output
    degree), (output field, input field, kernel); `bias` has one value for each scalar output field.
    """

    def __init__(
        self,
        n_in: Counts,
        n_out: Counts,
        edge: int,
        group: Group,
        padding: Padding = "constant",
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.padding, self.stride, self.margin_voxel = padding, stride, edge // 2
        bases = {
            (i, o): torch.tensor(basis, dtype=torch.get_default_dtype())
            for (i, o), basis in kernel_bases(edge, group).items()
            if i in n_in and o in n_out
        }
        self.n_in, self.n_out = n_in, n_out
        self.register_buffer("basis", _by_component(bases, len(n_in), len(n_out)), persistent=False)
        self.weight_shapes = {(i, o): (n_out[o], n_in[i], len(basis)) for (i, o), basis in bases.items()}
        for i in n_in:
            kernels = torch.cat([basis.flatten(0, 1) for pair, basis in bases.items() if pair[0] == i])
            self.register_buffer(f"kernels_{i}", kernels, persistent=False)
        # Random weights that map white input of variance 1 to output of variance 1: each kernel has unit
        # gain, so the variances of the weights that reach an output field must sum to 1; input degrees share
        # this equally (the generalised He rule of Weiler & Cesa 2019).
        shapes, reached = self.weight_shapes.items(), [o for _, o in bases]
        scales = [math.sqrt(reached.count(o) * m * k) for (_, o), (_, m, k) in shapes]
        white = [torch.randn(math.prod(shape)) for _, shape in shapes]
        self.weights = nn.Parameter(torch.cat([x / scale for x, scale in zip(white, scales, strict=True)]))
        self.bias = nn.Parameter(torch.zeros(n_out[0]))

    def mixing(self) -> dict[int, torch.Tensor]:
        """Return, by input degree, the learned weights as matrices (n_in, kernels, channels out).

        Kernels are in the order of `kernels`; channels are the scalar fields, then x, y, z of each vector.
        """
        n_channels = {o: n * (2 * o + 1) for o, n in self.n_out.items()}
        blocks: dict[int, list[torch.Tensor]] = {i: [] for i in self.n_in}
        for (i, o), weights in self.pair_weights().items():
            same = torch.eye(2 * o + 1).to(weights)
            block = torch.einsum("oib,cd->ibcod", weights, same).flatten(3).flatten(1, 2)
            before = n_channels[0] if o else 0
            after = sum(n_channels.values()) - before - n_channels[o]
            blocks[i].append(F.pad(block, [before, after]))
        return {i: torch.cat(parts, dim=1) for i, parts in blocks.items()}

    def pair_weights(self) -> dict[Pair, torch.Tensor]:
        """Return the weights by (input degree, output degree), shape (n_out, n_in, kernels)."""
        parts = self.weights.split([math.prod(shape) for shape in self.weight_shapes.values()])
        pairs = zip(self.weight_shapes.items(), parts, strict=True)
        return {pair: part.view(shape) for (pair, shape), part in pairs}

    def kernels(self, degree: int) -> torch.Tensor:
        """Return the fixed kernels for fields of a degree, shape (kernels, 2 degree + 1, k, k, k)."""
        return self.get_buffer(f"kernels_{degree}")

    def responses(self, fields: Fields) -> Responses:
        """Apply the fixed kernels, and the pooling, to fields of shape (batch, n, 2 degree + 1, z, y, x)."""
        maps: dict[Pair, torch.Tensor] = {}
        for i, field in fields.items():
            volumes = F.pad(field.flatten(0, 1), [self.margin_voxel] * 6, mode=self.padding)
            # With so few channels this layout is about five times faster on a CPU.
            volumes = volumes.to(memory_format=torch.channels_last_3d)
            responses = self._pooled(F.conv3d(volumes, self.kernels(i)).permute(0, 2, 3, 4, 1))
            outputs = [o for pair_in, o in self.weight_shapes if pair_in == i]
            elements = [self.weight_shapes[i, o][2] for o in outputs]
            widths = [n * (2 * o + 1) for n, o in zip(elements, outputs, strict=True)]
            for o, n, part in zip(outputs, elements, responses.split(widths, dim=-1), strict=True):
                part = part.unflatten(-1, (n, 2 * o + 1)).unflatten(0, field.shape[:2])
                maps[i, o] = part.permute(0, 1, 5, 6, 2, 3, 4).flatten(1, 2)
        constant = fields[0].new_ones(1, *fields[0].shape[-3:], 1)
        return Responses(maps, self._pooled(constant)[0, ..., 0])

    def _pooled(self, volumes: torch.Tensor) -> torch.Tensor:
        return pool(volumes) if self.stride == 2 else volumes

    def mix(self, responses: Responses) -> Fields:
        """Combine the responses to this convolution's input with the learned weights, and add the bias."""
        mixed: Fields = {}
        for (i, o), weights in self.pair_weights().items():
            maps = responses.maps[i, o]
            part = torch.matmul(weights.flatten(1), maps.flatten(2))
            part = part.view(len(maps), len(weights), *maps.shape[2:])
            mixed[o] = mixed[o] + part if o in mixed else part
        mixed[0] = mixed[0] + self.bias.view(-1, 1, 1, 1, 1) * responses.coverage
        return mixed

    def forward(self, fields: Fields) -> Fields:
        """Convolve (and pool) fields of shape (batch, n, 2 degree + 1, z, y, x)."""
        return self.mix(self.responses(fields))


def check_variance(n_values: int) -> None:
    """Raise an InputError unless a field has more than one value to train on."""
    if n_values < 2:
        problem = "training batch: one sample whose grid shrank to one voxel has no variance."
        raise InputError(f"{problem} Use a batch size of at least 2, or a larger cube.")


class ScalarNorm(nn.Module):
    """Batch normalisation of the scalar fields; no gradient flows through the statistics.

    The running and the batch variance are both Bessel corrected (escnn's IIDBatchNorm), which differs from
    torch's BatchNorm3d; parameter names follow the published checkpoints.
    """

    def __init__(self, n_fields: int) -> None:
        super().__init__()
        self.irrep_0_weight = nn.Parameter(torch.ones(n_fields, 1))
        self.irrep_0_bias = nn.Parameter(torch.zeros(n_fields, 1))
        self.register_buffer("irrep_0_running_mean", torch.zeros(n_fields, 1))
        self.register_buffer("irrep_0_running_var", torch.ones(n_fields, 1))

    def affine(self, mean: torch.Tensor, variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scale and shift of each field, shape (n_fields, 1), for statistics of that shape."""
        scale = self.irrep_0_weight / (variance + VARIANCE_FLOOR).sqrt()
        return scale, self.irrep_0_bias - mean * scale

    def forward(self, fields: Fields) -> Fields:
        """Normalise ``fields[0]``; other degrees pass.

        Raises
        ------
        InputError
            In training, when a field has a single value, which has no variance.
        """
        x = fields[0]
        mean, variance = self.irrep_0_running_mean, self.irrep_0_running_var
        if self.training:
            check_variance(x[:, 0].numel())
            variance, mean = torch.var_mean(x.detach(), dim=(0, 3, 4, 5), correction=1)
            self.irrep_0_running_mean.lerp_(mean, MOMENTUM)
            self.irrep_0_running_var.lerp_(variance, MOMENTUM)
        scale, shift = self.affine(mean, variance)
        return {**fields, 0: x * scale[..., None, None, None] + shift[..., None, None, None]}


class VectorNorm(nn.Module):
    """Scaling of the vector fields to unit mean square component (escnn's NormBatchNorm).

    Divides by the running value, in training too, right after updating it, without gradient. Parameter names
    follow the published checkpoints.
    """

    def __init__(self, n_fields: int) -> None:
        super().__init__()
        self.register_parameter("3_weight", nn.Parameter(torch.ones(1, n_fields, 1)))
        self.register_buffer("3_running_var", torch.ones(1, n_fields, 1))

    def scale(self) -> torch.Tensor:
        """Return the factor of each field by the running value, shape (1, n_fields, 1)."""
        return self.get_parameter("3_weight") / (self.get_buffer("3_running_var") + VARIANCE_FLOOR).sqrt()

    def forward(self, fields: Fields) -> Fields:
        """Scale ``fields[1]``; other degrees pass."""
        x = fields[1]
        running = self.get_buffer("3_running_var")
        if self.training:
            n_vectors = x[:, 0, 0].numel()
            mean_square = x.detach().square().mean(dim=(0, 2, 3, 4, 5)).view_as(running)
            unbiased = mean_square * (n_vectors / max(n_vectors - 1, 1))
            running.lerp_(unbiased.to(running), MOMENTUM)
        return {**fields, 1: x * self.scale()[..., None, None, None]}


class ScalarReLU(nn.Module):
    """ReLU on the scalar fields."""

    def forward(self, fields: Fields) -> Fields:
        """Rectify ``fields[0]``; other degrees pass."""
        return {**fields, 0: F.relu(fields[0])}


class NormReLU(nn.Module):
    """Shortening of each vector by a learned positive length, to zero at most (Worrall et al. 2017)."""

    def __init__(self, n_fields: int) -> None:
        super().__init__()
        self.log_bias = nn.Parameter(torch.zeros(1, n_fields, 1, 1))

    def forward(self, fields: Fields) -> Fields:
        """Shorten ``fields[1]``; other degrees pass."""
        x = fields[1]
        # Faster than torch's norm along a strided axis, and as finite in its gradient at 0.
        length = x.square().sum(dim=2, keepdim=True).clamp_min(1e-20).sqrt()
        left = F.relu(length - self.log_bias.exp()[..., None, None])
        return {**fields, 1: x * (left / length)}


class Merged(nn.Module):
    """One layer for each degree, in a row; nested as in the published checkpoints."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.merging = nn.Sequential(OrderedDict((f"submodule_{i}", layer) for i, layer in enumerate(layers)))

    def forward(self, fields: Fields) -> Fields:
        """Apply all layers."""
        return self.merging(fields)
