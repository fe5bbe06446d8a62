"""Residual units on doubled grids, computed from the grid before it was doubled.

A convolution of a grid doubled by repeating its voxels is a transposed convolution of the small grid, with 64
products for each of its voxels and channels instead of 216.
"""

from functools import cache

import torch
from torch import nn

# Which of the three taps of a convolution each of the four of the transposed one adds up, along one axis.
_TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
# On smaller grids the plain convolution takes less time than the transposed one.
_SMALLEST_EDGE = 4


@cache
@torch.inference_mode(False)
def _summed_taps(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return which of the 27 taps of a filter each of the 64 of the transposed one adds up, (27, 64)."""
    along_axis = torch.tensor(_TAPS, dtype=dtype, device=device).T
    return torch.kron(along_axis, torch.kron(along_axis, along_axis))


def doubling_filter(weight: torch.Tensor) -> torch.Tensor:
    """Return a filter (out, in, 3, 3, 3) for doubled grids as that of a transposed convolution with stride 2.

    Of shape (in, out, 4, 4, 4); the padding is 1.
    """
    summed = weight.flatten(2) @ _summed_taps(weight.dtype, weight.device)
    return summed.transpose(0, 1).unflatten(-1, (4, 4, 4))


def doubles(upsample: nn.Upsample, edge: int) -> bool:
    """Return whether a step of the decoder doubles a grid that is large enough to gain by this."""
    return upsample.size is None and upsample.scale_factor == 2.0 and edge >= _SMALLEST_EDGE


def add_doubled(main: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
    """Add volumes (batch, channels, z, y, x) to (batch, channels, 2 z, 2 y, 2 x), each voxel to its eight.

    The doubled volume is never in memory. Values lie channels last.
    """
    halves = [size for edge in beside.shape[2:] for size in (edge, 2)]
    eights = main.movedim(1, -1).unflatten(3, halves[4:]).unflatten(2, halves[2:4]).unflatten(1, halves[:2])
    summed = eights + beside.movedim(1, -1)[:, :, None, :, None, :, None]
    return summed.flatten(1, 2).flatten(2, 3).flatten(3, 4).movedim(-1, 1)
