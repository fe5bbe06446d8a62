"""Base class of all models: autoencoders with an (ideally invariant) embedding and, optionally, a pose."""

from typing import ClassVar, NamedTuple, Self

import torch

from morphobench.models.inputs import Batch
from morphobench.models.priors import GaussianPrior, IdentityPrior


class Embedding(NamedTuple):
    """Embeddings z of a batch, shape (batch, latent_dim), and its poses, (batch, 3, 3), or None.

    A pose rotates the canonical frame to the observed one: x = R x_canonical.
    """

    z: torch.Tensor
    pose: torch.Tensor | None


class LossTerms(NamedTuple):
    """Output and target of the reconstruction loss, and each cell's divergence from the prior, (batch,)."""

    output: torch.Tensor
    target: torch.Tensor
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

    def infer(self, x: torch.Tensor) -> Embedding:
        """Encode a batch into the prior's input, shape (batch, latent_dim), and the pose."""
        raise NotImplementedError

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode embeddings (batch, latent_dim) in the canonical frame or, by `pose`, in the observed one."""
        raise NotImplementedError

    def encode_with_pose(self, x: torch.Tensor) -> Embedding:
        """Encode a batch into embedding and pose."""
        z, pose = self.infer(x)
        return Embedding(self.prior.mean(z), pose)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of a batch, shape (batch, latent_dim)."""
        return self.encode_with_pose(x).z

    def decoder_input(self, x: torch.Tensor) -> torch.Tensor:
        """Encode a batch into what `decode` takes: the embedding, unless overridden."""
        return self.encode(x)

    def pose(self, x: torch.Tensor) -> torch.Tensor:
        """Return the poses of a batch, shape (batch, 3, 3); identity for a model without."""
        pose = self.infer(x).pose
        return torch.eye(3, dtype=x.dtype, device=x.device).expand(len(x), 3, 3) if pose is None else pose

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """Encode and decode a batch in its observed frame."""
        return self.decode(*self.encode_with_pose(x))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Call `reconstruct`."""
        return self.reconstruct(*inputs)

    def export(self) -> Self:
        """Return the model in its fastest form for inference; itself, unless overridden."""
        return self

    def loss_terms(self, batch: Batch, generator: torch.Generator) -> LossTerms:
        """Reconstruct a batch from embeddings sampled by the prior."""
        z, pose = self.infer(batch.x)
        z, divergence = self.prior.sample(z, generator)
        target = batch.x if batch.target is None else batch.target
        return LossTerms(self.decode(z, pose), target, divergence)
