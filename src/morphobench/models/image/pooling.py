"""Antialiased pooling of volumes, one matrix for each axis."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from torch.nn import functional as F  # noqa: N812

Padding = Literal["constant", "replicate"]

_BLUR_SIGMA_VOXEL = 0.33


@cache
@torch.inference_mode(False)
def pooling_matrix(size: int) -> torch.Tensor:
    """Return the weights of antialiased pooling along one axis, shape (ceil(size / 2), size), float64.

    A Gaussian of sigma 0.33 voxel over three voxels, zeros outside, around voxels 0, 2, 4, ... (Zhang 2019,
    arXiv:1904.11486); the published 3^3 filter is the product of three of these.
    """
    offsets_voxel = torch.arange(size) - 2 * torch.arange(-(-size // 2))[:, None]
    weights = torch.exp(-0.5 * (offsets_voxel.double() / _BLUR_SIGMA_VOXEL) ** 2)
    return weights * (offsets_voxel.abs() <= 1) / (1 + 2 * math.exp(-0.5 / _BLUR_SIGMA_VOXEL**2))


def pool(volumes: torch.Tensor) -> torch.Tensor:
    """Pool each axis of volumes (batch, z, y, x, channels) by `pooling_matrix`."""
    return along_axes(volumes, [pooling_matrix(size) for size in volumes.shape[1:4]])


def along_axes(volumes: torch.Tensor, matrices: Sequence[torch.Tensor]) -> torch.Tensor:
    """Apply one matrix, shape (size out, size in), along each axis of volumes (batch, z, y, x, channels)."""
    for axis, matrix in enumerate(matrices, start=1):
        rows = volumes.flatten(axis + 1)
        # Expanded, or torch would transpose the rows in memory to spare a batched product.
        batched = matrix.to(volumes).expand(*rows.shape[:-2], -1, -1)
        volumes = torch.matmul(batched, rows).unflatten(-1, volumes.shape[axis + 1 :])
    return volumes


@cache
@torch.inference_mode(False)
def pooled_shifts(size: int, padding: Padding) -> torch.Tensor:
    """Return the weights of shifts by -1, 0, 1 and pooling along an axis, (3, ceil(size / 2), size), float64.

    A convolution and its pooling are one sum over taps of these, at borders too: pooling drops what the
    convolution would give outside the grid.
    """
    padded = F.pad(torch.eye(size, dtype=torch.float64)[None], [1, 1], mode=padding)[0]
    return torch.stack([pooling_matrix(size) @ padded[:, t : t + size].T for t in range(3)])


@cache
@torch.inference_mode(False)
def interleaved_shifts(size: int, padding: Padding, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return `pooled_shifts` as a matrix (3 ceil(size / 2), size): shift t around 2 j in row 3 j + t."""
    return pooled_shifts(size, padding).transpose(0, 1).flatten(0, 1).to(device, dtype)


@cache
@torch.inference_mode(False)
def coverage(grid: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return what pooling makes of a constant 1 on a grid (z, y, x), on the pooled grid: less at borders."""
    return pool(torch.ones(1, *grid, 1, dtype=torch.float64))[0, ..., 0].to(device, dtype)
