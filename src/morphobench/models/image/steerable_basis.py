"""Rotation-steerable kernels on a small voxel grid, in this project's axes."""

from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

Group = Literal["so3", "trivial"]
Pair = tuple[int, int]

# Written by `make steerable-basis`.
TABLE = Path(__file__).with_suffix(".npz")
# Edges of the kernels in the table, voxels.
EDGES = (1, 3)


def degrees(group: Group) -> tuple[int, ...]:
    """Return the degrees of the fields a network of this group carries: 0 scalars, 1 vectors."""
    return (0, 1) if group == "so3" else (0,)


def entry(edge: int, group: Group, pair: Pair) -> str:
    """Return the name of a basis in the table."""
    return f"{group}_{edge}_{pair[0]}_{pair[1]}"


@cache
def kernel_bases(edge: int, group: Group) -> MappingProxyType[Pair, np.ndarray]:
    """Return all kernels of an edge, voxels, between scalar and vector fields that commute with the group.

    Maps (input degree, output degree), sorted, to a basis (elements, 2 out + 1, 2 in + 1, k, k, k), float64,
    volumes zyx, vector components x, y, z; a pair without kernels is absent. Each element maps white noise of
    variance 1 to components of mean variance 1; those of group "trivial" are only band limited.

    The basis of Weiler et al. 2018 (3D Steerable CNNs, arXiv:1807.02547) as sampled by escnn 1.0.11: two
    rings, so that published weights keep their meaning.
    """
    if edge not in EDGES:
        raise ValueError(f"kernels of edge {edge}, not among {EDGES}: add it to EDGES, make steerable-basis")
    pairs = [(i, o) for i in degrees(group) for o in degrees(group)]
    bases = {}
    with np.load(TABLE, allow_pickle=False) as table:
        for pair in pairs:
            if (name := entry(edge, group, pair)) in table:
                bases[pair] = table[name]
                bases[pair].flags.writeable = False
    return MappingProxyType(bases)
