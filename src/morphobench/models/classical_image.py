"""Published image autoencoder without rotation invariance."""

from typing import ClassVar

import torch

from morphobench.errors import InputError
from morphobench.models.base import Embedding
from morphobench.models.image.base import ImageAutoencoder
from morphobench.models.image.steerable_basis import Group


class ClassicalImage(ImageAutoencoder):
    """Convolutional autoencoder of cubes (Vasan et al. 2025, "classical image"), without symmetry or pose."""

    group: ClassVar[Group] = "trivial"

    def infer(self, x: torch.Tensor) -> Embedding:
        """Encode cubes of shape (batch, 1, size, size, size), zyx; errors as in `check_batch`."""
        return Embedding(self.encoder_output(x)[0], None)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode embeddings (batch, latent_dim) to cubes of shape (batch, 1, size, size, size), zyx.

        Raises
        ------
        InputError
            When the embeddings have another length, or a pose is given.
        """
        if pose is not None:
            raise InputError("the classical image model has no pose: decode its embeddings without one.")
        return self.decoder_output(z)
