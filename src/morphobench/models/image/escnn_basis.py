"""The table of steerable kernels, sampled by escnn 1.0.11 and written beside `steerable_basis`.

Run by `make steerable-basis`, where escnn and lie-learn are installed; nothing else imports them.
"""

import warnings
from collections.abc import Iterator

import numpy as np

from morphobench.files import FilePath, atomic_file
from morphobench.geometry.rotation import cube_rotations, rotate_cube_lattice
from morphobench.models.image.clebsch_gordan import provide_py3nj
from morphobench.models.image.steerable_basis import EDGES, TABLE, Group, Pair, degrees, entry

# escnn lists the components of a vector as (y, z, x) in a frame whose y and z axes run against the voxel
# indices; this matrix takes them to (x, y, z) along the indices.
_VECTOR_FROM_ESCNN = np.diag([1.0, -1.0, -1.0]) @ np.eye(3)[[2, 0, 1]]


def _symmetrised(basis: np.ndarray, pair: Pair) -> np.ndarray:
    """Average kernels over the 24 cube rotations, B(x) <- out(R) B(R^-1 x) in(R)^T.

    escnn's tables obey the symmetry to 1e-8 only; networks in float64 would show it.
    """
    rotations = cube_rotations()
    rotated = np.stack([rotate_cube_lattice(basis, rotation) for rotation in rotations])
    rho_in, rho_out = (rotations if degree else np.ones((len(rotations), 1, 1)) for degree in pair)
    return np.einsum("gAa,gbac...,gCc->bAC...", rho_out, rotated, rho_in) / len(rotations)


def _escnn_blocks(edge: int, group: Group) -> dict[Pair, np.ndarray]:
    provide_py3nj()
    # escnn's own deprecated imports make it warn.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from escnn import gspaces, nn

        space = gspaces.rot3dOnR3(maximum_frequency=8) if group == "so3" else gspaces.trivialOnR3()
        one_of_each = [space.irrep(degree) for degree in degrees(group) if degree] + [space.trivial_repr]
        fields = nn.FieldType(space, one_of_each)
        convolution = nn.R3Conv(fields, fields, edge, initialize=False)
    blocks = dict(convolution.basisexpansion.named_children())
    pairs = [(i, o) for i in degrees(group) for o in degrees(group)]
    found = {pair: blocks.get("block_expansion_('irrep_{}', 'irrep_{}')".format(*pair)) for pair in pairs}
    return {pair: block.sampled_basis.double().numpy() for pair, block in found.items() if block is not None}


def sampled_bases(edge: int, group: Group) -> Iterator[tuple[Pair, np.ndarray]]:
    """Yield what `steerable_basis.kernel_bases` returns, as escnn samples it."""
    for pair, escnn_basis in _escnn_blocks(edge, group).items():
        change_in, change_out = (_VECTOR_FROM_ESCNN if degree else np.eye(1) for degree in pair)
        basis = np.einsum("Aa,bacp,Cc->bACp", change_out, escnn_basis, change_in)
        basis = basis.reshape(*basis.shape[:3], *(edge,) * 3)
        yield pair, _symmetrised(basis, pair) if group == "so3" else basis


def write(path: FilePath = TABLE) -> None:
    """Write the bases of every edge and group as one .npz file."""
    bases = {
        entry(edge, group, pair): basis
        for edge in EDGES
        for group in ("so3", "trivial")
        for pair, basis in sampled_bases(edge, group)
    }
    with atomic_file(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **bases)


if __name__ == "__main__":
    write()
