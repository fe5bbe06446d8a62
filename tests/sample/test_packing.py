from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fabricate.masked import write_clouds
from fabricate.packings import ellipsoid, packing_dataset, write_shapes

from morphobench import files, seeds
from morphobench.align import packing as align
from morphobench.download import packing as download
from morphobench.errors import InputError
from morphobench.geometry.packing import rasterise, upsample
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
    names = names or [f"c_{i}" for i in range(len(clouds))]
    return write_clouds(folder, dict(zip(names, clouds, strict=True)))


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


def test_arrays_hold_the_cells_that_succeeded(tmp_path):
    clouds = [cloud(16, seed=1), cloud(16, reach=5), cloud(32, seed=2)]
    clouds[1][0, 2] = 4.5
    cells, points_um, cubes = run(write_shard(tmp_path / "in", clouds), tmp_path / "out")
    assert cells["index"].tolist() == [0, -1, 1, -1]
    assert points_um.shape == (2, 64, 3)
    assert cubes.shape == (2, 16, 16, 16)
    np.testing.assert_array_equal(cubes[1], rasterise(clouds[2].astype(np.float32), **CUBE))
    rng = seeds.generator(1, "cellpack", "sample", "c_2")
    np.testing.assert_array_equal(points_um[1], upsample(clouds[2].astype(np.float32), **POINTS, rng=rng))


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
    config = packing_dataset(shapes)
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
    for n_shards in (7, 16):
        cells, others = whole_run(shapes, tmp_path / str(n_shards), n_shards)
        assert cells["shard"].nunique() > 1
        varying = ["seconds", "shard", "first", "index"]
        pd.testing.assert_frame_equal(cells.drop(columns=varying), one.drop(columns=varying))
        assert others.keys() == arrays.keys()
        for cell, (points_um, cube) in others.items():
            np.testing.assert_array_equal(points_um, arrays[cell][0])
            np.testing.assert_array_equal(cube, arrays[cell][1])
