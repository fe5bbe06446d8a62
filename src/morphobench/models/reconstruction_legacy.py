"""Published reconstruction errors: Sinkhorn divergence in model units, 1 - Jaccard index of own boxes."""

import numpy as np
import torch

from morphobench.geometry.overlap import Mesh, iou_error_legacy
from morphobench.models.decode_clouds import cube_to_points_legacy, subsample
from morphobench.models.inputs import Config
from morphobench.models.losses.sinkhorn import sinkhorn


def legacy_clouds(
    output: torch.Tensor,
    target: torch.Tensor,
    model_config: Config,
    n_points: int,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the clouds that the published loss compares, in model units, or in voxels for cubes."""
    if model_config["representation"] == "cube":
        return tuple(cube_to_points_legacy(cube, n_points, generator) for cube in (output, target))
    return tuple(subsample(cloud[..., :3], n_points, generator) for cloud in (output, target))


def sinkhorn_legacy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the published Sinkhorn divergence of clouds (`legacy_clouds`), shape (batch,)."""
    return sinkhorn(output, target, blur=0.01, scaling=0.5)


def iou_legacy(output: Mesh, target: Mesh, spacing_um: float) -> float:
    """Return the published 1 - Jaccard index of own boxes, in voxels of the source (edge `spacing_um`)."""
    n_xyz = np.ceil(np.ptp(target[0], axis=0) / spacing_um - 1e-4).astype(int).clip(min=1)
    return iou_error_legacy(target, output, n_xyz)
