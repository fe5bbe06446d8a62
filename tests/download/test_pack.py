from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fabricate.packings import RULES, ellipsoid
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ROOT
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from morphobench.download import pack
from morphobench.errors import InputError
from morphobench.geometry import meshes, rotation

BOX = [[-25, -50, -50], [30, 50, 50]]
SPACING, RADIUS = 2.0, 1.0
REPOSITORY = ROOT


@pytest.fixture(scope="module")
def nucleus():
    # Off centre and without symmetry, so that a swapped axis or a wrong origin shows.
    mesh = ellipsoid([18, 40, 33])
    mesh.apply_translation([2, -3, 5])
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


@pytest.fixture(scope="module")
def grid(nucleus):
    return pack.nucleus_grid(*nucleus, box=BOX, spacing=SPACING)


@pytest.fixture(scope="module")
def whole_box(nucleus):
    """The same grid without any shortcut: every point of the box, exact distances."""
    axes = [np.arange(low, high + 1e-9, SPACING) for low, high in zip(*BOX, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    distance, nearest = meshes.signed_distance(points, *nucleus)
    surface = points[np.abs(nearest - points).max(axis=1) <= SPACING / 2]
    return points, distance, cKDTree(surface).query(points)[0]


def spheres(grid, rule, seed, n=16):
    weights = pack.gradient_weights(grid, RULES[rule])
    return pack.pack_spheres(grid, weights, n_spheres=n, radius=RADIUS, rng=np.random.default_rng(seed))


def test_the_grid_inside_is_that_of_the_whole_box(grid, whole_box):
    points, distance, to_surface = whole_box
    inside = distance < 0
    np.testing.assert_array_equal(grid.points, points[inside])
    np.testing.assert_allclose(grid.surface_distance, to_surface[inside], atol=1e-9)
    assert grid.surface_distance_max == pytest.approx(to_surface.max())


def test_depth_is_a_lower_bound_and_exact_near_the_surface(grid, whole_box):
    points, distance, _ = whole_box
    exact = -distance[distance < 0]
    assert (grid.depth <= exact + 1e-9).all()
    np.testing.assert_allclose(grid.depth[exact < SPACING], exact[exact < SPACING])


def closed_form(rule, whole_box):
    """Weights by the published formulas, written out over the whole box."""
    points, distance, to_surface = whole_box
    centre = np.mean(BOX, axis=0)
    d = {
        "vector": lambda: np.abs(points @ np.array(rule["direction"])),
        "radial": lambda: np.minimum(
            np.linalg.norm(points - centre, axis=1), np.linalg.norm(np.ptp(BOX, axis=0))
        ),
        "surface": lambda: to_surface,
        "random": lambda: np.zeros(len(points)),
    }[rule["mode"]]()
    s = d / max(d.max(), 1e-12)
    if rule["mode"] == "vector":
        s = 1 - s
    weights = np.exp(-s / rule.get("decay", 1))[distance < 0]
    return weights / weights.max()


@pytest.mark.parametrize("name", RULES)
def test_weights_are_the_published_formulas(name, grid, whole_box):
    weights = np.exp(pack.gradient_weights(grid, RULES[name]))
    np.testing.assert_allclose(weights, closed_form(RULES[name], whole_box), rtol=1e-9)


def test_log_weights_stay_finite_where_weights_underflow(grid):
    log_weights = pack.gradient_weights(grid, {"mode": "surface", "decay": 1e-5})
    assert np.isfinite(log_weights).all()
    assert np.exp(log_weights).min() == 0
    packed = pack.pack_spheres(grid, log_weights, n_spheres=300, radius=1, rng=np.random.default_rng(0))
    assert len(packed) == 300


def weighted_ks(sample, values, weights):
    """Largest gap between the distribution of a sample and a weighted one."""
    order = np.argsort(values)
    cumulated = np.concatenate([[0], np.cumsum(weights[order])]) / weights.sum()
    expected = cumulated[np.searchsorted(values[order], np.sort(sample), side="right")]
    ranks = np.arange(len(sample) + 1) / len(sample)
    return max(np.abs(expected - ranks[1:]).max(), np.abs(expected - ranks[:-1]).max())


def implied_distribution(rule, nucleus, whole_box):
    """Places that a first sphere may take, with their chances: every jittered grid point that fits."""
    points, distance, _ = whole_box
    rng = np.random.default_rng(1)
    places = np.repeat(points[distance < 0], 4, axis=0)
    places = places + rng.uniform(-SPACING / 2, SPACING / 2, places.shape)
    fits = meshes.signed_distance(places, *nucleus)[0] <= -RADIUS
    return places[fits], np.repeat(closed_form(rule, whole_box), 4)[fits]


@pytest.mark.parametrize("name", RULES)
def test_spheres_follow_the_weights(name, grid, nucleus, whole_box):
    # 120 packings of 16 spheres. Under the exact law the gap exceeds 1.95 / sqrt(1920) = 0.045 once in
    # a thousand; a little is added for what earlier spheres deplete. Measured: 0.03 at most; a decay
    # 1.5 times too long gives 0.10 and more (next test).
    packed = np.concatenate([spheres(grid, name, seed) for seed in range(120)])
    places, chances = implied_distribution(RULES[name], nucleus, whole_box)
    for label, project in projections(nucleus).items():
        assert weighted_ks(project(packed), project(places), chances) < 0.06, label


def projections(nucleus):
    diagonal = np.array([0, 1, 1]) / np.sqrt(2)
    return {
        "radial": lambda p: np.linalg.norm(p - np.mean(BOX, axis=0), axis=1),
        "below the surface": lambda p: -meshes.signed_distance(p, *nucleus)[0],
        "along 0": lambda p: p[:, 0],
        "along 1": lambda p: p[:, 1],
        "along 2": lambda p: p[:, 2],
        "along the diagonal": lambda p: p @ diagonal,
    }


@pytest.mark.parametrize("name", [name for name in RULES if name != "random"])
def test_the_comparison_sees_a_wrong_decay(name, grid, nucleus, whole_box):
    wrong = RULES[name] | {"decay": 1.5 * RULES[name]["decay"]}
    log_weights = pack.gradient_weights(grid, wrong)
    rngs = map(np.random.default_rng, range(60))
    packed = np.concatenate(
        [pack.pack_spheres(grid, log_weights, n_spheres=16, radius=RADIUS, rng=rng) for rng in rngs]
    )
    places, chances = implied_distribution(RULES[name], nucleus, whole_box)
    gaps = [weighted_ks(p(packed), p(places), chances) for p in projections(nucleus).values()]
    assert max(gaps) > 0.06


@pytest.mark.parametrize("name", RULES)
def test_spheres_are_inside_and_apart(name, grid, nucleus):
    packed = spheres(grid, name, 3, n=256)
    assert packed.shape == (256, 3)
    assert meshes.signed_distance(packed, *nucleus)[0].max() <= -RADIUS
    assert pdist(packed).min() >= 2 * RADIUS


def test_positions_are_no_lattice(grid):
    packed = spheres(grid, "random", 0, n=256)
    phase = (packed - BOX[0]) / SPACING % 1
    # Uniform within the cell: mean resultant length of 256 angles is about 1 / 16.
    assert np.abs(np.exp(2j * np.pi * phase).mean(axis=0)).max() < 0.25


def test_a_seed_fixes_every_byte_and_rules_differ(grid):
    assert spheres(grid, "random", 5).tobytes() == spheres(grid, "random", 5).tobytes()
    assert spheres(grid, "random", 5).tobytes() != spheres(grid, "random", 6).tobytes()
    assert len({spheres(grid, name, 5).tobytes() for name in RULES}) == len(RULES)


def test_fewer_spheres_are_the_first_of_more(grid):
    np.testing.assert_array_equal(spheres(grid, "surface_gradient", 2, n=40)[:9],
                                  spheres(grid, "surface_gradient", 2, n=9))  # fmt: skip


def test_everything_scales_with_the_unit(nucleus, grid):
    vertices, faces = nucleus
    double = pack.nucleus_grid(2 * vertices, faces, box=2 * np.array(BOX), spacing=2 * SPACING)
    log_weights = pack.gradient_weights(double, RULES["surface_gradient"])
    packed = pack.pack_spheres(double, log_weights, n_spheres=16, radius=2, rng=np.random.default_rng(0))
    np.testing.assert_allclose(packed, 2 * spheres(grid, "surface_gradient", 0))


def test_direction_has_no_sign_and_no_length(grid):
    forth = pack.gradient_weights(grid, {"mode": "vector", "direction": [0, 1, 2], "decay": 0.1})
    back = pack.gradient_weights(grid, {"mode": "vector", "direction": [0, -3, -6], "decay": 0.1})
    np.testing.assert_allclose(forth, back, atol=1e-12)


@given(st.integers(0, 10**6), st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_first_come_equals_the_plain_loop(seed, n):
    points = np.random.default_rng(seed).uniform(0, 4, (n, 3))
    stays: list[int] = []
    for i, point in enumerate(points):
        if all(np.linalg.norm(point - points[j]) > 1 for j in stays):
            stays.append(i)
    np.testing.assert_array_equal(np.flatnonzero(pack._first_come(points, 1.0)), stays)


def test_a_nearly_full_nucleus_is_filled_in_several_rounds():
    mesh = ellipsoid([9, 9, 9])
    grid = pack.nucleus_grid(
        mesh.vertices, np.asarray(mesh.faces), box=[[-11] * 3, [11] * 3], spacing=SPACING
    )
    n = 130  # one round ends at about 107
    packed = pack.pack_spheres(
        grid, np.zeros(len(grid.points)), n_spheres=n, radius=1, rng=np.random.default_rng(0)
    )
    assert pdist(packed).min() >= 2


def test_too_many_spheres_are_refused():
    mesh = ellipsoid([5, 5, 5])
    grid = pack.nucleus_grid(mesh.vertices, np.asarray(mesh.faces), box=BOX, spacing=SPACING)
    with pytest.raises(InputError, match="too small for packing.n_spheres = 256.*Remove the shape"):
        pack.pack_spheres(
            grid, np.zeros(len(grid.points)), n_spheres=256, radius=1, rng=np.random.default_rng(0)
        )


def test_a_nucleus_between_the_grid_points_is_refused():
    mesh = ellipsoid([0.3] * 3)
    mesh.apply_translation([1, 1, 1])
    with pytest.raises(InputError, match="finer spacing"):
        pack.nucleus_grid(mesh.vertices, np.asarray(mesh.faces), box=[[-10] * 3, [10] * 3], spacing=SPACING)


def test_a_nucleus_outside_the_box_is_refused():
    mesh = ellipsoid([26, 10, 10])
    with pytest.raises(InputError, match=r"outside packing\.box.*Enlarge"):
        pack.nucleus_grid(mesh.vertices, np.asarray(mesh.faces), box=BOX, spacing=SPACING)


def test_frames_are_one_proper_rotation_and_a_unit():
    matrix = rotation.packing_to_um(np.eye(3), 1.0).T
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert any(np.array_equal(matrix, r) for r in rotation.cube_rotations())
    np.testing.assert_allclose(rotation.packing_to_um(np.array([1.0, 2, 3]), 0.5), [1, 1.5, 0.5])
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(rotation.um_to_packing(rotation.packing_to_um(points, 0.108), 0.108), points)


def test_committed_nuclei_are_closed_and_have_their_volumes():
    folder = REPOSITORY / "workflow/resources/nuclei_series006"
    shapes = pd.read_csv(folder / "manifest.csv", dtype={"CellId": str})
    assert len(shapes) == 32
    for shape in shapes.itertuples():
        mesh = meshes.read_closed_mesh(folder / f"{shape.CellId}_{shape.angle}.ply")
        assert mesh.volume == pytest.approx(shape.volume_of_nucleus_um3, rel=1e-5)
        assert mesh.euler_number == 2


def test_committed_nuclei_agree_with_their_authors():
    table = REPOSITORY.parent / "shared/data/nuclei_series006/areas_volumes.csv"
    if not table.exists():
        pytest.skip("the authors' table areas_volumes.csv is not beside this checkout")
    for row in pd.read_csv(table).itertuples():
        mesh = meshes.read_closed_mesh(REPOSITORY / f"workflow/resources/nuclei_series006/{row.record}_0.ply")
        assert mesh.volume == pytest.approx(row.volume_um3, rel=1e-5)
        assert mesh.area == pytest.approx(row.surface_area_um2, rel=1e-5)
