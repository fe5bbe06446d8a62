"""What every contestant is: a torch module with an (ideally invariant) code and, if it has one, a pose."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch

from morphobench.models.inputs import Batch
from morphobench.models.priors import GaussianPrior, IdentityPrior


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


class Fit(NamedTuple):
    """What a training step compares.

    Attributes
    ----------
    found, given
        What the model makes of a batch and what it should have made, in the form that the loss compares.
    divergence
        Of each cell's code from the prior, shape (batch,).
    """

    found: torch.Tensor
    given: torch.Tensor
    divergence: torch.Tensor


class Autoencoder(torch.nn.Module):
    """Base of all models. Subclasses implement `infer` and `decode`, and may set `prior`.

    A batch `x` is a float tensor in model units: shape (batch, n_points, 3), xyz, for clouds, with a fourth
    column for models that read intensity; shape (batch, 1, s, s, s), zyx, for volumes.
    """

    representations: ClassVar[tuple[str, ...]]
    latent_dim: int

    def __init__(self) -> None:
        super().__init__()
        self.prior: IdentityPrior | GaussianPrior = IdentityPrior()

    def infer(self, x: torch.Tensor) -> Latent:
        """Encode a batch into what the prior reads, shape (batch, latent_dim), and the pose."""
        raise NotImplementedError

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode codes of shape (batch, latent_dim): canonical shapes, or posed ones when `pose` is given."""
        raise NotImplementedError

    def encode_with_pose(self, x: torch.Tensor) -> Latent:
        """Encode a batch into its code and pose."""
        latent = self.infer(x)
        return Latent(self.prior.mean(latent.z), latent.pose)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the code of a batch, shape (batch, latent_dim)."""
        return self.encode_with_pose(x).z

    def decodable(self, x: torch.Tensor) -> torch.Tensor:
        """Return what `decode` reads of a batch: its code, where that alone holds the shape."""
        return self.encode(x)

    def pose(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rotation from canonical to observed frame, shape (batch, 3, 3); identity if unposed."""
        pose = self.infer(x).pose
        if pose is not None:
            return pose
        return torch.eye(3, dtype=x.dtype, device=x.device).expand(len(x), 3, 3)

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """Encode and decode a batch in its observed frame, same kind of tensor as `x`."""
        latent = self.encode_with_pose(x)
        return self.decode(latent.z, latent.pose)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reconstruct a batch."""
        return self.reconstruct(x)

    def export(self) -> Autoencoder:
        """Return the model in the form that is fastest for inference; the model itself, unless overridden."""
        return self

    def fit_batch(self, batch: Batch, generator: torch.Generator) -> Fit:
        """Reconstruct a batch from codes drawn around its own, as the prior has it."""
        latent = self.infer(batch.x)
        z, divergence = self.prior.sample(latent.z, generator)
        return Fit(self.decode(z, latent.pose), batch.x, divergence)
