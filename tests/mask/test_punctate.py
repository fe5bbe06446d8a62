from __future__ import annotations

import numpy as np
import pytest
from fabricate.cells import make_cell
from fabricate.masked import write_aligned
from scipy import ndimage

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import volumes
from morphobench.files.layout import VOXELS
from morphobench.geometry import region
from morphobench.mask import punctate as mask


def run(shard_in, out, max_failed_fraction=1.0, **changes):
    settings = {
        "role": "nucleus_mask",
        "dilation_voxel": 2,
        "min_voxels": 5,
        "max_failed_fraction": max_failed_fraction,
    }
    mask.run(shard_in, out, **settings | changes)
    return files.read_cells(out).set_index("CellId")


def stored(shard, row):
    return tuple(volumes.select(files.read_array(shard, name), row, VOXELS) for name in ("structure", "mask"))


def test_volumes_are_cropped_to_the_dilated_mask_with_its_last_planes(tmp_path):
    structure, core = make_cell()
    shard = write_aligned(tmp_path / "in", {"a": (structure, core)})
    row = run(shard, tmp_path / "out").loc["a"]
    found, labels = stored(tmp_path / "out", row)
    dilated = ndimage.distance_transform_edt(core == 0) <= 2
    held = region.bounds(dilated)
    np.testing.assert_array_equal(labels, (dilated.astype(int) + core)[held])
    np.testing.assert_array_equal(found, structure[held])
    assert all(labels.take(end, axis).any() for axis in range(3) for end in (0, -1))
    assert (row["n_voxels"], row["n_dilated"]) == (core.sum(), dilated.sum())
    assert row[["box_z", "box_y", "box_x"]].tolist() == list(found.shape)
    centre = [row[f"center_{axis}_voxel"] for axis in "zyx"]
    np.testing.assert_allclose(centre, np.argwhere(labels == 2).mean(0))
    assert np.isnan([row["clip_low"], row["clip_high"]]).all()
    assert row["note"] == "kept"
    assert row["seconds"] > 0


def test_a_mask_at_the_border_keeps_its_planes_and_zeros_are_added(tmp_path):
    core = np.ones((3, 4, 5), np.uint8)
    structure = np.arange(100, 160, dtype=np.float32).reshape(core.shape)
    row = run(write_aligned(tmp_path / "in", {"a": (structure, core)}), tmp_path / "out").loc["a"]
    found, labels = stored(tmp_path / "out", row)
    assert found.shape == (7, 8, 9)
    np.testing.assert_array_equal(found, np.pad(structure, 2))
    np.testing.assert_array_equal(labels == 2, np.pad(core, 2) == 1)


def test_without_dilation_there_is_no_rim(tmp_path):
    row = run(write_aligned(tmp_path / "in", {"a": make_cell()}), tmp_path / "out", dilation_voxel=0).loc["a"]
    assert set(np.unique(stored(tmp_path / "out", row)[1])) == {0, 2}


def test_reference_reaches_four_voxels_back_and_three_ahead(tmp_path):
    structure, core = make_cell((20, 26, 30), (3, 5, 7))
    shard = write_aligned(tmp_path / "in", {"a": (structure, core)})
    row = run(shard, tmp_path / "out", dilation_voxel=4, reference=True).loc["a"]
    extents = [span.stop - span.start for span in region.bounds(core)]
    assert row[["box_z", "box_y", "box_x"]].tolist() == [n + 7 for n in extents]
    labels = stored(tmp_path / "out", row)[1]
    assert [span.start for span in region.bounds(labels == 2)] == [4, 4, 4]


def broken(name):
    structure, core = make_cell()
    if name == "empty":
        core = np.zeros_like(core)
    elif name == "few":
        core = np.zeros_like(core)
        core[4, 5, 6:9] = 1
    elif name == "nan":
        structure[7, 10, 12] = np.nan
    elif name == "flat":
        structure[core == 1] = 7
    return structure, core


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "the mask (nucleus_mask) is empty"),
        ("few", "the mask (nucleus_mask) has 3 voxels, fewer than mask.min_voxels = 5"),
        ("nan", "1 of 3840 voxels around the mask are not finite"),
        ("flat", "voxels of the mask hold 7 counts: zero variance"),
    ],
)
def test_each_bad_cell_is_kept_with_its_reason(tmp_path, name, words):
    shard = write_aligned(tmp_path / "in", {"a": make_cell(), "bad": broken(name), "z": make_cell(seed=1)})
    cells = run(shard, tmp_path / "out")
    assert words in cells.loc["bad", "error"]
    assert cells["success"].tolist() == [True, False, True, False]
    assert cells.loc["bad", "excluded"] == (name in ("few", "flat"))
    assert cells.loc["old", "error"] == "no file"
    assert cells.loc["bad", ["size_z", "box_z", "n_voxels"]].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(
        stored(tmp_path / "out", cells.loc["z"])[0],
        mask.cut(*make_cell(seed=1), dilation_voxel=2, reference=False)[0],
    )


def test_the_range_comes_from_the_mask_or_from_the_table(tmp_path):
    structure, core = make_cell()
    structure[core == 0] = 1e5
    shard = write_aligned(tmp_path / "in", {"a": (structure, core)})
    found = run(shard, tmp_path / "q", clip="quantile", quantile=0.9).loc["a", ["clip_low", "clip_high"]]
    np.testing.assert_allclose(found.tolist(), np.quantile(structure[core == 1], [0.1, 0.9]), rtol=1e-6)
    clips = {"SON": [420, 1500], "RAB5A": [420, 600]}
    cells = run(shard, tmp_path / "s", clip="structure", structure_clips=clips)
    assert cells.loc["a", ["clip_low", "clip_high"]].tolist() == [420, 1500]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clip": "structure", "structure_clips": {"RAB5A": [1, 2]}}, "'SON' is not in mask.structure_clips"),
        ({"clip": "structure", "structure_clips": {"SON": [5, 5]}}, "range 5 to 5 counts"),
        ({"clip": "quantile", "quantile": 0.5}, "mask.clip = quantile) is empty"),
    ],
)
def test_a_range_that_cannot_be_fails_the_cell(tmp_path, changes, words):
    cells = run(write_aligned(tmp_path / "in", {"a": make_cell()}), tmp_path / "out", **changes)
    assert words in cells.loc["a", "error"]


def test_the_published_dilation_is_a_whole_number_of_voxels(tmp_path):
    shard = write_aligned(tmp_path / "in", {"a": make_cell()})
    with pytest.raises(InputError, match="mask.dilation_voxel is 2.5"):
        run(shard, tmp_path / "out", dilation_voxel=2.5, reference=True)
    assert not (tmp_path / "out").exists()


def test_too_many_failures_stop_the_stage_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="mask: 2 of 3 cells failed"):
        run(write_aligned(tmp_path / "in", {"a": make_cell(), "b": broken("empty")}), tmp_path / "out", 0.5)
    assert not (tmp_path / "out").exists()


def test_a_shard_of_failed_cells_passes(tmp_path):
    assert run(write_aligned(tmp_path / "in", {}), tmp_path / "out").index.tolist() == ["old"]
