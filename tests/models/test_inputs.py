"""From stored arrays to model units: scales, z-scores, padding, subsampling, rotation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fabricate.sampled import clouds_um, cube_of
from fabricate.trained import small_config

from morphobench.errors import InputError
from morphobench.geometry import rotation
from morphobench.models.inputs import Batch, required_arrays, rotate_arrays, subsample, to_batch


def described(representation, scale=1.0, **more):
    return {"representation": representation, "input_scale": scale, **more}


def cube_settings(size, scale=1.0, representation="cube"):
    return described(representation, scale, architecture={"size": size})


def test_points_become_model_units():
    x = to_batch({"points_um": np.full((2, 5, 3), 2.0)}, described("points", 0.25)).x
    assert torch.equal(x, torch.full((2, 5, 3), 0.5))
    assert x.dtype == torch.float32


def test_intensity_is_a_fourth_column_with_a_scale_of_its_own():
    chosen = described("points", 0.25, intensity={"input_scale": 0.01})
    assert required_arrays(chosen) == ("points_um", "intensity")
    raw = {"points_um": np.full((1, 2, 3), 2.0), "intensity": np.array([[100.0, 350.0]])}
    x = to_batch(raw, chosen).x
    torch.testing.assert_close(x, torch.tensor([[[0.5, 0.5, 0.5, 1.0], [0.5, 0.5, 0.5, 3.5]]]))


def test_intensities_of_an_untrained_factor_are_refused():
    chosen = described("points", intensity={"input_scale": None})
    raw = {"points_um": np.ones((1, 2, 3)), "intensity": np.ones((1, 2))}
    with pytest.raises(InputError, match=r"by what intensities are multiplied. Set intensity.input_scale"):
        to_batch(raw, chosen)


def test_cube_is_z_scored_then_scaled():
    counts = np.zeros((1, 2, 2, 2), np.uint8)
    counts[0, 1, 0, 1] = 8
    x = to_batch({"cube": counts}, cube_settings(2, 10.0)).x
    assert x.shape == (1, 1, 2, 2, 2)
    expected = torch.full((1, 1, 2, 2, 2), -10 / 8**0.5)
    expected[0, 0, 1, 0, 1] = 70 / 8**0.5
    torch.testing.assert_close(x, expected)


def test_cube_does_not_depend_on_gain_offset_or_neighbours_in_the_batch():
    counts = np.random.default_rng(0).integers(0, 60, (3, 4, 4, 4))
    chosen = cube_settings(4, 0.1)
    x = to_batch({"cube": counts}, chosen).x
    torch.testing.assert_close(to_batch({"cube": 4 * counts + 7}, chosen).x, x)
    torch.testing.assert_close(torch.cat([to_batch({"cube": one[None]}, chosen).x for one in counts]), x)
    torch.testing.assert_close(x.flatten(1).std(dim=1), torch.full((3,), 0.1))


def test_empty_cube_is_zero_not_nan():
    assert not to_batch({"cube": np.full((1, 3, 3, 3), 9, np.uint8)}, cube_settings(3)).x.any()


@pytest.mark.parametrize(("size", "first"), [(32, 0), (33, 0), (35, 1)])
def test_distances_are_clipped_and_continue_with_outside(size, first):
    sdf = np.linspace(-9, 9, 32**3).reshape(1, 32, 32, 32)
    x = to_batch({"sdf": sdf}, cube_settings(size, representation="sdf")).x[0, 0].numpy()
    inner = x[tuple([slice(first, first + 32)] * 3)]
    np.testing.assert_allclose(inner, sdf[0].clip(-2, 2), rtol=1e-6)
    assert np.all(x[first + 32 :] == 2)
    assert np.all(x[:first] == 2)


def test_segmentations_continue_with_nothing():
    x = to_batch({"seg": np.ones((1, 3, 3, 3), np.uint8)}, cube_settings(5, representation="seg")).x
    assert x.sum() == 27


def test_a_volume_larger_than_the_model_is_refused():
    with pytest.raises(InputError, match="edge of 5 voxels, more than the model's 4"):
        to_batch({"seg": np.ones((1, 5, 5, 5))}, cube_settings(4, representation="seg"))


def cloud(n=2, n_points=50, columns=4, seed=0):
    return torch.rand(n, n_points, columns, generator=torch.Generator().manual_seed(seed))


def subsampled(batch, seed=1, **settings):
    return subsample(
        batch, {"subsample": settings, "intensity": {"input_scale": 1.0}}, torch.Generator().manual_seed(seed)
    )


def test_a_uniform_subsample_takes_each_point_once_with_all_its_columns():
    x = cloud()
    found = subsampled(Batch(x), n_points=30).x
    assert found.shape == (2, 30, 4)
    for one, whole in zip(found, x, strict=True):
        rows = [tuple(row) for row in one.tolist()]
        assert len(set(rows)) == 30
        assert set(rows) <= {tuple(row) for row in whole.tolist()}


def test_a_subsample_depends_on_its_generator_alone():
    x = Batch(cloud())
    assert torch.equal(subsampled(x, n_points=30).x, subsampled(x, n_points=30).x)
    assert not torch.equal(subsampled(x, n_points=30).x, subsampled(x, seed=2, n_points=30).x)


def test_a_subsample_by_intensity_follows_the_intensity():
    x = torch.zeros(1, 4, 4)
    x[0, :, 0] = torch.arange(4.0)
    x[0, :, 3] = torch.tensor([1.0, 3.0, 0.0, -5.0])
    found = subsampled(Batch(x), n_points=8000, weight="intensity").x[0, :, 0]
    counts = torch.bincount(found.long(), minlength=4)
    assert counts[2:].sum() == 0
    assert abs(counts[1] / 8000 - 0.75) < 0.02


def test_a_subsample_by_intensity_serves_models_that_do_not_read_it():
    chosen = described("points", subsample={"n_points": 9, "weight": "intensity"})
    assert required_arrays(chosen) == ("points_um", "intensity")
    raw = {"points_um": np.ones((1, 20, 3)), "intensity": np.ones((1, 20))}
    found = subsample(to_batch(raw, chosen), chosen, torch.Generator().manual_seed(0)).x
    assert found.shape == (1, 9, 3)


def test_queries_keep_their_distances():
    queries = torch.rand(2, 60, 3, generator=torch.Generator().manual_seed(0))
    found = subsampled(Batch(cloud(columns=3), queries, queries.norm(dim=-1)), n_points=9, n_queries=20)
    assert found.queries.shape == (2, 20, 3)
    torch.testing.assert_close(found.distances, found.queries.norm(dim=-1))


def test_subsamples_that_cannot_be_made_are_refused():
    with pytest.raises(InputError, match="subsample asks for 51 points of clouds that have 50"):
        subsampled(Batch(cloud()), n_points=51)
    with pytest.raises(InputError, match="no positive intensity"):
        subsampled(Batch(-cloud()), n_points=5, weight="intensity")


def test_only_what_has_a_place_rotates():
    rng = np.random.default_rng(0)
    names = ("points_um", "intensity", "surface", "queries", "distances")
    raw = {name: rng.normal(size=(1, 5, 3)) for name in names}
    matrix = rotation.uniform(1, rng)[0]
    found = rotate_arrays(raw, matrix, {})
    for name in ("points_um", "surface", "queries"):
        np.testing.assert_allclose(found[name], raw[name] @ matrix.T)
    for name in ("intensity", "distances"):
        np.testing.assert_array_equal(found[name], raw[name])


def test_a_field_of_distances_that_is_rotated_freely_stays_outside_at_its_corners():
    sdf = np.full((1, 9, 9, 9), 2.0, np.float32)
    found = rotate_arrays({"sdf": sdf}, rotation.about_z(30), cube_settings(9, representation="sdf"))["sdf"]
    np.testing.assert_allclose(found, 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["sdf", "seg"])
def test_a_grid_rotates_about_its_origin_which_is_the_middle_of_the_model(name):
    """Grids of even edge have their origin at half the edge; the model's odd cube has it in the middle."""
    axis = np.arange(16) - 8
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    chosen = cube_settings(17, representation=name)
    box = np.maximum(np.maximum(np.abs(x - 1) - 4, np.abs(y) - 2), np.abs(z + 2) - 1).astype(np.float32)
    raw = {name: box[None] if name == "sdf" else (box <= 0)[None].astype(np.uint8)}
    for matrix in rotation.cube_rotations()[1:6]:
        found = to_batch(rotate_arrays(raw, matrix, chosen), chosen).x[0, 0].numpy()
        inside = np.argwhere(found <= 0 if name == "sdf" else found > 0)[:, ::-1] - 8
        expected = np.argwhere(box <= 0)[:, ::-1] - 8
        assert {tuple(p) for p in (expected @ matrix.T).round().astype(int)} == {tuple(p) for p in inside}


def rotated_points(points_um, matrix):
    return rotate_arrays({"points_um": points_um}, matrix, {})["points_um"]


def test_points_are_rotated_exactly():
    raw = clouds_um(2)
    (matrix,) = rotation.uniform(1, np.random.default_rng(0))
    found = rotated_points(raw, matrix)
    np.testing.assert_allclose(found[1, 7], matrix @ raw[1, 7], rtol=1e-5, atol=1e-6)
    for quarter in rotation.cube_rotations():
        there = rotated_points(raw, quarter)
        np.testing.assert_array_equal(rotated_points(there, quarter.T), raw)


def test_rotated_cube_is_the_cube_of_the_rotated_cloud():
    cloud = clouds_um(1)
    for quarter in rotation.cube_rotations():
        counts = {"cube": cube_of(cloud[0])[None]}
        rotated = rotate_arrays(counts, quarter, {"architecture": {"size": 9}})["cube"]
        found = rotated[0].astype(int)
        expected = cube_of(rotated_points(cloud, quarter)[0]).astype(int)
        # The sphere stencil is not the same to the last sub-voxel after a flip.
        assert abs(found - expected).sum() < 0.02 * expected.sum()


def test_a_rotated_cube_keeps_its_background_at_the_corners():
    counts = cube_of(clouds_um(1)[0])[None]
    chosen = small_config("classical_image")
    background = to_batch({"cube": counts}, chosen).x.min()
    for matrix in rotation.uniform(3, np.random.default_rng(0)):
        x = to_batch(rotate_arrays({"cube": counts}, matrix, chosen), chosen).x[0, 0]
        corners = x[:: x.shape[0] - 1, :: x.shape[0] - 1, :: x.shape[0] - 1]
        assert torch.allclose(corners, x.min())
        assert torch.allclose(x.min(), background, atol=0.05)
