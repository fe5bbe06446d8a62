"""Published image decoder on a GPU: doubling and convolution are one step, values lie channels last.

Parameters and numbers are those of `residual_decoder`, in training too.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from morphobench.models.image.doubling import add_doubled, doubles, doubling_filter


def decode_densely(decoder: nn.Sequential, z: torch.Tensor) -> torch.Tensor:
    """Decode embeddings (batch, latent_dim), see `residual_decoder`."""
    x = decoder[0](z).contiguous(memory_format=torch.channels_last_3d)
    for upsample, unit in decoder[1:]:
        if doubles(upsample, x.shape[-1]):
            convolution, layers = unit.conv.unit0.conv, unit.conv.unit0.adn
            weight = doubling_filter(convolution.weight)
            main = layers(F.conv_transpose3d(x, weight, convolution.bias, stride=2, padding=1))
            x = add_doubled(main, unit.residual(x))
        else:
            x = unit(x if upsample.scale_factor == 1.0 else upsample(x))
    return x
