"""Base of the explicit point-cloud models: an encoder, a FoldingNet decoder, checked input."""

from typing import ClassVar

import torch
from torch import nn

from morphobench.models.base import Autoencoder, Embedding
from morphobench.models.cloud.folding import FoldingNet
from morphobench.models.cloud.graph import check_points
from morphobench.models.inputs import rotate_clouds
from morphobench.models.priors import Prior, make_prior


class PointcloudAutoencoder(Autoencoder):
    """Autoencoder of point clouds (Vasan et al. 2025); weights are named as in the published checkpoints.

    The encoder maps points (batch, n_points, columns) to an `Embedding` and has an attribute `k`, the least
    number of points it can read. Arguments of the families are keys of `architecture`, see config/README.md.
    """

    representations: ClassVar[tuple[str, ...]] = ("points",)

    def __init__(self, encoder: nn.Module, decoder: FoldingNet, prior: Prior) -> None:
        super().__init__()
        self.latent_dim, self.n_columns = decoder.latent_dim, decoder.n_coordinates
        self.encoder = nn.ModuleDict({"pcloud": encoder})
        self.decoder = nn.ModuleDict({"pcloud": decoder})
        self.prior = make_prior(prior, decoder.latent_dim)

    def infer(self, x: torch.Tensor) -> Embedding:
        """Encode points (batch, n_points, columns): xyz and, if the model reads it, intensity.

        Errors as in `check_points`.
        """
        encoder = self.encoder["pcloud"]
        check_points(x, encoder.k, self.n_columns)
        return encoder(x)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode embeddings (batch, latent_dim) into points, rotated by `pose` where one is given."""
        points = self.decoder["pcloud"](z)
        return points if pose is None else rotate_clouds(points, pose)
