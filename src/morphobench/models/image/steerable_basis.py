"""Rotation-steerable kernels on a small voxel grid, in this project's axes."""

import warnings
from functools import cache
from types import MappingProxyType
from typing import Literal

import numpy as np

from morphobench.geometry.rotation import cube_rotations, rotate_cube_lattice
from morphobench.models.image.clebsch_gordan import provide_py3nj

Group = Literal["so3", "trivial"]
Pair = tuple[int, int]

# escnn lists the components of a vector as (y, z, x) in a frame whose y and z axes run against the voxel
# indices; this matrix takes them to (x, y, z) along the indices.
_VECTOR_FROM_ESCNN = np.diag([1.0, -1.0, -1.0]) @ np.eye(3)[[2, 0, 1]]


def degrees(group: Group) -> tuple[int, ...]:
    """Return the degrees of the fields a network of this group carries: 0 scalars, 1 vectors."""
    return (0, 1) if group == "so3" else (0,)


def _symmetrised(basis: np.ndarray, pair: Pair) -> np.ndarray:
    """Average kernels over the 24 cube rotations, B(x) <- out(R) B(R^-1 x) in(R)^T.

    escnn's tables obey the symmetry to 1e-8 only; networks in float64 would show it.
    """
    rotations = cube_rotations()
    rotated = np.stack([rotate_cube_lattice(basis, rotation) for rotation in rotations])
    rho_in, rho_out = (rotations if degree else np.ones((len(rotations), 1, 1)) for degree in pair)
    return np.einsum("gAa,gbac...,gCc->bAC...", rho_out, rotated, rho_in) / len(rotations)


def _escnn_blocks(kernel_size: int, group: Group) -> dict[Pair, np.ndarray]:
    provide_py3nj()
    # Imported here because it takes seconds; its own deprecated imports make it warn.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from escnn import gspaces, nn

        space = gspaces.rot3dOnR3(maximum_frequency=8) if group == "so3" else gspaces.trivialOnR3()
        one_of_each = [space.irrep(degree) for degree in degrees(group) if degree] + [space.trivial_repr]
        fields = nn.FieldType(space, one_of_each)
        convolution = nn.R3Conv(fields, fields, kernel_size, initialize=False)
    blocks = dict(convolution.basisexpansion.named_children())
    pairs = [(i, o) for i in degrees(group) for o in degrees(group)]
    found = {pair: blocks.get("block_expansion_('irrep_{}', 'irrep_{}')".format(*pair)) for pair in pairs}
    return {pair: block.sampled_basis.double().numpy() for pair, block in found.items() if block is not None}


@cache
def kernel_bases(kernel_size: int, group: Group) -> MappingProxyType[Pair, np.ndarray]:
    """Return all kernels of odd edge, voxels, between scalar and vector fields that commute with the group.

    Maps (input degree, output degree), sorted, to a basis (elements, 2 out + 1, 2 in + 1, k, k, k), float64,
    volumes zyx, vector components x, y, z; a pair without kernels is absent. Each element maps white noise of
    variance 1 to components of mean variance 1; those of group "trivial" are only band limited.

    The basis of Weiler et al. 2018 (3D Steerable CNNs, arXiv:1807.02547) as sampled by escnn 1.0.11: two
    rings, so that published weights keep their meaning.
    """
    bases = {}
    for pair, escnn_basis in _escnn_blocks(kernel_size, group).items():
        change_in, change_out = (_VECTOR_FROM_ESCNN if degree else np.eye(1) for degree in pair)
        basis = np.einsum("Aa,bacp,Cc->bACp", change_out, escnn_basis, change_in)
        basis = basis.reshape(*basis.shape[:3], *(kernel_size,) * 3)
        bases[pair] = _symmetrised(basis, pair) if group == "so3" else basis
        bases[pair].flags.writeable = False
    return MappingProxyType(bases)
