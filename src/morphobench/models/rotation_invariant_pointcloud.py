"""Rotation-invariant point-cloud autoencoder: vector-neuron DGCNN encoder, FoldingNet decoder, pose."""

import torch
from torch import nn

from morphobench.errors import InputError
from morphobench.models.base import Embedding
from morphobench.models.cloud.base import PointcloudAutoencoder
from morphobench.models.cloud.folding import FoldingNet, Start, make_grid
from morphobench.models.cloud.vector_encoder import Variant, VectorBackbone
from morphobench.models.cloud.vector_neurons import VectorFrame, VectorLinear
from morphobench.models.principal_axes import Pose, check_pose, principal_frame
from morphobench.models.priors import Prior


class VectorEncoder(VectorBackbone):
    """DGCNN of vector neurons: the embedding is lengths of vectors, the pose a frame of two of them.

    With `pose` "principal_axes", the pose is the frame of the points and the embedding a linear function of
    lengths, those of vectors pooled over the cloud and those pooled themselves: clouds with rotational
    symmetries have both. Other arguments as in `VectorBackbone`; an InputError for a `latent_dim` below 4.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden_dim: int,
        k: int,
        intensity: bool,
        variant: Variant,
        pose: Pose = "vectors",
    ) -> None:
        check_pose(pose)
        # The pose net halves the number of vectors twice.
        if latent_dim < 4:
            raise InputError(f"latent_dim = {latent_dim} is too small for a pose. Set 4 or more.")
        super().__init__(latent_dim, hidden_dim, k, intensity, variant)
        self.embedding_head = VectorLinear(latent_dim, latent_dim)
        self.rotation = VectorFrame(latent_dim, slope=0.2) if pose == "vectors" else None
        self.lengths_head = None if pose == "vectors" else nn.Linear(8 * hidden_dim + latent_dim, latent_dim)

    def forward(self, points: torch.Tensor) -> Embedding:
        """Encode points (batch, n_points, 3, or 4 columns with intensity).

        The published embedding is measured in the frame of the pose, which changes no length. The pose's
        columns are the frame u1, u2, u3 of the observed cloud: x = R x_canonical. (The published model
        returns the transpose, for points as rows.)
        """
        edges = self.edges(points)
        vectors, lengths = (
            (self.vectors(edges), None) if self.lengths_head is None else self.vectors_and_lengths(edges)
        )
        z = torch.linalg.vector_norm(self.embedding_head(vectors), dim=1)
        if self.rotation is not None:
            return Embedding(z, self.rotation(vectors))
        pose = principal_frame(points[..., :3]).to(points)
        return Embedding(self.lengths_head(torch.cat((z, lengths), dim=1)), pose)


class RotationInvariantPointcloud(PointcloudAutoencoder):
    """Autoencoder of point clouds: rotations about the origin change the pose, not the embedding.

    With `intensity`, points have a fourth column, a scalar in model units, which is encoded and decoded too;
    variant "published" is then invariant only under quarter turns about the axes (`intensity_vectors`). The
    published code builds a wrong frame for a batch of exactly three clouds (a cross product over the batch
    axis); here the embedding of a cloud never depends on its batch.
    """

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
        decoder_start: Start = "default",
        intensity: bool = False,
        variant: Variant = "corrected",
        prior: Prior = "identity",
        pose: Pose = "vectors",
    ) -> None:
        points = make_grid(grid, n_output_points, grid_file)
        encoder = VectorEncoder(latent_dim, hidden_dim, k, intensity, variant, pose)
        decoder = FoldingNet(latent_dim, folding_hidden, points, 3 + intensity, start=decoder_start)
        super().__init__(encoder, decoder, prior)
