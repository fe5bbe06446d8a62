"""The contestant with built-in symmetry: vector-neuron DGCNN encoder, FoldingNet decoder, pose."""

from __future__ import annotations

import torch
from torch import nn

from morphobench.errors import InputError
from morphobench.models.base import Latent
from morphobench.models.graph import edge_vectors, nearest_points
from morphobench.models.pointcloud import PointcloudAutoencoder
from morphobench.models.vector_neurons import (
    VectorFrame,
    VectorLeakyReLU,
    VectorLinear,
    VectorLinearLeakyReLU,
)

# Vectors that `edge_vectors` reads off an edge.
_N_EDGE_VECTORS = 3
# The pose net halves the number of vectors twice.
_LEAST_LATENT_DIM = 4


class VectorEncoder(nn.Module):
    """DGCNN of vector neurons: the code is lengths of vectors, the pose a frame of two of them.

    Parameters
    ----------
    latent_dim
        Length of a code, at least 4.
    hidden_dim
        Vector channels per layer.
    k
        Neighbours of a point, itself included.

    Raises
    ------
    InputError
        When `latent_dim` is too small.
    """

    def __init__(self, latent_dim: int, hidden_dim: int, k: int) -> None:
        super().__init__()
        if latent_dim < _LEAST_LATENT_DIM:
            raise InputError(
                f"latent_dim = {latent_dim} is too small for rotation_invariant_pointcloud, which reads its "
                f"pose off a quarter of the code's vectors. Set latent_dim to {_LEAST_LATENT_DIM} or more."
            )
        self.k = k
        wide = 2 * hidden_dim
        self.convs = nn.ModuleList(
            [
                VectorLinearLeakyReLU(_N_EDGE_VECTORS, hidden_dim, slope=0.0),
                nn.Sequential(
                    VectorLinear(hidden_dim, wide),
                    VectorLeakyReLU(wide, slope=0.0),
                    VectorLinear(wide, hidden_dim),
                ),
                *(
                    nn.Sequential(VectorLeakyReLU(wide, slope=0.0), VectorLinear(wide, hidden_dim))
                    for _ in range(3)
                ),
            ]
        )
        self.final_conv = nn.Sequential(
            VectorLeakyReLU(8 * hidden_dim, slope=0.0), VectorLinear(8 * hidden_dim, latent_dim)
        )
        self.rotation = VectorFrame(latent_dim, slope=0.2)
        self.embedding_head = VectorLinear(latent_dim, latent_dim)

    def forward(self, points: torch.Tensor) -> Latent:
        """Encode points of shape (batch, n_points, 3)."""
        return self.read_out(self.vectors(edge_vectors(points, nearest_points(points, self.k))))

    def vectors(self, edges: torch.Tensor) -> torch.Tensor:
        """Map edges to vectors that turn with them.

        Shapes (batch, n_points, k, 3 vectors, 3 xyz) and (batch, 3 xyz, latent_dim).
        """
        layers = [self.convs[0].edge_mean(edges)]
        for conv in self.convs[1:-1]:
            local = conv(layers[-1])
            layers.append(torch.cat((local.mean(dim=2, keepdim=True).expand_as(local), local), dim=-1))
        layers.append(self.convs[-1](layers[-1]))
        bend, mix = self.final_conv
        # Mixing channels and averaging points commute; averaging first spares the largest matrix product.
        return mix(bend(torch.cat(layers, dim=-1)).mean(dim=2))

    def read_out(self, vectors: torch.Tensor) -> Latent:
        """Reduce vectors of shape (batch, 3, latent_dim) to code and pose.

        The published code is measured in the frame of the pose, which changes no length. The pose's columns
        are the frame u1, u2, u3 of the observed cloud, so it takes canonical axes to observed ones:
        x = R x_canonical. (The published model hands around the transpose, for points as rows.)
        """
        z = torch.linalg.vector_norm(self.embedding_head(vectors), dim=1)
        return Latent(z, self.rotation(vectors))


class RotationInvariantPointcloud(PointcloudAutoencoder):
    """Autoencoder of point clouds whose code ignores, and whose pose follows, rotations about the origin.

    See its base for parameters and errors; `latent_dim` must be at least 4.
    """

    encoder_type = VectorEncoder
