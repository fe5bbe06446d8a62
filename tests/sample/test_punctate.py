from __future__ import annotations

import numpy as np
import pytest
from fabricate.cells import VOXEL_UM, ellipsoid_mask, make_cell, spots, write_cells
from fabricate.masked import write_aligned

from morphobench import files, seeds
from morphobench.align import punctate as align
from morphobench.download import punctate as download
from morphobench.errors import InputError
from morphobench.files import volumes
from morphobench.files.layout import VOXELS
from morphobench.geometry import region
from morphobench.mask import box
from morphobench.mask import punctate as mask
from morphobench.sample import manifest
from morphobench.sample import punctate as sample
from morphobench.sample.cube import to_cube
from morphobench.sample.points import sample_points

POINTS = {"n_points": 64, "jitter_voxel": 0.001}
CUBE = {"size": 16, "side_um": 3.0}
SPLIT = {"train": 0.5, "val": 0.25, "test": 0.25}

ALIGN = {
    "mask": "nucleus_mask",
    "unique": False,
    "margin_voxel": 3,
    "enabled": True,
    "interpolation": "linear",
    "least_elongation": 1.05,
    "stray_share": 0.05,
    "saturated_share": 0.01,
}


def masked(seed=0, **shape):
    structure, core = make_cell(seed=seed, **shape)
    return mask.cut(structure, core, dilation_voxel=2, reference=False)


def write_masked(folder, cells, **changes):
    """A shard of stage mask, by way of the stage itself."""
    shard_in = write_aligned(folder / "align", cells)
    settings = {"role": "nucleus_mask", "dilation_voxel": 2, "max_failed_fraction": 1.0}
    mask.run(shard_in, folder / "mask", **settings | changes)
    return folder / "mask"


def run(shard_in, out, *, quantile=1.0, policy="drop", max_failed_fraction=1.0, **changes):
    box.run([shard_in], shard_in.parent / "box.json", quantile=quantile, policy=policy)
    arguments = {
        "dataset_name": "foci",
        "box": shard_in.parent / "box.json",
        "variant": "pcna",
        "points": POINTS,
        "cube": CUBE,
        "seed": 7,
        "max_failed_fraction": max_failed_fraction,
    }
    sample.run(shard_in, out, **arguments | changes)
    arrays = {name: files.read_array(out, name) for name in ("points_um", "intensity", "cube")}
    return files.read_cells(out).set_index("CellId"), arrays


def test_reference_depends_on_the_box_and_corrected_does_not(tmp_path):
    shard = write_masked(tmp_path, {"a": make_cell(), "big": make_cell((20, 30, 40), (8, 12, 18))})
    small = write_masked(tmp_path / "small", {"a": make_cell()})
    for mode, same in (("corrected", True), ("reference", False)):
        clouds = []
        for number, folder in enumerate((shard, small)):
            cells, arrays = run(folder, tmp_path / f"{mode}{number}", mode=mode)
            clouds.append(arrays["points_um"][cells.loc["a", "index"]])
        assert np.array_equal(*clouds) == same


def test_arrays_hold_the_cells_that_succeeded(tmp_path):
    tiny = make_cell((14, 20, 24), (1, 1, 1))
    shard = write_masked(tmp_path, {"a": make_cell(), "tiny": tiny, "c": make_cell(seed=2)})
    cells, arrays = run(shard, tmp_path / "out", points=POINTS | {"n_points": 200})
    assert cells["index"].tolist() == [0, -1, 1, -1]
    assert "fewer than sample.points.n_points = 200" in cells.loc["tiny", "error"]
    assert cells.loc["old", "error"] == "no file"
    assert cells["seed"].tolist()[1::2] == [-1, -1]
    assert cells.loc["a", "seconds"] > 0
    assert cells["note"].tolist() == ["kept"] * 4
    assert arrays["points_um"].shape == (2, 200, 3)
    assert arrays["intensity"].shape == (2, 200)
    assert arrays["cube"].shape == (2, 16, 16, 16)
    assert [array.dtype for array in arrays.values()] == [np.float32, np.float32, np.uint16]
    row = files.read_cells(shard).set_index("CellId").loc["c"]
    structure, labels = (
        volumes.select(files.read_array(shard, n), row, VOXELS) for n in ("structure", "mask")
    )
    rng = np.random.default_rng(cells.loc["c", "seed"])
    expected = sample_points(structure, labels, n_points=200, variant="pcna", rng=rng)
    np.testing.assert_allclose(arrays["points_um"][1], expected[:, 2::-1] * VOXEL_UM, atol=1e-6)
    np.testing.assert_array_equal(arrays["intensity"][1], expected[:, 3])


def test_the_last_axis_is_x_y_z(tmp_path):
    cells, arrays = run(write_masked(tmp_path, {"a": make_cell()}), tmp_path / "out")
    points_um = arrays["points_um"][cells.loc["a", "index"]]
    reach = np.abs(points_um).max(0)
    assert reach[0] > reach[1] > reach[2]
    assert (reach < (np.array([8, 6, 4]) + 2.5) * VOXEL_UM).all()


@pytest.mark.parametrize("policy", ["drop", "crop"])
def test_cells_beyond_the_box_are_left_out_or_cut(tmp_path, policy):
    cells = {name: make_cell(seed=seed) for seed, name in enumerate("abc")}
    shard = write_masked(tmp_path, cells | {"big": make_cell((20, 30, 40), (4, 12, 18))})
    cube = {"size": 16, "side_um": 5.0}
    table, arrays = run(shard, tmp_path / "out", quantile=0.5, policy=policy, cube=cube)
    assert table.loc["big", ["fits_z", "fits_y", "fits_x"]].tolist() == [True, False, False]
    assert table.loc["a", ["fits_z", "fits_y", "fits_x"]].all()
    assert len(table) == 5
    if policy == "drop":
        assert table["index"].tolist() == [0, 1, 2, -1, -1]
        assert not table.loc["big", "success"]
        assert table["excluded"].tolist() == [False, False, False, True, False]
        assert (
            "does not fit the common box: y 28 of 16 voxels; x 40 of 20 voxels" in table.loc["big", "error"]
        )
        return
    assert table["index"].tolist() == [0, 1, 2, 3, -1]
    assert not table["excluded"].any()
    reach = np.abs(arrays["points_um"][3]).max(0)
    assert (reach <= np.array([20, 16, 12]) / 2 * VOXEL_UM).all()
    assert reach[0] > 7 * VOXEL_UM


def test_the_sampler_may_depend_on_the_structure(tmp_path):
    shard = write_masked(tmp_path, {"a": make_cell()})
    by_name, one_name = ({"SON": "cytoplasmic"}, "cytoplasmic")
    clouds = [
        run(shard, tmp_path / str(n), variant=variant)[1]["points_um"]
        for n, variant in enumerate((by_name, one_name))
    ]
    np.testing.assert_array_equal(*clouds)
    cells, _ = run(shard, tmp_path / "none", variant={"RAB5A": "nuclear"})
    assert "structure_name 'SON' is not in sample.variant (RAB5A)" in cells.loc["a", "error"]


def test_the_range_of_stage_mask_scales_the_cube(tmp_path):
    shard = write_masked(tmp_path, {"a": make_cell()}, clip="structure", structure_clips={"SON": [300, 2000]})
    _, arrays = run(shard, tmp_path / "out")
    structure, labels = masked()
    center_zyx = region.centre_of_mass(labels == 2)
    expected = to_cube(
        structure, labels, center_zyx=center_zyx, spacing_um=VOXEL_UM, **CUBE, clip=(300, 2000)
    )
    np.testing.assert_array_equal(arrays["cube"][0], expected)


def test_a_cell_without_room_in_the_cube_fails_with_the_remedy(tmp_path):
    shard = write_masked(tmp_path, {"a": make_cell()})
    cells, arrays = run(shard, tmp_path / "out", cube={"size": 8, "side_um": 1.0})
    assert "sample.cube.side_um = 1. Raise it to at least 2.1" in cells.loc["a", "error"]
    assert [len(array) for array in arrays.values()] == [0, 0, 0]
    cells, _ = run(shard, tmp_path / "cut", cube={"size": 8, "side_um": 1.0, "crop": True})
    assert cells.loc["a", "success"]


def test_too_many_failures_stop_the_stage_and_leave_nothing(tmp_path):
    shard = write_masked(tmp_path, {"a": make_cell()})
    with pytest.raises(InputError, match="sample: 1 of 2 cells failed"):
        run(shard, tmp_path / "out", max_failed_fraction=0.1)
    assert not (tmp_path / "out").exists()


def whole_run(made, folder, n_shards):
    shards = [
        {name: one for name, one in made.items() if seeds.shard_of(name, n_shards) == shard}
        for shard in range(n_shards)
    ]
    found = [write_masked(folder / str(number), cells) for number, cells in enumerate(shards)]
    box.run(found, folder / "box.json", quantile=0.7, policy="crop")
    arguments = {"box": folder / "box.json", "variant": "pcna", "points": POINTS, "cube": CUBE, "seed": 7}
    for number, shard in enumerate(found):
        table = files.read_cells(shard)
        files.write_table(table[table["CellId"] != "old"], shard / files.CELL_TABLE)
        sample.run(shard, folder / f"out{number}", dataset_name="foci", **arguments, max_failed_fraction=0)
    outs = {number: folder / f"out{number}" for number in range(n_shards)}
    manifest.run(outs, folder / "manifest.parquet", split=SPLIT, seed=7, dataset_name="foci")
    cells = files.read_table(folder / "manifest.parquet")
    return cells, {
        row["CellId"]: tuple(
            np.array(files.read_array(outs[row["shard"]], name)[row["index"]])
            for name in ("points_um", "intensity", "cube")
        )
        for row in cells.to_dict("records")
    }


def test_any_number_of_shards_gives_the_same_cells(tmp_path):
    made = {f"c{n}": make_cell((14, 20, 24), (3 + n % 2, 5 + n % 3, 8), seed=n) for n in range(9)}
    one, arrays = whole_run(made, tmp_path / "1", 1)
    assert list(one["CellId"]) == sorted(made)
    assert len({cloud.tobytes() for cloud, *_ in arrays.values()}) == 9
    for n_shards in (7, 16):
        cells, others = whole_run(made, tmp_path / str(n_shards), n_shards)
        assert cells["shard"].nunique() > 1
        assert list(cells["CellId"]) == sorted(made)
        for name, found in others.items():
            for ours, theirs in zip(found, arrays[name], strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_from_crops_to_points_the_long_axis_comes_to_lie_along_x(tmp_path):
    core = ellipsoid_mask((14, 70, 70), (4, 12, 28), 50)
    far = np.zeros_like(core)
    cells = {
        "a": (spots(core, np.random.default_rng(0)), core),
        "none": (spots(core, np.random.default_rng(1)), far),
    }
    source = {"cells": str(write_cells(tmp_path / "raw", cells))}
    config = {
        "name": "tiny",
        "source": source,
        "channels": {"structure": "structure", "nucleus_mask": "dna_segmentation"},
        "align": ALIGN,
        "mask": {"role": "nucleus_mask"},
        "voxel_um": VOXEL_UM,
    }
    stages = [tmp_path / name for name in ("download", "align", "mask", "sample")]
    download.run(stages[0], dataset=config, shard=0, n_shards=1, seed=1, max_failed_fraction=1.0)
    align.run(stages[0], stages[1], dataset=config, max_failed_fraction=1.0)
    mask.run(stages[1], stages[2], **config["mask"], dilation_voxel=2, max_failed_fraction=1.0)
    cells, arrays = run(stages[2], stages[3], cube={"size": 16, "side_um": 8.0})
    assert cells["success"].to_dict() == {"a": True, "none": False}
    reach = np.abs(arrays["points_um"][0]).max(0)
    semi_axes_um = (np.array([28, 12, 4]) + 2) * VOXEL_UM
    assert (reach < semi_axes_um + 0.15).all()
    extents_um = cells.loc["a", ["box_x", "box_y", "box_z"]].astype(float) * VOXEL_UM
    np.testing.assert_allclose(extents_um, 2 * semi_axes_um, atol=0.25)
    assert (arrays["intensity"][0] > 700).any()
