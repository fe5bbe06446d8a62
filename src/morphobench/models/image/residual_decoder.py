"""Published image decoder: a linear layer, then nearest-neighbour upsampling and residual units."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn


class ResidualUnit(nn.Module):
    """Convolution, batch normalisation and ReLU, beside an identity or 1^3 convolution; then their sum.

    The unit of MONAI's ResidualUnit (Kerfoot et al. 2019) with one subunit; parameter names follow it.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        normalised = nn.Sequential(OrderedDict(N=nn.BatchNorm3d(n_out), A=nn.ReLU()))
        unit = nn.Sequential(OrderedDict(conv=nn.Conv3d(n_in, n_out, 3, padding=1), adn=normalised))
        self.conv = nn.Sequential(OrderedDict(unit0=unit))
        self.residual = nn.Identity() if n_in == n_out else nn.Conv3d(n_in, n_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_in, z, y, x) to (batch, n_out, z, y, x)."""
        return self.conv(x) + self.residual(x)


def residual_decoder(
    latent_dim: int, size: int, first_size: int, channels: Sequence[int], strides: Sequence[int]
) -> nn.Sequential:
    """Return a decoder from (batch, latent_dim) to (batch, 1, size, size, size).

    The linear layer makes `channels[0]` grids of edge `first_size`, voxels; each block upsamples by its
    stride to the next of `channels`, the last to one channel of edge `size` whatever its stride.
    """
    grid = (first_size,) * 3
    linear = nn.Linear(latent_dim, channels[0] * first_size**3)
    blocks = [nn.Sequential(linear, nn.Unflatten(1, (channels[0], *grid)))]
    after = [*channels[1:], 1]
    for i, (n_in, n_out, stride) in enumerate(zip(channels, after, strides, strict=True), start=1):
        last = i == len(strides)
        upsample = nn.Upsample(size=(size,) * 3) if last else nn.Upsample(scale_factor=float(stride))
        blocks.append(nn.Sequential(upsample, ResidualUnit(n_in, n_out)))
    return nn.Sequential(*blocks)
