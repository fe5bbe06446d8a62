"""What the explicit point-cloud contestants share: an encoder, a FoldingNet decoder, checked input."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from morphobench.models.base import Autoencoder, Embedding
from morphobench.models.cloud.folding import FoldingNet
from morphobench.models.cloud.graph import check_points
from morphobench.models.priors import Prior, make_prior


def turn(points: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Rotate clouds of shape (batch, n_points, 3 or more) by (batch, 3, 3); columns after xyz stay."""
    turned = points[..., :3] @ rotations.transpose(1, 2)
    return turned if points.shape[-1] == 3 else torch.cat((turned, points[..., 3:]), dim=-1)


class PointcloudAutoencoder(Autoencoder):
    """Autoencoder of point clouds, put together from its two halves.

    Weights are named as in the published checkpoints.

    Parameters
    ----------
    encoder
        Maps points of shape (batch, n_points, columns) to an `Embedding`; its attribute `k` is the least
        number of points it can read.
    decoder
        Maps codes to clouds with as many columns.
    prior
        "identity" or "gaussian", see `morphobench.models.priors`.
    """

    representations: ClassVar[tuple[str, ...]] = ("points",)

    def __init__(self, encoder: nn.Module, decoder: FoldingNet, prior: Prior) -> None:
        super().__init__()
        self.latent_dim, self.n_columns = decoder.latent_dim, decoder.n_coordinates
        self.encoder = nn.ModuleDict({"pcloud": encoder})
        self.decoder = nn.ModuleDict({"pcloud": decoder})
        self.prior = make_prior(prior, decoder.latent_dim)

    def infer(self, x: torch.Tensor) -> Embedding:
        """Encode points of shape (batch, n_points, columns): xyz and, if the model reads it, intensity.

        Raises
        ------
        InputError
            For clouds that `check_points` refuses.
        """
        encoder = self.encoder["pcloud"]
        check_points(x, encoder.k, self.n_columns)
        return encoder(x)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode codes of shape (batch, latent_dim) into points, turned by `pose` where one is given."""
        points = self.decoder["pcloud"](z)
        return points if pose is None else turn(points, pose)
