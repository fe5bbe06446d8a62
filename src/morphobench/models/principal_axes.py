"""Frame of a shape's second moments: a pose that shapes with rotational symmetries have, too.

Vectors that rotate with a shape vanish, pooled over it, where the shape has rotational symmetries, as an
ellipsoid or a disc has; its axes do not.
"""

from typing import Literal

import torch

from morphobench.errors import InputError

Pose = Literal["vectors", "principal_axes"]


def check_pose(pose: str) -> None:
    """Raise an InputError for an unknown `pose` of an architecture."""
    if pose not in ("vectors", "principal_axes"):
        raise InputError(f"pose = {pose!r} is unknown. Choose 'vectors', as published, or 'principal_axes'.")


@torch.no_grad()
def principal_frame(points: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Return rotations (batch, 3, 3) whose columns are the principal axes of points (batch, n, 3), xyz.

    Longest axis first; the first two point to their positive third moment, the third is their cross product.
    `weights` (batch, n), not negative, are equal where None. It rotates with the points, but for shapes of
    two equal axes, which have no frame of their own. No gradient runs through it.
    """
    points = points.double()
    if weights is None:
        weights = points.new_ones(points.shape[:2])
    shares = (weights.double() / weights.double().sum(1, keepdim=True).clamp_min(1e-12)).unsqueeze(-1)
    centred = points - (shares * points).sum(1, keepdim=True)
    axes = torch.linalg.eigh((shares * centred).transpose(1, 2) @ centred).eigenvectors
    moments = (shares * (centred @ axes) ** 3).sum(1, keepdim=True)
    _, second, first = (axes * torch.where(moments < 0, -1.0, 1.0)).unbind(-1)
    return torch.stack((first, second, torch.linalg.cross(first, second, dim=1)), dim=-1)
