"""Augmentation of a training batch: random rotations and jitter of the points."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from morphobench.geometry import rotation
from morphobench.models.inputs import INTENSITY, Batch, rotate_clouds, subsample

# Published: steps of 15 degrees about the optical axis.
_N_STEPS = 24


def sample_rotations(kind: str, n: int, generator: torch.Generator) -> torch.Tensor:
    """Sample rotations, shape (n, 3, 3), float64, with a CPU generator.

    Kinds: "z", multiples of 15 degrees about the optical axis, as published; "so3", uniform over all
    rotations; "lattice", the 24 rotations of the cube.
    """
    if kind == "lattice":
        matrices = torch.from_numpy(rotation.cube_rotations())
        return matrices[torch.randint(len(matrices), (n,), generator=generator)]
    if kind == "so3":
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return torch.from_numpy(rotation.uniform(n, np.random.default_rng(seed)))
    angles = 2 * math.pi / _N_STEPS * torch.randint(_N_STEPS, (n,), generator=generator).double()
    matrices = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
    cosines, sines = angles.cos(), angles.sin()
    matrices[:, :2, :2] = torch.stack((cosines, -sines, sines, cosines), dim=1).view(n, 2, 2)
    return matrices


def encode_fewer(batch: Batch, training: Mapping[str, Any], generator: torch.Generator) -> Batch:
    """Let the encoder read at most `encoded_points` random points of each cloud; all are the target."""
    n_points = training.get("encoded_points") or math.inf
    if n_points >= batch.x.shape[1]:
        return batch
    every_column = {"subsample": {"n_points": n_points}, INTENSITY: True}
    fewer = subsample(batch._replace(queries=None), every_column, generator)
    return batch._replace(x=fewer.x, target=batch.x)


def augment(batch: Batch, training: Mapping[str, Any], generator: torch.Generator) -> Batch:
    """Rotate each cell of a batch and add noise to its points; intensities and distances stay.

    Of section `training` of a model's yaml: `rotation`, "none" or a kind of `sample_rotations` ("lattice" for
    volumes); `jitter`, standard deviation of Gaussian noise on every coordinate, model units, clipped at
    twice that.
    """
    kind, jitter = training.get("rotation", "none"), training["jitter"]
    x, queries = batch.x, batch.queries
    if kind != "none":
        matrices = sample_rotations(kind, len(x), generator)
        if x.ndim == 5:
            axes = [rotation.lattice_axes(matrix.numpy()) for matrix in matrices]
            pairs = zip(x, axes, strict=True)
            x = torch.stack([volume.permute(0, *order).flip(flipped) for volume, (order, flipped) in pairs])
        else:
            x = rotate_clouds(x, matrices)
            queries = None if queries is None else rotate_clouds(queries, matrices)
    if jitter:
        noise = torch.randn(*x.shape[:-1], 3, generator=generator).clamp(-2, 2) * jitter
        x = torch.cat((x[..., :3] + noise.to(x, non_blocking=True), x[..., 3:]), dim=-1)
    return Batch(x, queries, batch.distances)
