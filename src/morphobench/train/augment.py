"""Augmentation of a training batch: noise on coordinates, random rotations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from morphobench.geometry import rotation
from morphobench.models.inputs import Batch

# Steps of the published turns about the optical axis.
_N_STEPS = 24


def rotations(kind: str, n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw rotations, shape (n, 3, 3), float64.

    Parameters
    ----------
    kind
        "z": multiples of 15 degrees about the optical axis, as published; "so3": uniform over all rotations;
        "lattice": the 24 rotations of the cube.
    n
        How many.
    generator
        CPU generator.
    """
    if kind == "lattice":
        turns = torch.from_numpy(rotation.cube_rotations())
        return turns[torch.randint(len(turns), (n,), generator=generator)]
    if kind == "so3":
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return torch.from_numpy(rotation.uniform(n, np.random.default_rng(seed)))
    angles = 2 * math.pi / _N_STEPS * torch.randint(_N_STEPS, (n,), generator=generator).double()
    cosines, sines = angles.cos(), angles.sin()
    turns = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
    turns[:, 0, 0], turns[:, 0, 1] = cosines, -sines
    turns[:, 1, 0], turns[:, 1, 1] = sines, cosines
    return turns


def augmented(batch: Batch, training: Mapping[str, Any], generator: torch.Generator) -> Batch:
    """Turn every cell of a batch and add noise to its points, as the settings ask.

    Parameters
    ----------
    batch
        In model units.
    training
        Section `training` of a model's yaml: `jitter`, the standard deviation of Gaussian noise on every
        coordinate, clipped at twice this; `rotation`, "none" or a kind of `rotations` ("lattice" alone for
        volumes). Intensities and distances stay.
    generator
        CPU generator.
    """
    kind, jitter = training.get("rotation", "none"), training["jitter"]
    x, queries = batch.x, batch.queries
    if kind != "none":
        turns = rotations(kind, len(x), generator)
        if x.ndim == 5:
            x = torch.stack([_turned_volume(cube, turn) for cube, turn in zip(x, turns, strict=True)])
        else:
            x = _turned_points(x, turns)
            queries = None if queries is None else _turned_points(queries, turns)
    if jitter:
        noise = torch.randn(*x.shape[:-1], 3, generator=generator).clamp(-2, 2) * jitter
        x = torch.cat((x[..., :3] + noise.to(x), x[..., 3:]), dim=-1)
    return Batch(x, queries, batch.distances)


def _turned_points(points: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    return torch.cat((points[..., :3] @ turns.to(points).transpose(1, 2), points[..., 3:]), dim=-1)


def _turned_volume(cube: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Turn a volume of shape (1, s, s, s) by a rotation of the cube."""
    order, reversed_axes = rotation.lattice_axes(turn.numpy())
    return cube.permute(0, *order).flip(reversed_axes)
