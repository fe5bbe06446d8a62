"""Base of the image models: steerable encoder, residual decoder, checked input."""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import nn

from morphobench.errors import InputError
from morphobench.models.base import Autoencoder
from morphobench.models.image.dense_decoder import decode_densely
from morphobench.models.image.dense_encoder import encode_densely
from morphobench.models.image.plain_encoder import inference_copy
from morphobench.models.image.residual_decoder import residual_decoder
from morphobench.models.image.steerable_basis import Group
from morphobench.models.image.steerable_encoder import SteerableEncoder, grid_sizes
from morphobench.models.inputs import check_batch
from morphobench.models.priors import Prior, make_prior

CHANNELS = (8, 16, 32, 64, 128, 256, 512)
STRIDES = (1, 1, 2, 2, 2, 2, 2)


def _check_architecture(channels: Sequence[int], strides: Sequence[int], **sizes: int) -> None:
    if len(channels) != len(strides) or len(channels) < 2:
        problem = f"image model: channels has {len(channels)} entries and strides {len(strides)}."
        raise InputError(f"{problem} Give one of each for every block, two blocks at least.")
    if not set(strides) <= {1, 2}:
        raise InputError(f"image model: strides = {list(strides)}. Each stride must be 1 or 2.")
    for name, value in (sizes | {f"channels[{i}]": n for i, n in enumerate(channels)}).items():
        if value < 1:
            raise InputError(f"image model: {name} = {value}. Give a whole number above 0.")


class ImageAutoencoder(Autoencoder):
    """Autoencoder of volumes; weights are named as in the published checkpoints.

    Arguments are keys of `architecture`, see config/README.md; the decoder mirrors the encoder's blocks.

    Raises
    ------
    InputError
        When arguments do not fit together.
    """

    representations: ClassVar[tuple[str, ...]] = ("cube", "sdf", "seg")
    group: ClassVar[Group]
    # Formulation: by plain convolutions; None, where these are faster: on GPUs, and without symmetry.
    dense: bool | None = None

    def __init__(
        self,
        size: int = 129,
        latent_dim: int = 256,
        channels: Sequence[int] = CHANNELS,
        strides: Sequence[int] = STRIDES,
        num_res_units: int = 1,
        prior: Prior = "identity",
    ) -> None:
        super().__init__()
        _check_architecture(channels, strides, size=size, latent_dim=latent_dim, num_res_units=num_res_units)
        self.size, self.latent_dim = size, latent_dim
        encoder = SteerableEncoder(self.group, latent_dim, channels, strides, num_res_units)
        first_size = grid_sizes(size, strides)[-1]
        decoder = residual_decoder(latent_dim, size, first_size, channels[:0:-1], strides[-2::-1])
        self.encoder = nn.ModuleDict({"embedding": encoder})
        self.decoder = nn.ModuleDict({"image": decoder})
        self.prior = make_prior(prior, latent_dim)

    def encoder_output(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return scalars and vectors of cubes, see `SteerableEncoder`; errors as in `check_batch`."""
        check_batch(x, "cubes", ("batch", 1, *[self.size] * 3), ". Pad the cubes, or set architecture.size.")
        encoder = self.encoder["embedding"]
        steerable = isinstance(encoder, SteerableEncoder)
        return encode_densely(encoder, x) if steerable and self._densely(x) else encoder(x)

    def decoder_output(self, z: torch.Tensor) -> torch.Tensor:
        """Return canonical cubes (batch, 1, size, size, size); an InputError for another `latent_dim`."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            problem = f"embeddings have shape {tuple(z.shape)}, the model decodes (batch, {self.latent_dim})."
            raise InputError(f"{problem} Decode them with the model that made them.")
        decoder = self.decoder["image"]
        return decode_densely(decoder, z) if self._densely(z) else decoder(z)

    def _densely(self, x: torch.Tensor) -> bool:
        return (x.is_cuda or self.group == "trivial") if self.dense is None else self.dense

    def export(self) -> Self:
        """Return a copy for inference with faster parts, see `inference_copy`; on a GPU the model itself."""
        return self if self.encoder["embedding"].net[-1].net["0"].weights.is_cuda else inference_copy(self)
