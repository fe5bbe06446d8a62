"""Rotations as matrices. Convention: column vectors, p' = R p, points as rows rotate by ``points @ R.T``."""

from collections.abc import Sequence

import numpy as np

from morphobench import seeds

# Columns of a table that hold a rotation matrix, row by row.
MATRIX_COLUMNS = [f"r_{row}{column}" for row in range(3) for column in range(3)]


def about_z(degrees: float) -> np.ndarray:
    """Return the rotation about z by an angle in degrees, shape (3, 3), float64.

    Examples
    --------
    >>> about_z(90).round(6) @ np.array([1.0, 0.0, 0.0])
    array([0., 1., 0.])
    """
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("z", degrees, degrees=True).as_matrix()


def cube_rotations() -> np.ndarray:
    """Return the 24 rotations that map the cube grid to itself, shape (24, 3, 3), exact, identity first."""
    from scipy.spatial.transform import Rotation

    # Adding zero makes -0 a 0.
    matrices = np.rint(Rotation.create_group("O").as_matrix()) + 0.0
    return np.array(sorted(matrices, key=lambda matrix: (-np.trace(matrix), matrix.tolist())))


def uniform(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `n` rotations uniformly from SO(3) (Haar measure), shape (n, 3, 3), float64."""
    from scipy.spatial.transform import Rotation

    return Rotation.random(n, random_state=rng).as_matrix()


def rotation_sets(name: str, cells: Sequence[str], n_uniform: int, seed: int, dataset: str) -> np.ndarray:
    """Return the rotations of each cell, shape (n_rotations, n_cells, 3, 3), read-only.

    "identity" has 1, "lattice" the 24 of the cube, among them the published ones (0, 90, 180 and 270 degrees
    about z). "uniform" draws `n_uniform` for each cell by its CellId, the same for every model: with
    rotations that all cells share, an interval over cells would not cover the mean over all rotations.
    """
    if name == "uniform":
        own = [uniform(n_uniform, seeds.generator(seed, dataset, "rotations", cell)) for cell in cells]
        return np.stack(own, axis=1) if own else np.empty((n_uniform, 0, 3, 3))
    shared = np.eye(3)[None] if name == "identity" else cube_rotations()
    return np.broadcast_to(shared[:, None], (len(shared), len(cells), 3, 3))


def rotate_points(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Rotate points of shape (..., n, 3), in any unit, by `rotation` of shape (..., 3, 3)."""
    return points @ np.swapaxes(rotation, -1, -2)


def lattice_axes(rotation: np.ndarray) -> tuple[list[int], list[int]]:
    """Return how one of the 24 cube rotations acts on the last three axes, z, y, x, of a volume.

    The order in which to take the axes, and those of the result to reverse, counted from the end, -3 to -1.
    ValueError when `rotation`, shape (3, 3), does not map the grid to itself.
    """
    signed = np.rint(rotation).astype(int)
    if not np.allclose(signed, rotation, atol=1e-6) or not np.array_equal(abs(signed).sum(0), [1, 1, 1]):
        raise ValueError("lattice_axes needs one of the 24 cube rotations; resample for any other")
    # In zyx order the same rotation has its rows and columns reversed.
    zyx = signed[::-1, ::-1]
    source = np.abs(zyx).argmax(axis=1)
    return [int(axis) - 3 for axis in source], [axis - 3 for axis in range(3) if zyx[axis, source[axis]] < 0]


def rotate_cube_lattice(volume_zyx: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Rotate a cubic volume, shape (..., s, s, s), exactly by one of `cube_rotations`: swap and flip axes."""
    order, reversed_axes = lattice_axes(rotation)
    lead = volume_zyx.ndim - 3
    swapped = np.transpose(volume_zyx, [*range(lead), *(axis + lead + 3 for axis in order)])
    return np.flip(swapped, reversed_axes)


def packing_to_um(positions: np.ndarray, voxel_um: float) -> np.ndarray:
    """Convert packing coordinates, depth first, to micrometres, x, y, z with z along the depth.

    The cyclic permutation (x, y, z) = (second, third, first) is a rotation and mirrors nothing. Positions
    have shape (..., 3) and units of `voxel_um` micrometres.
    """
    return positions[..., [1, 2, 0]] * voxel_um


def um_to_packing(points_um: np.ndarray, voxel_um: float) -> np.ndarray:
    """Invert `packing_to_um`, shape (..., 3)."""
    return points_um[..., [2, 0, 1]] / voxel_um
