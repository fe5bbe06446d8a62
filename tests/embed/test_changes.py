"""Changed cells: volumes at half their resolution; descriptors of mirrored, reordered and coarser cells."""

import numpy as np
import pandas as pd
import pytest

from morphobench.embed import changes, descriptors
from morphobench.geometry.resolution import half_resolution


@pytest.mark.parametrize("size", [8, 9])
def test_half_resolution_keeps_what_is_smooth_and_loses_what_is_not(size):
    z, y, x = np.meshgrid(*[np.arange(size)] * 3, indexing="ij")
    plane = 2.0 * x - y + 0.5 * z + 3
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(half_resolution(plane)[inner], plane[inner], atol=1e-5)
    np.testing.assert_allclose(half_resolution(np.full((2, size, size, size), 7)), 7)
    checked = ((x + y + z) % 2).astype(np.uint8)
    assert np.ptp(half_resolution(checked)[inner]) < 0.05 * np.ptp(checked)


def cloud(rng, chiral=True):
    """Points of a body without symmetry; or, with their mirror images, of one with a plane of symmetry."""
    points = rng.gamma(2.0, size=(60, 3)) * [3.0, 2.0, 1.0]
    points -= points.mean(axis=0)
    if chiral:
        return points
    return np.concatenate([points, points @ changes.MIRROR])


def changed(points, name, n_points=None, again_um=None, **options):
    describe = getattr(descriptors, name)

    def of_points(cloud_um, rotations):
        return describe(cloud_um @ np.swapaxes(rotations, -1, -2), **options)

    found = changes.described_changes(points, of_points, n_points or len(points), again_um, seed=1)
    own = of_points(points[:n_points], np.eye(3)[None])[0]
    return {change: np.linalg.norm(value - own) / np.linalg.norm(own) for change, value in found.items()}


@pytest.mark.parametrize("chiral", [True, False])
def test_powers_do_not_see_handedness_and_coefficients_see_it_where_there_is_one(chiral):
    points = cloud(np.random.default_rng(4), chiral)
    power, own = (
        changed(points, "harmonic_power", degree=4),
        changed(points, "harmonic_coefficients", degree=4),
    )
    assert power["reflection"] < 1e-9
    assert own["reflection"] > 0.1 if chiral else own["reflection"] < 1e-9


def test_no_descriptor_depends_on_the_order_of_points():
    points = cloud(np.random.default_rng(5))
    for name, options in {
        "pairwise_histogram": {"n_bins": 9, "largest_um": 9.0},
        "harmonic_coefficients": {"degree": 3},
        "principal_axes": {},
    }.items():
        assert changed(points, name, **options)["order"] < 1e-9


def test_points_are_drawn_again_from_what_is_stored_or_given():
    rng = np.random.default_rng(6)
    points, other = cloud(rng), cloud(rng)
    again = changed(points, "harmonic_power", n_points=30, degree=2)
    assert 0 < again["sampling"] == again["resolution_floor"] < 1
    assert "sampling" not in changed(points, "harmonic_power", degree=2)
    assert changed(points, "harmonic_power", again_um=points, degree=2)["sampling"] == 0
    assert changed(points, "harmonic_power", again_um=other, degree=2)["sampling"] > 0


def test_what_a_cell_does_not_have_stands_in_the_table_with_its_reason():
    cells = pd.DataFrame({"CellId": ["a", "b"], "group": ["a", "b"], "split": "test"})
    table = changes.changed_table(cells, {"reflection": np.ones((2, 3), np.float32)}, 3)
    assert len(table) == 2 * len(changes.CHANGES)
    mu = table[["mu_0", "mu_1", "mu_2"]].notna().all(axis=1)
    assert (table["reason"].eq("") == mu).all()
    assert set(table.loc[mu, "change"]) == {"reflection"}
