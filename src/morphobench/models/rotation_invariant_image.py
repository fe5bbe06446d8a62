"""Published image autoencoder with a rotation-invariant embedding and a pose."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch.nn import functional as F  # noqa: N812

from morphobench.models.base import Embedding
from morphobench.models.image.base import CHANNELS, STRIDES, ImageAutoencoder
from morphobench.models.image.steerable_basis import Group
from morphobench.models.inputs import rotate_volumes
from morphobench.models.principal_axes import Pose, check_pose, principal_frame
from morphobench.models.priors import Prior

_SHORTEST = 1e-8


def _unit_or(vectors: torch.Tensor, fallback: torch.Tensor) -> torch.Tensor:
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return torch.where(length > _SHORTEST, vectors / length.clamp_min(_SHORTEST), fallback)


def pose_from_vectors(vectors: torch.Tensor) -> torch.Tensor:
    """Return rotations (batch, 3, 3) from canonical to observed frame of equivariant vectors (batch, 2, 3).

    Gram-Schmidt gives unit vectors e1, e2 and e3 = e1 x e2; the columns are e1, -e2, -e3, the frame of the
    published decoders. A fixed direction replaces a vector that vanishes or is parallel to the other.
    """
    axes = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    first = _unit_or(vectors[:, 0], axes[0])
    # The axis least along `first` is never parallel to it.
    with torch.no_grad():
        spare = axes[first.abs().argmin(dim=-1)]
        spare = F.normalize(spare - (spare * first).sum(-1, keepdim=True) * first, dim=-1)
    second = vectors[:, 1] - (vectors[:, 1] * first).sum(-1, keepdim=True) * first
    second = _unit_or(second, spare)
    return torch.stack([first, -second, torch.linalg.cross(second, first, dim=-1)], dim=-1)


def ball_mask(size: int) -> torch.Tensor:
    """Return weights (size, size, size): 1 in the inscribed ball, exp(-(d^2 - r^2) / 4) beyond it.

    d is the distance from the centre and r = (size - 1) / 2, voxels; as in the published 118^3 models.
    """
    from_centre = torch.arange(size) - (size - 1) / 2
    squares = from_centre.square()
    beyond = squares[:, None, None] + squares[:, None] + squares - ((size - 1) / 2) ** 2
    return torch.exp(-beyond.clamp_min(0) / 4)


@torch.no_grad()
def volume_frame(x: torch.Tensor) -> torch.Tensor:
    """Return the principal frame (batch, 3, 3) of cubes (batch, 1, s, s, s), zyx.

    Voxels weigh by how far they differ from the median, the background.
    """
    values = x.flatten(1)
    ticks = torch.arange(x.shape[-1], device=x.device) - (x.shape[-1] - 1) / 2
    z, y, x_ = torch.meshgrid(ticks, ticks, ticks, indexing="ij")
    points = torch.stack((x_, y, z), dim=-1).view(1, -1, 3).expand(len(x), -1, -1)
    return principal_frame(points, (values - values.median(dim=1, keepdim=True).values).abs())


class RotationInvariantImage(ImageAutoencoder):
    """Autoencoder of cubes whose embedding ignores rotations (Vasan et al. 2025, "rotation-invariant image").

    The encoder's scalars are the embedding; its two vectors give the pose, by which the decoded canonical
    cube is rotated; with `pose` "principal_axes", the cube's axes give the pose. Exact for the 24 rotations
    of the grid if every grid size is odd down to the last block (size 2^m + 1, such as 33, 65, 129); with the
    published sizes 35, 67 and 118 the pose is not exact.

    Channels count scalar fields, and as many vector fields. The published background is 2 for signed
    distances, else 0, model units; `mask_output` fades to it outside the inscribed ball (118^3 only).
    """

    group: ClassVar[Group] = "so3"

    def __init__(
        self,
        *,
        size: int = 129,
        latent_dim: int = 256,
        channels: Sequence[int] = CHANNELS,
        strides: Sequence[int] = STRIDES,
        num_res_units: int = 1,
        background: float = 0.0,
        mask_output: bool = False,
        prior: Prior = "identity",
        pose: Pose = "vectors",
    ) -> None:
        check_pose(pose)
        super().__init__(size, latent_dim, channels, strides, num_res_units, prior)
        self.background, self.by_axes = float(background), pose == "principal_axes"
        self.register_buffer("mask", ball_mask(size) if mask_output else None, persistent=False)

    def infer(self, x: torch.Tensor) -> Embedding:
        """Encode cubes of shape (batch, 1, size, size, size), zyx; errors as in `check_batch`."""
        scalars, vectors = self.encoder_output(x)
        if self.by_axes:
            return Embedding(scalars, volume_frame(x).to(x))
        return Embedding(scalars, pose_from_vectors(vectors))

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode embeddings (batch, latent_dim) to cubes (batch, 1, size, size, size), zyx.

        Canonical cubes, or rotated by `pose`, shape (batch, 3, 3); errors as in `decoder_output`.
        """
        cubes = self.decoder_output(z)
        if pose is not None:
            cubes = rotate_volumes(cubes, pose, self.background)
        if self.mask is not None:
            cubes = self.background + (cubes - self.background) * self.mask
        return cubes
