"""From shards to batches: units, z-scores, the right rows, one seeded order per epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trained_case import FAILED, SPLITS, clouds_um, cube_of, settings, write_case

from morphobench.errors import InputError
from morphobench.loading import EpochOrder, loader, normalise, open_cells

PARTS = ("train", "val", "test")


@pytest.fixture(scope="module", params=[1, 2], ids="{} shard(s)".format)
def case(request, tmp_path_factory):
    return write_case(tmp_path_factory.mktemp("data"), n_shards=request.param)


def numbers(cells):
    return cells.table["CellId"].astype(int).to_numpy()


def test_points_become_model_units():
    x = normalise(np.full((2, 5, 3), 2.0), "points", 0.25)
    assert torch.equal(x, torch.full((2, 5, 3), 0.5))
    assert x.dtype == torch.float32


def test_cube_is_z_scored_then_scaled():
    counts = np.zeros((1, 2, 2, 2), np.uint8)
    counts[0, 1, 0, 1] = 8
    x = normalise(counts, "cube", 10.0)
    assert x.shape == (1, 1, 2, 2, 2)
    expected = torch.full((1, 1, 2, 2, 2), -10 / 8**0.5)
    expected[0, 0, 1, 0, 1] = 70 / 8**0.5
    torch.testing.assert_close(x, expected)


def test_cube_does_not_depend_on_gain_offset_or_neighbours_in_the_batch():
    counts = np.random.default_rng(0).integers(0, 60, (3, 4, 4, 4))
    x = normalise(counts, "cube", 0.1)
    torch.testing.assert_close(normalise(4 * counts + 7, "cube", 0.1), x)
    torch.testing.assert_close(torch.cat([normalise(one[None], "cube", 0.1) for one in counts]), x)
    torch.testing.assert_close(x.flatten(1).std(dim=1), torch.full((3,), 0.1))


def test_empty_cube_is_zero_not_nan():
    assert not normalise(np.full((1, 3, 3, 3), 9, np.uint8), "cube", 1.0).any()


def test_cells_are_read_from_the_right_rows(case):
    cells = open_cells(case.manifest, case.shards, "points")
    rows = np.random.default_rng(0).permutation(len(cells))
    np.testing.assert_array_equal(cells.raw(rows), clouds_um()[numbers(cells)[rows]])
    cubes = open_cells(case.manifest, case.shards, "cube")
    np.testing.assert_array_equal(cubes.raw([3])[0], cube_of(clouds_um()[numbers(cubes)[3]]))


def test_arrays_stay_on_disk(case):
    cells = open_cells(case.manifest, case.shards, "cube")
    assert all(isinstance(array, np.memmap) for array in cells._arrays.values())


def test_splits_hold_every_sampled_cell_once(case):
    found = {part: numbers(open_cells(case.manifest, case.shards, "points", part)) for part in PARTS}
    for part, cells in found.items():
        assert {SPLITS[number] for number in cells} == {part}
    everything = np.concatenate(list(found.values()))
    assert sorted(everything) == [number for number in range(len(SPLITS)) if number != FAILED]
    np.testing.assert_array_equal(
        np.sort(everything), np.sort(numbers(open_cells(case.manifest, case.shards, "points")))
    )


def test_a_split_without_cells_is_named(tmp_path):
    case = write_case(tmp_path, splits=["train"] * 6)
    with pytest.raises(InputError, match=r"manifest\.parquet: no sampled cell in split val"):
        open_cells(case.manifest, case.shards, "points", "val")


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
    cells = open_cells(case.manifest, case.shards, "points", "train")
    chosen = settings("classical_pointcloud")
    batches = list(loader(cells, chosen, batch_size=3, order_seed=order_seed))
    assert [len(batch) for batch in batches] == [3, 3, 2]
    rows = list(range(len(cells))) if order_seed is None else list(EpochOrder(len(cells), order_seed))
    torch.testing.assert_close(
        torch.cat(batches), normalise(cells.raw(rows), "points", chosen["input_scale"])
    )
