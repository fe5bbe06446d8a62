from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fabricate.packings import dataset, ellipsoid, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench import files, seeds
from morphobench.align import packing as align
from morphobench.download import packing as download
from morphobench.errors import InputError
from morphobench.files import shards as stage
from morphobench.geometry import rotation
from morphobench.mask import packing as mask
from morphobench.sample import manifest
from morphobench.sample import packing as sample

POINTS = {"n_points": 64, "jitter_um": 0.01, "jitter_clip_um": 0.02}
CUBE = {"size": 16, "side_um": 8.0, "radius_um": 0.1, "oversample": 4}
SPLIT = {"train": 0.7, "val": 0.15, "test": 0.15}


def cloud(n=40, reach=2.5, seed=0):
    return np.random.default_rng(seed).uniform(-reach, reach, (n, 3))


def write_shard(folder, clouds, names=None):
    """A shard of stage mask: a cell per cloud, and one that failed before."""
    folder.mkdir()
    names = names or [f"c_{i}" for i in range(len(clouds))]
    cells = pd.DataFrame(
        {
            "CellId": [*names, "old"],
            "group": [name[0] for name in names] + ["o"],
            "success": [True] * len(clouds) + [False],
            "error": [""] * len(clouds) + ["no file"],
            "n_points": [*map(len, clouds), 0],
        }
    )
    files.write_table(stage.write_clouds(folder, cells, clouds), folder / files.CELL_TABLE)
    return folder


def run(shard_in, out, seed=1, max_failed_fraction=1.0, **changes):
    sample.run(
        shard_in,
        out,
        dataset_name="cellpack",
        points=POINTS,
        cube=CUBE | changes,
        seed=seed,
        max_failed_fraction=max_failed_fraction,
    )
    cells = files.read_cells(out).set_index("CellId")
    return cells, files.read_array(out, "points_um"), files.read_array(out, "cube")


def voxelise(points_um, size, side_um, radius_um, oversample):
    """The published way: a whole fine volume of zeros and ones, then block sums; axes z, y, x."""
    fine = size * oversample
    centres = (np.arange(fine) + 0.5) * side_um / fine - side_um / 2
    grid = np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), -1)
    full = np.zeros((fine,) * 3, dtype=int)
    for x, y, z in points_um:
        full[((grid - [z, y, x]) ** 2).sum(-1) <= radius_um**2] = 1
    return full.reshape(size, oversample, size, oversample, size, oversample).sum((1, 3, 5))


@pytest.mark.parametrize("radius_um", [0.3, 0.5, 0.9])
def test_a_cube_is_the_block_sum_of_the_voxelised_spheres(radius_um):
    shape = {"size": 10, "side_um": 6.0, "radius_um": radius_um, "oversample": 3}
    points_um = cloud(25, reach=1.9)  # dense enough that spheres of 0.9 um overlap
    expected = voxelise(points_um, **shape)
    np.testing.assert_array_equal(sample.rasterise(points_um, **shape), expected)


@given(st.integers(0, 23), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_cube_turns_with_its_points(which, seed):
    turn = rotation.cube_rotations()[which]
    points_um = cloud(seed=seed)
    turned = sample.rasterise(rotation.rotate_points(points_um, turn), **CUBE)
    np.testing.assert_array_equal(
        turned, rotation.rotate_cube_lattice(sample.rasterise(points_um, **CUBE), turn)
    )


def test_one_voxel_along_x_moves_the_last_axis():
    edge = CUBE["side_um"] / CUBE["size"]
    moved = sample.rasterise(cloud() + [edge, 0, 0], **CUBE)
    np.testing.assert_array_equal(moved, np.roll(sample.rasterise(cloud(), **CUBE), 1, axis=2))


def test_the_total_is_the_volume_of_the_spheres():
    steps = np.arange(-5, 6)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) * 2.0
    points_um = lattice + np.random.default_rng(0).uniform(-0.4, 0.4, lattice.shape)
    cube = sample.rasterise(points_um, size=60, side_um=30.0, radius_um=0.5, oversample=4)
    volume_um3 = cube.sum() * (0.5 / 4) ** 3
    # 1331 spheres of 268 sub-voxels each: the error of the sum is well below a percent.
    assert volume_um3 == pytest.approx(len(points_um) * 4 / 3 * np.pi * 0.5**3, rel=0.01)


def test_a_sphere_smaller_than_a_sub_voxel_still_counts():
    cube = sample.rasterise(np.array([[1.1, -2.3, 3.2]]), **CUBE | {"radius_um": 1e-6})
    assert cube.sum() == 1
    k, j, i = np.argwhere(cube)[0]
    edge = CUBE["side_um"] / CUBE["size"]
    np.testing.assert_allclose((np.array([i, j, k]) + 0.5) * edge - 4, [1.1, -2.3, 3.2], atol=edge / 2)


def test_a_full_voxel_saturates():
    cube = sample.rasterise(np.zeros((1, 3)), size=5, side_um=5.0, radius_um=1.5, oversample=7)
    assert cube.dtype == np.uint8
    assert cube[2, 2, 2] == 255  # of 343 sub-voxels


def test_upsampling_repeats_whole_jittered_copies():
    points_um = cloud(16)
    up = sample.upsample(points_um, **POINTS, rng=np.random.default_rng(0))
    assert up.shape == (64, 3)
    assert up.dtype == np.float32
    jitter = up.reshape(4, 16, 3) - points_um
    assert np.abs(jitter).max() <= POINTS["jitter_clip_um"] + 1e-6
    # Normal numbers clipped at two standard deviations have 0.96 of the spread; 192 of them, so +- 5 %.
    assert jitter.std() == pytest.approx(0.96 * POINTS["jitter_um"], rel=0.2)
    assert len(np.unique(jitter[:, 0, 0])) == 4


def test_without_jitter_copies_are_exact_and_the_rest_is_a_subset():
    points_um = cloud(30)
    up = sample.upsample(points_um, n_points=64, jitter_um=0, jitter_clip_um=0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(up[:60], np.tile(points_um, (2, 1)).astype(np.float32))
    rest = {tuple(point) for point in up[60:]}
    assert len(rest) == 4
    assert rest < {tuple(point) for point in points_um.astype(np.float32)}


def test_a_cloud_that_is_too_large_is_thinned():
    points_um = cloud(100)
    up = sample.upsample(points_um, n_points=64, jitter_um=0, jitter_clip_um=0, rng=np.random.default_rng(0))
    assert len({tuple(point) for point in up}) == 64


def test_arrays_hold_the_cells_that_succeeded(tmp_path):
    clouds = [cloud(16, seed=1), cloud(16, reach=5), cloud(32, seed=2)]
    clouds[1][0, 2] = 4.5
    cells, points_um, cubes = run(write_shard(tmp_path / "in", clouds), tmp_path / "out")
    assert cells["index"].tolist() == [0, -1, 1, -1]
    assert points_um.shape == (2, 64, 3)
    assert cubes.shape == (2, 16, 16, 16)
    np.testing.assert_array_equal(cubes[1], sample.rasterise(clouds[2].astype(np.float32), **CUBE))
    rng = seeds.generator(1, "cellpack", "sample", "c_2")
    np.testing.assert_array_equal(
        points_um[1], sample.upsample(clouds[2].astype(np.float32), **POINTS, rng=rng)
    )


def test_a_cell_that_leaves_the_cube_fails_with_the_remedy(tmp_path):
    cells, *_ = run(write_shard(tmp_path / "in", [np.array([[0, 0, 3.95]])]), tmp_path / "out")
    assert "beyond sample.cube.side_um = 8. Raise sample.cube.side_um above 8.1" in cells.loc["c_0", "error"]
    assert cells.loc["old", "error"] == "no file"


def test_an_empty_shard_has_empty_arrays(tmp_path):
    shard = write_shard(tmp_path / "in", [])
    files.write_table(files.read_cells(shard).iloc[:0], shard / files.CELL_TABLE)
    cells, points_um, cubes = run(shard, tmp_path / "out", max_failed_fraction=0.0)
    assert points_um.shape == (0, 64, 3)
    assert cubes.shape == (0, 16, 16, 16)
    assert cells["index"].dtype == np.int64


def test_too_many_failures_stop_the_stage_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="sample: 1 of 2 cells failed"):
        run(write_shard(tmp_path / "in", [cloud()]), tmp_path / "out", max_failed_fraction=0.1)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    made = {"a": ellipsoid([3, 2.5, 1.5]), "b": ellipsoid([2, 3, 1.8]), "c": ellipsoid([2.5, 2.5, 2])}
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes", made)


def whole_run(shapes, folder, n_shards):
    config = dataset(shapes)
    for shard in range(n_shards):
        stages = [folder / f"{name}-{shard}" for name in ("download", "align", "mask", "sample")]
        download.run(stages[0], dataset=config, shard=shard, n_shards=n_shards, seed=7, max_failed_fraction=0)
        align.run(stages[0], stages[1], dataset=config, max_failed_fraction=0)
        mask.run(stages[1], stages[2], min_points=32, tolerance_um=0.0, max_failed_fraction=0)
        run(stages[2], stages[3], seed=7, max_failed_fraction=0)
    shards = {shard: folder / f"sample-{shard}" for shard in range(n_shards)}
    manifest.run(shards, folder / "manifest.parquet", split=SPLIT, seed=7, dataset_name="cellpack")
    cells = files.read_table(folder / "manifest.parquet")
    arrays = {
        row.CellId: tuple(
            np.array(files.read_array(shards[row.shard], name)[row.index_]) for name in ("points_um", "cube")
        )
        for row in cells.rename(columns={"index": "index_"}).itertuples()
    }
    return cells, arrays


def test_any_number_of_shards_gives_the_same_cells(shapes, tmp_path):
    one, arrays = whole_run(shapes, tmp_path / "1", 1)
    assert list(one["CellId"]) == [f"{shape}_{rule}" for shape in "abc" for rule in range(6)]
    assert one["success"].all()
    assert len({points.tobytes() for points, _ in arrays.values()}) == 18
    for n_shards in (7, 64):
        cells, others = whole_run(shapes, tmp_path / str(n_shards), n_shards)
        assert cells["shard"].nunique() > 1
        varying = ["seconds", "shard", "first", "index"]
        pd.testing.assert_frame_equal(cells.drop(columns=varying), one.drop(columns=varying))
        assert others.keys() == arrays.keys()
        for cell, (points_um, cube) in others.items():
            np.testing.assert_array_equal(points_um, arrays[cell][0])
            np.testing.assert_array_equal(cube, arrays[cell][1])


@given(st.integers(3, 400), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_splits_are_disjoint_complete_and_independent_of_order(n, seed):
    groups = [f"g{i}" for i in range(n)]
    splits = manifest.split_groups(groups, SPLIT, np.random.default_rng(seed))
    again = manifest.split_groups(2 * groups[::-1], SPLIT, np.random.default_rng(seed))
    assert splits == again
    assert set(splits) == set(groups)
    counts = [list(splits.values()).count(split) for split in SPLIT]
    for count, share in zip(counts, SPLIT.values(), strict=True):
        assert abs(count - share * n) < 1


def test_splits_have_the_published_sizes():
    splits = manifest.split_groups(map(str, range(254)), SPLIT, np.random.default_rng(0))
    assert [list(splits.values()).count(split) for split in SPLIT] == [177, 38, 39]
    tens = manifest.split_groups(map(str, range(20)), SPLIT, np.random.default_rng(0))
    assert [list(tens.values()).count(split) for split in SPLIT] == [14, 3, 3]
    # 0.57 * 100 is a bit less than 57 in binary.
    odd = {"train": 0.57, "val": 0.01, "test": 0.42}
    hundred = manifest.split_groups(map(str, range(100)), odd, np.random.default_rng(0))
    assert [list(hundred.values()).count(split) for split in odd] == [57, 1, 42]


def test_splits_differ_with_the_seed():
    draws = [manifest.split_groups(map(str, range(30)), SPLIT, np.random.default_rng(s)) for s in range(20)]
    test_sets = {tuple(sorted(g for g, split in draw.items() if split == "test")) for draw in draws}
    assert len(test_sets) > 15


def test_the_manifest_lists_failed_cells_and_keeps_groups_together(tmp_path):
    names = [f"{group}_{rule}" for group in "zyxwvutsr" for rule in range(2)]
    run(write_shard(tmp_path / "in", [cloud()] * len(names), names), tmp_path / "out")
    manifest.run({3: tmp_path / "out"}, tmp_path / "m.parquet", split=SPLIT, seed=1, dataset_name="d")
    cells = files.read_table(tmp_path / "m.parquet")
    assert list(cells["CellId"]) == sorted([*names, "old"])
    assert (cells["shard"] == 3).all()
    assert (cells.groupby("group")["split"].nunique() == 1).all()
    assert cells.set_index("CellId").loc["old", "split"] in SPLIT
    assert not cells.set_index("CellId").loc["old", "success"]


def test_a_repeated_cell_is_refused(tmp_path):
    for shard in "ab":
        run(write_shard(tmp_path / f"in{shard}", [cloud()]), tmp_path / shard)
    with pytest.raises(InputError, match="CellId c_0, old occurs more than once"):
        manifest.run(
            {0: tmp_path / "a", 1: tmp_path / "b"},
            tmp_path / "m.parquet",
            split=SPLIT,
            seed=1,
            dataset_name="d",
        )
