"""What every contestant is: an autoencoder with an (ideally invariant) code and, if it has one, a pose."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import nn


class Latent(NamedTuple):
    """Result of encoding a batch.

    Attributes
    ----------
    z
        The representation, shape (batch, latent_dim).
    pose
        Rotation from the canonical to the observed frame, shape (batch, 3, 3), x = R x_canonical;
        None for a model without one.
    """

    z: torch.Tensor
    pose: torch.Tensor | None


class Autoencoder(nn.Module):
    """Base of all models. Subclasses implement `encode_with_pose` and `decode`.

    A batch `x` is a float tensor in model units: shape (batch, n_points, 3), xyz, for representation
    "points"; shape (batch, 1, s, s, s), zyx, for representation "cube".
    """

    representation: ClassVar[str]
    latent_dim: int

    def encode_with_pose(self, x: torch.Tensor) -> Latent:
        """Encode a batch into its code and pose."""
        raise NotImplementedError

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode codes of shape (batch, latent_dim): canonical shapes, or posed ones when `pose` is given."""
        raise NotImplementedError

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the code of a batch, shape (batch, latent_dim)."""
        return self.encode_with_pose(x).z

    def pose(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rotation from canonical to observed frame, shape (batch, 3, 3); identity if unposed."""
        pose = self.encode_with_pose(x).pose
        if pose is not None:
            return pose
        return torch.eye(3, dtype=x.dtype, device=x.device).expand(len(x), 3, 3)

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """Encode and decode a batch in its observed frame, same kind of tensor as `x`."""
        latent = self.encode_with_pose(x)
        return self.decode(latent.z, latent.pose)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reconstruct: what training calls."""
        return self.reconstruct(x)
