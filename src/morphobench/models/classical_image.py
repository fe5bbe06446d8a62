"""The published image autoencoder without rotation invariance."""

from __future__ import annotations

from typing import ClassVar

import torch

from morphobench.errors import InputError
from morphobench.models.base import Embedding
from morphobench.models.image.base import ImageAutoencoder
from morphobench.models.image.steerable_basis import Group


class ClassicalImage(ImageAutoencoder):
    """Convolutional autoencoder of cubes (Vasan et al. 2025, "classical image"); its code has no symmetry.

    Parameters as in `ImageAutoencoder`.
    """

    group: ClassVar[Group] = "trivial"

    def infer(self, x: torch.Tensor) -> Embedding:
        """Encode cubes of shape (batch, 1, size, size, size), zyx; the pose is None.

        Raises
        ------
        InputError
            When the shape is another, the batch is empty or a value is not finite.
        """
        return Embedding(self.encoded(x)[0], None)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode codes of shape (batch, latent_dim) to cubes of shape (batch, 1, size, size, size), zyx.

        Raises
        ------
        InputError
            When the codes have another length, or a pose is given, which this model cannot apply.
        """
        if pose is not None:
            raise InputError("the classical image model has no pose: decode its codes without one.")
        return self.decoded(z)
