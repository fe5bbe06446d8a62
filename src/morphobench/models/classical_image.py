"""The published image autoencoder without rotation invariance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from morphobench.errors import InputError
from morphobench.models.base import Autoencoder, Latent
from morphobench.models.image_checks import check_architecture, check_codes, check_cubes
from morphobench.models.plain_encoder import with_plain_encoder
from morphobench.models.priors import Prior, make_prior
from morphobench.models.residual_decoder import residual_decoder
from morphobench.models.steerable_basis import Group
from morphobench.models.steerable_encoder import SteerableEncoder, grid_sizes

CHANNELS = (8, 16, 32, 64, 128, 256, 512)
STRIDES = (1, 1, 2, 2, 2, 2, 2)


class ClassicalImage(Autoencoder):
    """Convolutional autoencoder of cubes (Vasan et al. 2025, "classical image"); its code has no symmetry.

    Parameters
    ----------
    size
        Edge of the cubes in voxels.
    latent_dim
        Length of the code.
    channels, strides
        Fields and stride of each encoder block; the decoder mirrors them.
    num_res_units
        Convolutions in each encoder block (published: 1 for 118^3 cubes, 2 for smaller ones).
    prior
        Of the code, see `morphobench.models.priors`.

    Raises
    ------
    InputError
        When arguments do not fit together.
    """

    representations: ClassVar[tuple[str, ...]] = ("cube", "sdf", "seg")
    group: ClassVar[Group] = "trivial"

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

    def infer(self, x: torch.Tensor) -> Latent:
        """Encode cubes of shape (batch, 1, size, size, size), zyx; the pose is None.

        Raises
        ------
        InputError
            When the shape is another, the batch is empty or a value is not finite.
        """
        check_cubes(x, self.size)
        return Latent(self.encoder["embedding"](x)[0], None)

    def export(self) -> ClassicalImage:
        """Return a faster copy for inference, see `with_plain_encoder`.

        Raises
        ------
        InputError
            When the model is in training mode.
        """
        return with_plain_encoder(self)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode codes of shape (batch, latent_dim) to cubes of shape (batch, 1, size, size, size), zyx.

        Raises
        ------
        InputError
            When the codes have another length, or a pose is given, which this model cannot apply.
        """
        check_codes(z, self.latent_dim)
        if pose is not None:
            raise InputError("the classical image model has no pose: decode its codes without one.")
        return self.decoder["image"](z)
