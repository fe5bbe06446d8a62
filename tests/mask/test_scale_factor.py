from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphobench import files
from morphobench.errors import InputError
from morphobench.mask import scale_factor

VOXEL_UM = 0.1
EXTENTS_UM = {"1": (2.0, 3.0, 4.0), "2": (8.0, 5.0, 1.0), "3": (0.1, 0.1, 0.1)}


def write_shard(folder, extents=EXTENTS_UM):
    folder.mkdir(parents=True)
    rows = [
        {"CellId": name, "success": True, "error": "", "spacing_um": VOXEL_UM}
        | dict(zip(("extent_x_um", "extent_y_um", "extent_z_um"), sides, strict=True))
        for name, sides in extents.items()
    ]
    failed = {"CellId": "0", "success": False, "error": "no file", "spacing_um": np.nan}
    files.write_table(pd.DataFrame([*rows, failed]), folder / files.CELL_TABLE)
    return folder


def run(tmp_path, shards=None, mode="per_cell", resolution=32, **settings):
    shards = shards or [write_shard(tmp_path / "in")]
    scale_factor.run(shards, tmp_path / "scale_factor.parquet", mode=mode, resolution=resolution, **settings)
    table = files.read_table(tmp_path / "scale_factor.parquet")
    assert list(table) == ["CellId", "scale_factor", "max_extent_um"]
    return table.set_index("CellId")


def test_each_cell_fills_the_grid_up_to_the_margin(tmp_path):
    table = run(tmp_path, margin_voxel=3)
    assert list(table.index) == ["0", "1", "2", "3"]
    np.testing.assert_allclose(table["max_extent_um"], [np.nan, 4, 8, 0.1])
    np.testing.assert_allclose(table["scale_factor"] * table["max_extent_um"], [np.nan, 26, 26, 26])


def test_one_factor_for_all_lets_the_largest_cell_fit(tmp_path):
    np.testing.assert_allclose(run(tmp_path, mode="global")["scale_factor"], [np.nan, 3.5, 3.5, 3.5])


@pytest.mark.parametrize(("resolution", "slack"), [(32, 21), (64, 42)])
@pytest.mark.parametrize("mode", ["per_cell", "global"])
def test_reference_has_the_published_slack_in_source_voxels(tmp_path, resolution, slack, mode):
    table = run(tmp_path, mode=mode, resolution=resolution, reference=True)
    in_voxels = table["max_extent_um"].to_numpy()[1:] / VOXEL_UM
    expected = resolution / (in_voxels + 2 * slack) / VOXEL_UM
    np.testing.assert_allclose(table["scale_factor"][1:], expected if mode == "per_cell" else expected.min())
    share = (table["scale_factor"] * table["max_extent_um"] / resolution)["1"]
    if mode == "per_cell":
        assert share == pytest.approx({32: 0.49, 64: 0.32}[resolution], abs=0.005)


@pytest.mark.parametrize("mode", ["per_cell", "global"])
def test_the_factors_do_not_depend_on_the_shards(tmp_path, mode):
    apart = [write_shard(tmp_path / name, {name: sides}) for name, sides in EXTENTS_UM.items()]
    many = run(tmp_path, apart[::-1], mode=mode)
    one = run(tmp_path, mode=mode)
    pd.testing.assert_frame_equal(many[~many.index.duplicated()], one)


def published(keys, values):
    return np.array(keys, dtype=object), np.array(values, dtype=object)


def save(path, keys, values):
    np.savez(path, keys=keys, values=values)
    return path


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        published([1, 3], [0.5, 0.25]),
        published([np.int64(1), np.int32(3)], [np.float64(0.5), np.float32(0.25)]),
        published(["1", "3"], [0.5, 0.25]),
        (np.array([1, 3]), np.array([0.5, 0.25])),
        (np.array(["1", "3"]), np.array([0.5, 0.25], np.float32)),
        (np.array([1.0, 3.0]), np.array([0.5, 0.25])),
    ],
    ids=["pickled", "pickled numpy", "pickled text", "numbers", "text", "floats"],
)
def test_a_file_of_factors_holds_and_a_cell_that_it_lacks_has_none(tmp_path, keys, values):
    path = save(tmp_path / "factors.npz", keys, values)
    table = run(tmp_path, mode="file", file=path)
    np.testing.assert_allclose(table["scale_factor"], [np.nan, 5.0, np.nan, 2.5])
    np.testing.assert_allclose(table["max_extent_um"], [np.nan, 4, 8, 0.1])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"mode": "file"}, "set both"),
        ({"mode": "global", "file": "x.npz"}, "or neither"),
        ({"margin_voxel": 16}, "leaves nothing"),
        ({"margin_voxel": -1}, "0 or more"),
    ],
)
def test_settings_that_contradict_stop_the_stage(tmp_path, settings, reason):
    with pytest.raises(InputError, match=reason):
        run(tmp_path, **settings)


def test_without_cells_there_is_no_scale(tmp_path):
    shard = write_shard(tmp_path / "in", {"1": (1, 1, 1)})
    table = files.read_cells(shard).assign(success=False, error="touches the border")
    files.write_table(table, shard / files.CELL_TABLE)
    with pytest.raises(InputError, match="no cell of 2 passed stage mask: 2 x 'touches the border'"):
        run(tmp_path, [shard])
