"""From shards to batches: units, z-scores, the right rows, one seeded order per epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.sampled import CUBE, FAILED, SPLITS, clouds_um, cube_of, intensities, surfaces, write_sampled
from fabricate.trained import intensity_config, small_config

from morphobench.errors import InputError
from morphobench.files import read_table, write_table
from morphobench.geometry import rotation
from morphobench.geometry.packing import rasterise
from morphobench.models.cells import POINT_CLOUDS, Cells, EpochOrder, cell_batch, data_loader, open_cells
from morphobench.models.inputs import to_batch

PARTS = ("train", "val", "test")
CUBES = {"representation": "cube", "architecture": {"size": 9}, "input_scale": 1.0, "z_score": False}
IMPLICIT = small_config("rotation_invariant_pointcloud_sdf")


@pytest.fixture(scope="module", params=[1, 2], ids="{} shard(s)".format)
def case(request, tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"), n_shards=request.param)


def numbers(cells):
    return cells.table["CellId"].astype(int).to_numpy()


def test_cells_are_read_from_the_right_rows(case):
    cells = open_cells(case.manifest, case.shards, POINT_CLOUDS)
    rows = np.random.default_rng(0).permutation(len(cells))
    np.testing.assert_array_equal(cells.raw(rows)["points_um"], clouds_um()[numbers(cells)[rows]])
    cubes = open_cells(case.manifest, case.shards, CUBES)
    np.testing.assert_array_equal(cubes.raw([3])["cube"][0], cube_of(clouds_um()[numbers(cubes)[3]]))


def test_arrays_stay_on_disk(case):
    cells = open_cells(case.manifest, case.shards, CUBES)
    assert all(isinstance(array, np.memmap) for arrays in cells._arrays.values() for array in arrays.values())


def test_splits_hold_every_sampled_cell_once(case):
    found = {part: numbers(open_cells(case.manifest, case.shards, POINT_CLOUDS, part)) for part in PARTS}
    for part, cells in found.items():
        assert {SPLITS[number] for number in cells} == {part}
    everything = np.concatenate(list(found.values()))
    assert sorted(everything) == [number for number in range(len(SPLITS)) if number != FAILED]
    np.testing.assert_array_equal(
        np.sort(everything), np.sort(numbers(open_cells(case.manifest, case.shards, POINT_CLOUDS)))
    )


def test_a_split_without_cells_is_named(tmp_path):
    case = write_sampled(tmp_path, splits=["train"] * 6)
    with pytest.raises(InputError, match=r"manifest\.parquet: there is no usable val cell"):
        open_cells(case.manifest, case.shards, POINT_CLOUDS, "val")


def orders(seed, n_epochs=4, n=12):
    sampler = EpochOrder(n, seed)
    found = []
    for epoch in range(n_epochs):
        sampler.set_epoch(epoch)
        found.append(tuple(sampler))
    return found


def test_order_differs_between_epochs_and_seeds_and_repeats_between_runs():
    assert orders(1) == orders(1)
    assert len(set(orders(1) + orders(2))) == 8
    assert all(sorted(order) == list(range(12)) for order in orders(1))


def test_order_of_an_epoch_does_not_need_the_epochs_before():
    sampler = EpochOrder(12, 1)
    sampler.set_epoch(3)
    assert tuple(sampler) == orders(1)[3]


@pytest.mark.parametrize("order_seed", [None, 7])
def test_loader_gives_all_cells_normalised_in_the_order_of_the_epoch(case, order_seed):
    cells = open_cells(case.manifest, case.shards, POINT_CLOUDS, "train")
    chosen = small_config("classical_pointcloud")
    order = None if order_seed is None else EpochOrder(len(cells), order_seed)
    batches = list(data_loader(cells, chosen, batch_size=3, order=order))
    assert [len(batch.x) for batch in batches] == [3, 3, 2]
    rows = list(range(len(cells))) if order is None else list(order)
    torch.testing.assert_close(
        torch.cat([batch.x for batch in batches]), to_batch(cells.raw(rows), chosen).x, rtol=0, atol=0
    )


def test_models_with_several_arrays_get_them_of_the_same_cells(case):
    rows = [4, 1, 7]
    cells = open_cells(case.manifest, case.shards, intensity_config())
    chosen = numbers(cells)[rows]
    np.testing.assert_array_equal(cells.raw(rows)["intensity"], intensities()[chosen])
    np.testing.assert_array_equal(cells.raw(rows)["points_um"], clouds_um()[chosen])
    found = open_cells(case.manifest, case.shards, IMPLICIT).raw(rows)
    for name, expected in surfaces().items():
        np.testing.assert_array_equal(found[name], expected[chosen])


def norms_of(case, tmp_path):
    table = read_table(case.manifest)
    write_table(table.assign(structure_name=["SON", "RAB5A"] * (len(table) // 2)), tmp_path / "m.parquet")
    return tmp_path / "m.parquet"


def test_intensities_are_normalised_by_structure_when_they_are_read(case, tmp_path):
    norms = {"SON": [100, 300], "RAB5A": [0, 50]}
    chosen = intensity_config() | {"intensity": {"input_scale": 10, "structure_norms": norms}}
    cells = open_cells(norms_of(case, tmp_path), case.shards, chosen)
    low, high = np.array([norms[name] for name in cells.table["structure_name"]]).T[..., None]
    expected = (intensities()[numbers(cells)] - low) / (high - low)
    np.testing.assert_allclose(cells.raw(range(len(cells)))["intensity"], expected, rtol=1e-5)


def test_a_structure_without_a_range_is_named(case, tmp_path):
    chosen = intensity_config() | {"intensity": {"input_scale": 10, "structure_norms": {"SON": [0, 1]}}}
    with pytest.raises(InputError, match="structure RAB5A has no range"):
        open_cells(norms_of(case, tmp_path), case.shards, chosen)


@pytest.mark.parametrize("chosen", [intensity_config(), IMPLICIT], ids=["intensity", "implicit"])
def test_a_cell_is_judged_on_the_same_subsample_in_any_batch(case, chosen):
    cells = open_cells(case.manifest, case.shards, chosen)
    together = cell_batch(cells, [0, 1, 2], chosen, seed=3)
    alone = cell_batch(cells, [1], chosen, seed=3)
    other = cell_batch(cells, [1], chosen, seed=4)
    assert together.x.shape[1] == chosen["subsample"]["n_points"]
    for whole, one in zip(together, alone, strict=True):
        assert (whole is None) == (one is None)
        assert whole is None or torch.equal(whole[1:2], one)
    assert not torch.equal(other.x, alone.x)


def test_a_rotated_cell_is_the_same_subsample_rotated(case):
    cells, chosen = open_cells(case.manifest, case.shards, IMPLICIT), IMPLICIT
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    plain, rotated = (cell_batch(cells, [2], chosen, rotation=how) for how in (None, turn))
    matrix = torch.from_numpy(turn.astype(np.float32))
    torch.testing.assert_close(rotated.x, plain.x @ matrix.T)
    torch.testing.assert_close(rotated.queries, plain.queries @ matrix.T)
    assert torch.equal(rotated.distances, plain.distances)


# Cubes of packings


def rotated_cubes(case, matrices, back=False, **drawn):
    cells = open_cells(case.manifest, case.shards, CUBES, **drawn)
    rows = range(len(matrices))
    return numbers(cells)[: len(rows)], cell_batch(cells, rows, CUBES, rotation=matrices, back=back).x[
        :, 0
    ].numpy()


@pytest.mark.parametrize("turns", ["uniform", "lattice"])
def test_rotated_cubes_of_packings_are_drawn_of_their_rotated_spheres(case, turns):
    rng = np.random.default_rng(2)
    matrices = (
        rotation.uniform(5, rng) if turns == "uniform" else rotation.cube_rotations()[[0, 5, 9, 17, 23]]
    )
    cells, found = rotated_cubes(case, matrices, cube=CUBE)
    clouds = [
        rotation.rotate_points(clouds_um()[cell], one) for cell, one in zip(cells, matrices, strict=True)
    ]
    np.testing.assert_array_equal(found, np.stack([cube_of(cloud) for cloud in clouds]))
    _, back = rotated_cubes(case, matrices, back=True, cube=CUBE)
    np.testing.assert_allclose(back, np.stack([cube_of(cloud) for cloud in clouds_um()[cells]]), atol=1)


def rotation_errors(cubes, rotated):
    """Of a code that is exactly invariant, the sorted intensities."""
    codes = [np.sort(volumes.reshape(len(volumes), -1), axis=1) for volumes in (cubes, rotated)]
    return np.linalg.norm(codes[1] - codes[0], axis=1) / sum(np.linalg.norm(code, axis=1) for code in codes)


def test_an_invariant_code_of_packings_has_a_rotation_error_of_drawing_alone(tmp_path):
    """At paper scale spheres are half a voxel: resampling blurs them, drawing them anew does not."""
    rng, edge = (
        np.random.default_rng(3),
        {"size": 129, "side_um": 27.864, "radius_um": 0.108, "oversample": 4},
    )
    centres = rng.normal(size=(256, 3)).clip(-2, 2) * [4.0, 3.0, 2.0]
    np.save(tmp_path / "centres_um.npy", centres)
    np.save(tmp_path / "cube.npy", rasterise(centres, **edge)[None])
    table = pd.DataFrame(
        {"CellId": ["a"], "success": True, "shard": 0, "index": 0, "first": 0, "n_points": 256}
    )
    chosen = CUBES | {"architecture": {"size": 129}}
    turn = rotation.uniform(1, rng)
    errors = []
    for drawn in (edge, None):
        cells = Cells(table, {0: tmp_path}, chosen, drawn)
        upright, rotated = (
            cell_batch(cells, [0], chosen, rotation=how).x[:, 0].numpy() for how in (None, turn)
        )
        errors.append(rotation_errors(upright, rotated)[0])
    assert errors[0] < 0.05
    assert errors[1] > 0.25


def test_rotating_back_resampled_volumes_shows_what_resampling_does_to_an_invariant_code(case):
    matrices = rotation.uniform(10, np.random.default_rng(3))
    stored, once, back = (
        rotated_cubes(case, *how)[1] for how in ([np.stack([np.eye(3)] * 10)], [matrices], [matrices, True])
    )
    errors = rotation_errors(stored, once), rotation_errors(stored, back)
    assert 0.5 < (errors[0] / errors[1]).mean() <= 1.0
    # But for the blur each cell is where it was.
    apart = [((volumes - stored) ** 2).mean() for volumes in (once, back)]
    assert apart[1] < apart[0]
