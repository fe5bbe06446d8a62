"""Rotations: the group, the conventions, and volumes that turn like the points in them."""

import numpy as np
import pytest
from fabricate.sampled import clouds_um, cube_of

from morphobench.geometry import rotation
from morphobench.models.inputs import rotate_trilinear


def test_cube_rotations_are_the_group_of_24():
    group = rotation.cube_rotations()
    assert group.shape == (24, 3, 3)
    assert np.allclose(group[0], np.eye(3))
    assert np.allclose(np.linalg.det(group), 1)
    keys = {tuple(np.rint(matrix).astype(int).ravel()) for matrix in group}
    assert len(keys) == 24
    products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 9)
    assert {tuple(np.rint(row).astype(int)) for row in products} == keys


def test_uniform_rotations_are_proper_seeded_and_isotropic():
    drawn = rotation.uniform(4000, np.random.default_rng(0))
    assert np.allclose(drawn @ np.swapaxes(drawn, 1, 2), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(drawn), 1)
    assert np.array_equal(drawn, rotation.uniform(4000, np.random.default_rng(0)))
    # Under the Haar measure every matrix entry has mean 0 and variance 1/3.
    assert np.abs(drawn.mean(0)).max() < 5 * np.sqrt(1 / 3 / 4000)
    assert np.allclose(drawn.var(0), 1 / 3, atol=0.03)


def test_column_vector_convention():
    turned = rotation.rotate_points(np.array([[1.0, 0, 0], [0, 1.0, 0]]), rotation.about_z(90))
    assert np.allclose(turned, [[0, 1, 0], [-1, 0, 0]])


def _binned(points: np.ndarray, size: int) -> np.ndarray:
    index = np.floor((points + 0.5) * size).astype(int)
    volume = np.zeros((size,) * 3, dtype=np.float32)
    np.add.at(volume, (index[:, 2], index[:, 1], index[:, 0]), 1)
    return volume


@pytest.mark.parametrize("size", [8, 9])
def test_a_volume_turns_like_the_points_in_it(size):
    points = np.random.default_rng(1).uniform(-0.45, 0.45, (300, 3))
    volume = _binned(points, size)
    for turn in rotation.cube_rotations():
        expected = _binned(rotation.rotate_points(points, turn), size)
        assert np.array_equal(rotation.rotate_cube_lattice(volume, turn), expected)
        assert np.allclose(rotate_trilinear(volume[None], turn)[0], expected, atol=1e-4)


def test_resampling_follows_a_free_rotation():
    size, turn = 33, rotation.uniform(1, np.random.default_rng(3))[0]
    grid = (np.indices((size,) * 3)[::-1] + 0.5) / size - 0.5  # x, y, z
    centre = np.array([0.2, -0.1, 0.05])

    def blob(at: np.ndarray) -> np.ndarray:
        return np.exp(-((grid - at[:, None, None, None]) ** 2).sum(0) / (2 * 0.08**2)).astype(np.float32)

    found = rotate_trilinear(blob(centre)[None], turn)[0]
    assert np.abs(found - blob(turn @ centre)).max() < 0.05


def test_lattice_rotation_refuses_a_free_angle():
    with pytest.raises(ValueError, match="24 cube rotations"):
        rotation.rotate_cube_lattice(np.zeros((3, 3, 3)), rotation.about_z(30))


def test_interpolated_turn_agrees_with_the_exact_one_and_moves_matter_the_right_way():
    counts = cube_of(clouds_um(1)[0])[None]
    for quarter in rotation.cube_rotations():
        exact = rotation.rotate_cube_lattice(counts, quarter)
        np.testing.assert_allclose(rotate_trilinear(counts, quarter), exact, atol=1e-3)
    blob = np.zeros((1, 9, 9, 9))
    blob[0, 4, 4, 7] = 1.0  # 3 voxels along x
    z, y, x = np.unravel_index(rotate_trilinear(blob, rotation.about_z(45))[0].argmax(), (9, 9, 9))
    assert (z, y, x) == (4, 6, 6)


def test_sets_of_rotations():
    cells = ["a", "b"]
    assert rotation.rotation_sets("identity", cells, 4, 1, "tiny").tolist() == [[np.eye(3).tolist()] * 2]
    lattice = rotation.rotation_sets("lattice", cells, 4, 1, "tiny")
    assert lattice.shape == (24, 2, 3, 3)
    assert all(len(np.unique(own, axis=0)) == 24 for own in np.moveaxis(lattice, 1, 0))
    drawn = rotation.rotation_sets("uniform", cells, 4, 1, "tiny")
    assert drawn.shape == (4, 2, 3, 3)
    np.testing.assert_array_equal(drawn, rotation.rotation_sets("uniform", cells, 4, 1, "tiny"))
    for other in ((2, "tiny"), (1, "large")):
        assert not np.allclose(drawn, rotation.rotation_sets("uniform", cells, 4, *other))
    np.testing.assert_allclose(np.linalg.det(drawn), 1)
    assert rotation.rotation_sets("uniform", [], 4, 1, "tiny").shape == (4, 0, 3, 3)


def test_uniform_rotations_are_each_cells_own_whatever_cells_are_beside_it():
    together = rotation.rotation_sets("uniform", ["a", "b", "c"], 4, 1, "tiny")
    np.testing.assert_array_equal(
        together[:, 2], rotation.rotation_sets("uniform", ["c"], 4, 1, "tiny")[:, 0]
    )
    assert len(np.unique(together.reshape(-1, 9), axis=0)) == 12


@pytest.mark.parametrize(("own", "covered"), [(True, (0.88, 1.0)), (False, (0.0, 0.5))])
def test_an_interval_over_cells_covers_the_mean_over_all_rotations_with_rotations_of_their_own(own, covered):
    """Aligned cells, alike but for a tenth: the error of a cell is the squared move of its axis."""
    n_cells, n_rotations, hits, n_runs = 60, 24, 0, 60
    for seed in range(n_runs):
        cells = [f"cell {number}" for number in range(n_cells if own else 1)]
        drawn = rotation.rotation_sets("uniform", cells, n_rotations, seed, "tiny")
        sizes = 1 + 0.1 * np.random.default_rng(seed).normal(size=n_cells)
        # |R z - z|^2 = 2 - 2 R_zz has the mean 2 over all rotations.
        means = (sizes * (2 - 2 * drawn[..., 2, 2])).mean(axis=0)
        half = 2 * means.std(ddof=1) / np.sqrt(n_cells)
        hits += abs(means.mean() - 2) < half
    assert covered[0] <= hits / n_runs <= covered[1]


def test_the_lattice_holds_the_published_turns():
    lattice = rotation.cube_rotations()
    for degrees in (0, 90, 180, 270):
        assert np.isclose(lattice, rotation.about_z(degrees)).all(axis=(1, 2)).any()
