"""Base of the image models: steerable encoder, residual decoder, checked input."""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import nn

from morphobench.models.base import Autoencoder
from morphobench.models.image.checks import check_architecture, check_cubes, check_embeddings
from morphobench.models.image.plain_encoder import inference_copy
from morphobench.models.image.residual_decoder import residual_decoder
from morphobench.models.image.steerable_basis import Group
from morphobench.models.image.steerable_encoder import SteerableEncoder, grid_sizes
from morphobench.models.priors import Prior, make_prior

CHANNELS = (8, 16, 32, 64, 128, 256, 512)
STRIDES = (1, 1, 2, 2, 2, 2, 2)


class ImageAutoencoder(Autoencoder):
    """Autoencoder of volumes; weights are named as in the published checkpoints.

    Arguments are keys of `architecture`, see config/README.md; the decoder mirrors the encoder's blocks.
    Errors as in `check_architecture`.
    """

    representations: ClassVar[tuple[str, ...]] = ("cube", "sdf", "seg")
    group: ClassVar[Group]

    def __init__(
        self,
        *,
        size: int = 129,
        latent_dim: int = 256,
        channels: Sequence[int] = CHANNELS,
        strides: Sequence[int] = STRIDES,
        num_res_units: int = 1,
        prior: Prior = "identity",
    ) -> None:
        super().__init__()
        check_architecture(size, latent_dim, channels, strides, num_res_units)
        self.size, self.latent_dim = size, latent_dim
        encoder = SteerableEncoder(self.group, latent_dim, channels, strides, num_res_units)
        first_size = grid_sizes(size, strides)[-1]
        decoder = residual_decoder(latent_dim, size, first_size, channels[:0:-1], strides[-2::-1])
        self.encoder = nn.ModuleDict({"embedding": encoder})
        self.decoder = nn.ModuleDict({"image": decoder})
        self.prior = make_prior(prior, latent_dim)

    def encoder_output(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return scalars and vectors of cubes, see `SteerableEncoder`; errors as in `check_cubes`."""
        check_cubes(x, self.size)
        return self.encoder["embedding"](x)

    def decoder_output(self, z: torch.Tensor) -> torch.Tensor:
        """Return canonical cubes (batch, 1, size, size, size); errors as in `check_embeddings`."""
        check_embeddings(z, self.latent_dim)
        return self.decoder["image"](z)

    def export(self) -> Self:
        """Return a copy for inference with faster parts, see `inference_copy`."""
        return inference_copy(self)
