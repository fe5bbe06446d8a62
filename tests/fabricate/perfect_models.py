"""Models that reconstruct without error, and configurations to embed with them."""

from __future__ import annotations

import torch

from morphobench.models.base import Autoencoder, Embedding

SIZE = 13
# Configuration of an implicit model.
SURFACE_CONFIG = {"representation": "surface", "input_scale": 1.0, "draw": {"n_points": 40, "n_queries": 10}}


def volume_config(representation: str, scale: float = 1.0, size: int = SIZE) -> dict:
    """Return the configuration of an image model."""
    return {"representation": representation, "input_scale": scale, "architecture": {"size": size}}


class Echo(Autoencoder):
    """A perfect autoencoder of volumes: the embedding is the volume, enlarged by `enlarge` when decoded."""

    def __init__(self, enlarge: float = 0.0, size: int = SIZE) -> None:
        super().__init__()
        self.enlarge, self.size = enlarge, size

    def infer(self, x: torch.Tensor) -> Embedding:
        return Embedding(x.flatten(1), None)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        return z.reshape(-1, 1, *(self.size,) * 3) - self.enlarge


class Balls(Autoencoder):
    """An implicit model whose two vectors are centre and size of a ball, and turn with the cloud."""

    grid_size = 24

    def __init__(self) -> None:
        super().__init__()
        ticks = torch.linspace(-0.55, 0.55, self.grid_size)
        z, y, x = torch.meshgrid(ticks, ticks, ticks, indexing="ij")
        self.register_buffer("grid", torch.stack((x, y, z), dim=-1).flatten(0, 2))

    def decoder_input(self, x: torch.Tensor) -> torch.Tensor:
        centre = x.mean(dim=1)
        return torch.stack((centre, x[:, 0] - centre), dim=1)

    def infer(self, x: torch.Tensor) -> Embedding:
        vectors = self.decoder_input(x)
        first, second = torch.nn.functional.normalize(vectors, dim=-1).unbind(1)
        third = torch.nn.functional.normalize(torch.linalg.cross(first, second), dim=-1)
        pose = torch.stack((first, torch.linalg.cross(third, first), third), dim=-1)
        return Embedding(torch.linalg.vector_norm(vectors, dim=-1), pose)

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.decoder_input(x))

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        vectors = z if pose is None else z @ pose.transpose(1, 2)
        offset = self.grid[None] - vectors[:, :1]
        distances = torch.linalg.vector_norm(offset, dim=-1) - torch.linalg.vector_norm(
            vectors[:, 1:], dim=-1
        )
        return distances.unflatten(1, (1, *(self.grid_size,) * 3))
