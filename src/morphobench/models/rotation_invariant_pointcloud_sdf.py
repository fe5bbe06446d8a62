"""Implicit autoencoder: vector-neuron encoder of a surface's points, distances at any point decoded."""

from typing import ClassVar

import torch
from torch import nn

from morphobench.errors import InputError
from morphobench.models.base import Autoencoder, Embedding, LossTerms
from morphobench.models.cloud.graph import check_points
from morphobench.models.cloud.inner_product_decoder import InnerProductDecoder
from morphobench.models.cloud.vector_encoder import VectorBackbone
from morphobench.models.cloud.vector_neurons import frame
from morphobench.models.inputs import Batch, finite_or_training
from morphobench.models.principal_axes import Pose, check_pose, principal_frame


def query_grid(size: int, half_extent: float) -> torch.Tensor:
    """Return a regular grid over a cube with its faces, shape (size^3, 3), xyz, model units, x fastest."""
    ticks = torch.linspace(-half_extent, half_extent, size)
    z, y, x = torch.meshgrid(ticks, ticks, ticks, indexing="ij")
    return torch.stack((x, y, z), dim=-1).flatten(0, 2)


class RotationInvariantPointcloudSDF(Autoencoder):
    """Implicit autoencoder: points of a surface in, distances to it at query points out.

    The embedding z is the lengths of equivariant vectors (`vectors`). Lengths alone do not hold the shape, so
    `decode` takes the vectors, as `decode_at` does.

    Vasan et al. 2025, "rotation-invariant point cloud SDF"; arguments are keys of `architecture`, see
    config/README.md, and defaults the published widths. With `pose` "principal_axes" every vector has a part
    along one of the axes of the points, by lengths that do not cancel: a shape with rotational symmetries has
    no other vectors. The pose net and linear head of the published class,
    on which no output depends, are left out.

    Raises
    ------
    InputError
        When `latent_dim` or `grid_size` is below 2.
    """

    representations: ClassVar[tuple[str, ...]] = ("surface",)

    def __init__(
        self,
        *,
        latent_dim: int = 512,
        hidden_dim: int = 342,
        k: int = 20,
        decoder_hidden: int = 342,
        grid_size: int = 32,
        half_extent: float = 0.55,
        pose: Pose = "vectors",
    ) -> None:
        super().__init__()
        check_pose(pose)
        for name, value in {"latent_dim": latent_dim, "grid_size": grid_size}.items():
            if value < 2:
                raise InputError(f"{name} = {value} is too small for the implicit model. Set 2 or more.")
        self.latent_dim, self.grid_size = latent_dim, grid_size
        self.encoder = nn.ModuleDict({"pcloud": VectorBackbone(latent_dim, hidden_dim, k)})
        self.decoder = nn.ModuleDict({"pcloud": InnerProductDecoder(latent_dim, decoder_hidden)})
        self.axes_head = None if pose == "vectors" else nn.Linear(8 * hidden_dim, latent_dim)
        self.register_buffer("grid", query_grid(grid_size, half_extent), persistent=False)

    def vectors(self, x: torch.Tensor) -> torch.Tensor:
        """Encode points (batch, n_points, 3), xyz, model units, into vectors (batch, latent_dim, 3), xyz.

        Errors as in `check_points`.
        """
        encoder = self.encoder["pcloud"]
        check_points(x, encoder.k)
        if self.axes_head is None:
            return encoder.vectors(encoder.edges(x)).transpose(1, 2)
        vectors, lengths = encoder.vectors_and_lengths(encoder.edges(x))
        axes = principal_frame(x).to(x).transpose(1, 2)
        which = torch.arange(self.latent_dim, device=x.device) % 3
        return vectors.transpose(1, 2) + self.axes_head(lengths).unsqueeze(-1) * axes[:, which]

    def decoder_input(self, x: torch.Tensor) -> torch.Tensor:
        """Return the vectors of a batch."""
        return self.vectors(x)

    def infer(self, x: torch.Tensor) -> Embedding:
        """Return the lengths of the vectors and, as the pose, the frame of their two halves' means.

        The published model has no pose; this frame, without parameters, rotates with the cloud.
        """
        vectors = self.vectors(x)
        means = [half.mean(dim=1) for half in vectors.tensor_split(2, dim=1)]
        return Embedding(torch.linalg.vector_norm(vectors, dim=-1), frame(torch.stack(means, dim=-1)))

    def decode_at(self, vectors: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        """Return distances (batch, n_queries), model units, for vectors (batch, latent_dim, 3).

        Queries have shape (batch, n_queries, 3), xyz, model units, in the frame of the vectors.

        Raises
        ------
        InputError
            When a shape is another, or the query points are not finite.
        """
        if vectors.ndim != 3 or tuple(vectors.shape[1:]) != (self.latent_dim, 3):
            problem = f"embeddings have shape {tuple(vectors.shape)}, not (batch, {self.latent_dim}, 3)."
            raise InputError(f"{problem} Decode what `vectors` returns: lengths z do not hold a shape.")
        if queries.ndim != 3 or queries.shape[-1] != 3 or len(queries) != len(vectors):
            needed = f"{len(vectors)} embeddings need ({len(vectors)}, n_queries, 3), columns x, y, z."
            raise InputError(f"query points have shape {tuple(queries.shape)}, {needed}")
        if not finite_or_training(queries):
            raise InputError("query points hold NaN or infinite coordinates. Sample them again.")
        return self.decoder["pcloud"](queries, vectors)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode vectors (batch, latent_dim, 3), rotated by `pose` where one is given, on the model's grid.

        Distances have shape (batch, 1, grid_size, grid_size, grid_size), zyx, model units; errors as in
        `decode_at`. Vectors rotated by the inverse of the pose give the canonical shape.
        """
        posed = z if pose is None or z.ndim != 3 else z @ pose.transpose(1, 2)
        distances = self.decode_at(posed, self.grid.expand(len(z), -1, -1))
        return distances.unflatten(1, (1, *(self.grid_size,) * 3))

    def reconstruct(self, x: torch.Tensor, queries: torch.Tensor | None = None) -> torch.Tensor:
        """Encode clouds and decode them in their observed frame, at query points or on the model's grid."""
        vectors = self.vectors(x)
        return self.decode(vectors) if queries is None else self.decode_at(vectors, queries)

    def loss_terms(self, batch: Batch, generator: torch.Generator) -> LossTerms:
        """Decode the distances at the batch's query points; there is no prior on vectors.

        Raises
        ------
        InputError
            For a batch without query points.
        """
        if batch.queries is None or batch.distances is None:
            problem = "the implicit model is trained on query points and distances."
            raise InputError(f"{problem} Set representation: surface, and sample a polymorphic dataset.")
        output = self.decode_at(self.vectors(batch.x), batch.queries)
        return LossTerms(output, batch.distances, batch.x.new_zeros(len(batch.x)))
