"""Steerable encoders on a GPU: plain convolutions, with filters expanded once per step.

All fields of a layer are one tensor (batch, channels, z, y, x), channels last in memory, with the components
of a field side by side: its scalar, then x, y, z of its vector. Parameters and numbers are those of
`SteerableEncoder`, whose own formulation needs fewer products and many more operators: one for a CPU's cache.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

from morphobench.models.image.pooling import along_axes, coverage, interleaved_shifts
from morphobench.models.image.steerable import (
    MOMENTUM,
    VARIANCE_FLOOR,
    Merged,
    SteerableConvolution,
    check_variance,
)
from morphobench.models.image.steerable_encoder import Block, SteerableEncoder, Unit

# Below this a vector has no direction, as in `NormReLU`.
_SHORTEST = 1e-10


def encode_densely(
    encoder: SteerableEncoder, cube_zyx: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Encode volumes, see `SteerableEncoder.forward`."""
    *blocks, last = encoder.net
    channels = cube_zyx.contiguous(memory_format=torch.channels_last_3d)
    for block in blocks:
        channels = _block(block, channels)
    # The last convolution looks at one voxel at a time, so the mean over space may come before it.
    layer, means = last.net["0"], channels.mean((2, 3, 4)).unflatten(1, (last.net["0"].n_in[0], -1))
    mixed = {o: _mixed(layer, o, means) for o in layer.n_out}
    return mixed[0].squeeze(1) + layer.bias, mixed[1].transpose(1, 2) if 1 in mixed else None


def _mixed(layer: SteerableConvolution, degree: int, means: torch.Tensor) -> torch.Tensor:
    """Apply the 1^3 convolution among fields of a degree to one voxel (batch, n, components).

    The result has shape (batch, 2 degree + 1, n out); its only kernel is a multiple of the identity.
    """
    gain = layer.kernels(degree)[0, 0].flatten()
    weights = layer.pair_weights()[degree, degree][:, :, 0] * gain
    components = slice(degree, 3 * degree + 1)
    return F.linear(means[:, :, components].transpose(1, 2), weights)


def expanded_filter(layers: Sequence[SteerableConvolution]) -> torch.Tensor:
    """Return the filters of layers on the same fields as one, (channels out, channels in, k, k, k)."""
    # Kernels first, where a pair's gradient lies in one piece.
    by_kernel = [[w.permute(2, 0, 1) for w in layer.pair_weights().values()] for layer in layers]
    weights = _cat([_cat(parts) for parts in by_kernel], dim=1)
    basis = layers[0].basis
    # In full precision, for the convolution rounds the filter once more.
    with torch.autocast(basis.device.type, enabled=False):
        mixed = weights.flatten(1).T @ basis.flatten(1)
    by_component = mixed.view(*weights.shape[1:], *basis.shape[1:]).transpose(1, 2)
    return by_component.flatten(0, 1).flatten(1, 2)


def _cat(parts: Sequence[torch.Tensor], dim: int = 0) -> torch.Tensor:
    return torch.cat(parts, dim) if len(parts) > 1 else parts[0]


def _block(block: Block, x: torch.Tensor) -> torch.Tensor:
    first, *later = block.conv
    together = (first, block.residual) if block.shares_responses else (first,)
    main, *beside = _convolved([unit.net["0"] for unit in together], x)
    main = _activated(first, main)
    for unit in later:
        main = _activated(unit, *_convolved([unit.net["0"]], main))
    if block.residual is None:
        beside = [x]
    elif not beside:
        beside = _convolved([block.residual.net["0"]], x)
    return main + beside[0]


def _taps(layer: SteerableConvolution, x: torch.Tensor) -> torch.Tensor:
    """Return what the filter of a layer slides over: x, or with stride 2 pooled shifts of x.

    Voxel 3 j + t of these along an axis is x, shifted by t - 1 voxels, pooled around voxel 2 j: convolution
    and pooling are one convolution then, exact at borders too, with an eighth of the products.
    """
    if layer.stride == 2:
        shifts = [interleaved_shifts(size, layer.padding, x.dtype, x.device) for size in x.shape[2:]]
        return along_axes(x.movedim(1, -1), shifts).movedim(-1, 1)
    if layer.padding == "replicate" and layer.margin_voxel:
        return F.pad(x, [layer.margin_voxel] * 6, mode="replicate")
    return x


def _convolved(layers: Sequence[SteerableConvolution], x: torch.Tensor) -> list[torch.Tensor]:
    """Apply layers that read the same fields as one convolution."""
    layer, n_components = layers[0], layers[0].basis.shape[1]
    weight, bias = expanded_filter(layers), _cat([one.bias for one in layers])
    if n_components > 1:
        bias = F.pad(bias[:, None], [0, n_components - 1]).flatten()
    if layer.stride == 1:
        margin = layer.margin_voxel if layer.padding == "constant" else 0
        convolved = F.conv3d(_taps(layer, x), weight, bias, padding=margin)
    else:
        convolved = F.conv3d(_taps(layer, x), weight, stride=3)
        # Pooling sees zeros outside the grid, so the bias fades at the border.
        faded = coverage(tuple(x.shape[2:]), x.dtype, x.device)
        convolved = torch.addcmul(convolved, bias.view(-1, 1, 1, 1), faded)
    return list(convolved.chunk(len(layers), dim=1))


def _activated(unit: Unit, x: torch.Tensor) -> torch.Tensor:
    """Apply the norms and rectifiers of a unit."""
    x, relus = _normalised(unit, x), unit.net["3"]
    if not isinstance(relus, Merged):
        return F.relu(x)
    fields = x.movedim(1, -1).unflatten(-1, (-1, 4))
    log_bias = relus.merging[1].log_bias.view(-1, 1)
    return _Rectified.apply(fields, log_bias).flatten(-2).movedim(-1, 1)


def _normalised(unit: Unit, x: torch.Tensor) -> torch.Tensor:
    """Apply the norms of a unit in one pass over x."""
    norms = unit.net["2"]
    scalar, vector = norms.merging if isinstance(norms, Merged) else (norms, None)
    means, variances = scalar.irrep_0_running_mean, scalar.irrep_0_running_var
    weights, biases = scalar.irrep_0_weight, scalar.irrep_0_bias
    if unit.training:
        n = x[:, 0].numel()
        check_variance(n)
        statistics = torch.var_mean(x.detach().to(means), (0, 2, 3, 4), correction=1)
        by_component = [values.unflatten(0, (len(weights), -1)) for values in statistics]
        variances, means = (values[:, :1] for values in by_component)
        running, observed = [scalar.irrep_0_running_mean, scalar.irrep_0_running_var], [means, variances]
        if vector is not None:
            running.append(vector.get_buffer("3_running_var").view(-1))
            of_vectors = [values[:, 1:] for values in by_component]
            squares = torch.addcmul(*of_vectors, of_vectors[1], value=n / (n - 1))
            observed.append(squares.mean(1))
        torch._foreach_lerp_(running, observed, MOMENTUM)
    if vector is not None:
        of_vectors = vector.get_buffer("3_running_var"), vector.get_parameter("3_weight")
        running, lengths = (values.view(-1, 1).expand(-1, 3) for values in of_vectors)
        variances, weights = torch.cat((variances, running), 1), torch.cat((weights, lengths), 1)
        means, biases = F.pad(means, [0, 3]), F.pad(biases, [0, 3])
    affine = (values.flatten() for values in (means, variances, weights, biases))
    return F.batch_norm(x, *affine, training=False, eps=VARIANCE_FLOOR)


class _Rectified(torch.autograd.Function):
    """Rectify scalars and shorten vectors as `NormReLU` does, in few passes.

    Fields have shape (..., n, 4), a scalar and x, y, z of a vector; log_bias has shape (n, 1).
    """

    @staticmethod
    def forward(ctx: Any, fields: torch.Tensor, log_bias: torch.Tensor) -> torch.Tensor:
        scalars, vectors = fields.split([1, 3], dim=-1)
        length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp_min_(_SHORTEST)
        lost = log_bias.exp() / length
        left = (1 - lost).clamp_min_(0)
        ctx.save_for_backward(fields, length, lost, left)
        return torch.cat((scalars.clamp_min(0), vectors * left), dim=-1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fields, length, lost, left = ctx.saved_tensors
        (scalars, vectors), (of_scalars, of_vectors) = (part.split([1, 3], -1) for part in (fields, gradient))
        through = torch.ops.aten.threshold_backward
        of_lost = through((of_vectors * vectors).sum(-1, keepdim=True).mul_(lost), left, 0)
        along = of_lost / length.square()
        of_vectors = torch.addcmul(of_vectors * left, along, vectors)
        of_fields = torch.cat((through(of_scalars, scalars, 0), of_vectors), dim=-1)
        return of_fields, -of_lost.sum(tuple(range(of_lost.ndim - 2)))
