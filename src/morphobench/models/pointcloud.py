"""What both point-cloud contestants share: an encoder of their own, a FoldingNet decoder, checked input."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from morphobench.models.base import Autoencoder, Latent
from morphobench.models.folding import FoldingNet, make_grid
from morphobench.models.graph import check_points


class PointcloudAutoencoder(Autoencoder):
    """Autoencoder of point clouds; defaults are the published widths (Vasan et al. 2025).

    Subclasses name the encoder: a module made from (latent_dim, hidden_dim, k) that maps points of shape
    (batch, n_points, 3) to a `Latent`. Weights are named as in the published checkpoints.

    Parameters
    ----------
    latent_dim
        Length of a code.
    hidden_dim
        Channels of the encoder's first layer; the others are multiples of it.
    k
        Neighbours of a point, itself included.
    n_output_points, grid, grid_file
        Points to decode and the grid they are folded from, see `morphobench.models.folding.make_grid`.
    folding_hidden
        Width of the decoder.

    Raises
    ------
    InputError
        When the grid cannot be made; when encoding, for clouds that `check_points` refuses.
    """

    representation: ClassVar[str] = "points"
    encoder_type: ClassVar[type[nn.Module]]

    def __init__(
        self,
        *,
        latent_dim: int = 256,
        hidden_dim: int = 64,
        k: int = 20,
        n_output_points: int = 2048,
        grid: str = "sphere",
        grid_file: str | None = None,
        folding_hidden: int = 512,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.k = k
        points = make_grid(grid, n_output_points, grid_file)
        self.encoder = nn.ModuleDict({"pcloud": self.encoder_type(latent_dim, hidden_dim, k)})
        self.decoder = nn.ModuleDict({"pcloud": FoldingNet(latent_dim, folding_hidden, points)})

    def encode_with_pose(self, x: torch.Tensor) -> Latent:
        """Encode points of shape (batch, n_points, 3), xyz, model units."""
        check_points(x, self.k)
        return self.encoder["pcloud"](x)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode codes of shape (batch, latent_dim) into points, turned by `pose` where one is given."""
        points = self.decoder["pcloud"](z)
        return points if pose is None else points @ pose.transpose(1, 2)
