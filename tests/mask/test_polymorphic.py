from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import trimesh
from fabricate.cells import VOXEL_UM, ellipsoid_mask
from fabricate.masked import write_aligned
from paths import SHARED

from morphobench import files
from morphobench.align import polymorphic as align
from morphobench.download import polymorphic as download
from morphobench.errors import InputError
from morphobench.files import images, layout, volumes
from morphobench.files.layout import VOXELS
from morphobench.files.shards import stage_module
from morphobench.geometry import meshes
from morphobench.mask import pieces, scale_factor
from morphobench.mask import polymorphic as mask

FIELD = SHARED / "data/hipsc_tomm20_fov"
TOMM20_UM = (0.29, 0.108333, 0.108333)
SHAPE = (14, 22, 30)


def two_balls():
    """A structure of two pieces in the middle of a cell that fills its crop but for a margin of 1."""
    structure = np.zeros(SHAPE, np.float32)
    structure[3:11, 3:11, 3:11] = ellipsoid_mask((8, 8, 8), (4, 4, 4))
    structure[3:9, 10:18, 16:26] = ellipsoid_mask((6, 8, 10), (3, 4, 5))
    core = np.zeros(SHAPE, np.uint8)
    core[1:-1, 1:-1, 1:-1] = 1
    return structure, core


def run(shard_in, out, max_failed_fraction=1.0, **changes):
    settings = {"role": "cell_mask", "max_failed_fraction": max_failed_fraction}
    mask.run(shard_in, out, **settings | changes)
    return files.read_cells(out).set_index("CellId")


def one(tmp_path, structure, core=None, **changes):
    core = two_balls()[1] if core is None else core
    shard = write_aligned(tmp_path / "in", {"a": (structure, core)})
    row = run(shard, tmp_path / "out", **changes).loc["a"]
    return row, volumes.select(files.read_array(tmp_path / "out", "segmentation"), row, VOXELS)


def test_a_structure_is_cropped_with_all_its_pieces_and_its_columns(tmp_path):
    structure, core = two_balls()
    row, stored = one(tmp_path, structure, core)
    assert row["success"]
    assert row["note"] == "kept"
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, structure[3:11, 3:18, 3:26])
    assert row[["start_z_voxel", "start_y_voxel", "start_x_voxel"]].tolist() == [3, 3, 3]
    assert row["n_voxels"] == structure.sum()
    assert not row["touches_border"]
    assert (row["n_pieces"], row["n_pieces_label"]) == (2, "2")
    for name, value in pieces.piece_features(stored > 0, VOXEL_UM).items():
        assert row[name] == value
    assert row["seconds"] > 0


def test_the_mesh_is_closed_outward_and_lies_in_the_frame_of_the_aligned_crop(tmp_path):
    structure, _ = two_balls()
    row, _ = one(tmp_path, structure)
    vertices_um, faces = layout.stored_mesh(tmp_path / "out", row)
    assert (vertices_um.dtype, faces.dtype) == (np.float32, np.int32)
    mesh = trimesh.Trimesh(vertices_um, faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert len(mesh.split()) == 2
    assert mesh.volume == pytest.approx(row["volume_um3"], rel=1e-4)
    assert mesh.area == pytest.approx(row["area_um2"], rel=1e-4)
    np.testing.assert_allclose(mesh.bounds, np.array([[3, 3, 3], [26, 18, 11]]) * VOXEL_UM, rtol=1e-4)
    np.testing.assert_allclose(row[["extent_x_um", "extent_y_um", "extent_z_um"]].tolist(), mesh.extents)
    centres_um = (np.argwhere(np.ones(SHAPE))[:, ::-1] + 0.5) * VOXEL_UM
    distance_um, _ = meshes.signed_distance(centres_um, vertices_um, faces)
    np.testing.assert_array_equal(distance_um < 0, structure.ravel() > 0)


@pytest.mark.parametrize("radius", [6, 12])
def test_a_ball_has_its_volume_and_area(tmp_path, radius):
    ball = ellipsoid_mask((2 * radius + 5,) * 3, (radius,) * 3).astype(np.float32)
    row, _ = one(tmp_path, ball, np.ones(ball.shape, np.uint8))
    assert row["volume_um3"] == pytest.approx(4 / 3 * np.pi * (radius * VOXEL_UM) ** 3, rel=0.04)
    area_um2 = 4 * np.pi * (radius * VOXEL_UM) ** 2
    assert row["area_um2"] == pytest.approx(1.08 * area_um2, rel=0.03)
    assert row["mean_surface_area_um2"] == pytest.approx(area_um2, rel=0.03)


def test_only_what_lies_in_the_cell_counts(tmp_path):
    structure, core = two_balls()
    core[..., 14:] = 0
    row, stored = one(tmp_path, structure, core)
    assert row["n_pieces"] == 1
    np.testing.assert_array_equal(stored, structure[3:11, 3:11, 3:11])


@pytest.mark.parametrize("factor", [1, 255])
def test_labels_of_any_value_are_foreground(tmp_path, factor):
    structure, _ = two_balls()
    expected = structure.copy()
    structure[..., 14:] *= 7
    _, stored = one(tmp_path, structure * factor)
    np.testing.assert_array_equal(stored, expected[3:11, 3:18, 3:26])


def test_shares_are_foreground_from_a_half(tmp_path):
    structure, _ = two_balls()
    rng = np.random.default_rng(0)
    shares = np.where(structure > 0, rng.uniform(0.5, 1, SHAPE), rng.uniform(0, 0.499, SHAPE))
    _, stored = one(tmp_path, shares.astype(np.float32), fill_holes="none")
    np.testing.assert_array_equal(stored, structure[3:11, 3:18, 3:26])


def hollow():
    structure, _ = two_balls()
    structure[6, 6, 6] = 0  # a cavity
    structure[:, 13:18, 3:8] = 1  # a tube along z, open at both ends
    structure[:, 15, 5] = 0
    return structure


@pytest.mark.parametrize(
    ("fill_holes", "cavity", "tube"),
    [("none", 0, [0] * 14), ("volume", 1, [0] * 14), ("slice2d", 1, [0] + [1] * 13)],
)
def test_holes_are_filled_as_asked(tmp_path, fill_holes, cavity, tube):
    _, stored = one(tmp_path, hollow(), np.ones(SHAPE, np.uint8), fill_holes=fill_holes)
    assert stored[6, 3, 3] == cavity
    assert stored[:, 12, 2].tolist() == tube


def test_the_first_slice_is_that_of_the_crop_not_of_the_structure(tmp_path):
    structure = hollow()
    structure[:2] = 0
    _, stored = one(tmp_path, structure, np.ones(SHAPE, np.uint8), fill_holes="slice2d")
    assert stored[:, 12, 2].all()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [0, -1])
def test_a_structure_at_the_border_is_kept_whole_and_said(tmp_path, axis, side):
    structure, _ = two_balls()
    np.moveaxis(structure, axis, 0)[side, 5:8, 5:8] = 1
    row, stored = one(tmp_path, structure, np.ones(SHAPE, np.uint8))
    assert row["touches_border"]
    assert stored.sum() == structure.sum()
    vertices_um, faces = layout.stored_mesh(tmp_path / "out", row)
    assert trimesh.Trimesh(vertices_um, faces, process=False).is_watertight
    reach = vertices_um[:, 2 - axis]
    border = 0 if side == 0 else SHAPE[axis] * VOXEL_UM
    assert (reach.min() if side == 0 else reach.max()) == pytest.approx(border, abs=1e-4)


def test_sheets_lines_and_single_voxels_enclose_a_volume(tmp_path):
    thin = {}
    for name, box in {"sheet": np.s_[5, 3:9, 3:9], "line": np.s_[5, 5, 3:9], "voxel": np.s_[5, 5, 5]}.items():
        structure = np.zeros(SHAPE, np.float32)
        structure[box] = 1
        thin[name] = structure, two_balls()[1]
    structure = np.zeros(SHAPE, np.float32)
    structure[2:-2:2, 2:-2:2, 2:-2:2] = 1
    thin["many"] = structure, two_balls()[1]
    cells = run(write_aligned(tmp_path / "in", thin), tmp_path / "out")
    assert cells.loc[list(thin), "success"].all()
    assert (cells.loc[list(thin), "volume_um3"] > 0).all()
    assert cells.loc[list(thin), "n_pieces"].tolist() == [1, 1, 1, structure.sum()]
    assert cells.loc["voxel", "volume_um3"] == pytest.approx(VOXEL_UM**3 / 6, rel=1e-3)


def broken(name):
    structure, core = two_balls()
    if name == "empty":
        structure[:] = 0
    elif name == "elsewhere":
        core[..., :27] = 0
    elif name == "few":
        structure[:] = 0
        structure[5, 5, 5:8] = 1
    elif name == "nan":
        structure[5, 5, 5] = np.nan
    elif name == "counts":
        structure = structure * 400.5 + 3
    return structure, core


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "the segmentation is empty inside the mask (cell_mask)"),
        ("elsewhere", "the segmentation is empty inside the mask (cell_mask)"),
        ("few", "has 3 voxels inside the mask (cell_mask), fewer than mask.min_voxels = 5"),
        ("nan", "1 voxels of the segmentation are not finite"),
        ("counts", "the segmentation runs from 3 to 403.5 in fractions"),
    ],
)
def test_each_bad_cell_is_kept_with_its_reason(tmp_path, name, words):
    shard = write_aligned(tmp_path / "in", {"a": two_balls(), "bad": broken(name), "z": two_balls()})
    cells = run(shard, tmp_path / "out", min_voxels=5)
    assert cells["success"].tolist() == [True, False, True, False]
    assert words in cells.loc["bad", "error"]
    assert cells.loc["old", "error"] == "no file"
    assert cells.loc["bad", ["n_voxels", "n_faces", "n_pieces", "n_pieces_label"]].tolist() == [0, 0, 0, ""]
    assert np.isnan(cells.loc["bad", "volume_um3"])
    first, last = (layout.stored_mesh(tmp_path / "out", cells.loc[name]) for name in "az")
    for ours, theirs in zip(first, last, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [len(array) for array in layout.stored_mesh(tmp_path / "out", cells.loc["bad"])] == [0, 0]


def test_too_many_failures_stop_the_stage_and_leave_nothing(tmp_path):
    shard = write_aligned(tmp_path / "in", {"a": two_balls(), "b": broken("empty")})
    with pytest.raises(InputError, match="mask: 2 of 3 cells failed"):
        run(shard, tmp_path / "out", 0.5)
    assert not (tmp_path / "out").exists()


def test_a_shard_of_failed_cells_passes(tmp_path):
    assert run(write_aligned(tmp_path / "in", {}), tmp_path / "out").index.tolist() == ["old"]
    shapes = [files.read_array(tmp_path / "out", name).shape for name in ("vertices_um", "faces")]
    assert shapes == [(0, 3), (0, 3)]


def test_the_cells_do_not_depend_on_the_number_of_shards(tmp_path):
    cells = {str(n): (np.roll(two_balls()[0], n, axis=2), two_balls()[1]) for n in range(5)}
    together = run(write_aligned(tmp_path / "in", cells), tmp_path / "out")
    places = ["first_voxel", "first_vertex", "first_face", "seconds"]
    for name, one in cells.items():
        alone = run(write_aligned(tmp_path / name / "in", {name: one}), tmp_path / name / "out")
        pd.testing.assert_frame_equal(
            alone.loc[[name]].drop(columns=places), together.loc[[name]].drop(columns=places)
        )
        for ours, theirs in zip(
            layout.stored_mesh(tmp_path / name / "out", alone.loc[name]),
            layout.stored_mesh(tmp_path / "out", together.loc[name]),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_the_stage_is_found_by_its_kind():
    assert stage_module("mask", "polymorphic") is mask


@pytest.mark.long
def test_mitochondria_of_a_field_of_view(tmp_path):
    if not FIELD.is_dir():
        pytest.skip("the field of view (../shared/data/hipsc_tomm20_fov) is not here")
    row = {"FOVId": "tomm20"}
    for column, name in (("image", "structure"), ("cell_segmentation", "cell")):
        row[column] = f"TOMM20_pipeline_example_{name}_segmentation.tiff"
        (tmp_path / row[column]).symlink_to(FIELD / row[column])
    pd.DataFrame([row]).to_csv(tmp_path / "fovs.csv", index=False)
    fov = {
        "channel_names": ["structure"],
        "label_channels": ["cell_segmentation"],
        "spacing_um_zyx": list(TOMM20_UM),
    }
    dataset = {
        "name": "tomm20",
        "kind": "polymorphic",
        "source": {"fovs": str(tmp_path / "fovs.csv"), "fov": fov},
        "channels": {"structure": "structure", "cell_mask": "cell_segmentation"},
        "align": {
            "mask": "cell_mask",
            "unique": False,
            "margin_voxel": 2,
            "enabled": False,
            "interpolation": "linear",
            "least_elongation": 1.05,
            "stray_share": 0.05,
            "saturated_share": 0.01,
        },
        "mask": {"role": "cell_mask"},
        "voxel_um": 0.2,
    }
    shards = {name: tmp_path / name for name in ("download", "align", "mask")}
    download.run(shards["download"], dataset=dataset, shard=0, n_shards=1, seed=1, max_failed_fraction=0)
    align.run(shards["download"], shards["align"], dataset=dataset, max_failed_fraction=0)
    cells = run(shards["align"], shards["mask"], max_failed_fraction=0).reset_index()
    assert len(cells) == cells["success"].sum() == 13
    assert (cells["n_pieces"] > 1).all()
    raw_um3 = np.array([raw_volume_um3(shards["download"], row) for row in cells.to_dict("records")])
    assert np.median(cells["n_voxels"] * 0.2**3 / raw_um3) == pytest.approx(1, abs=0.15)
    scale_factor.run([shards["mask"]], tmp_path / "scale_factor.parquet", mode="global", resolution=64)
    assert files.read_table(tmp_path / "scale_factor.parquet")["scale_factor"].nunique() == 1


def raw_volume_um3(shard, row):
    structure, spacing_um = images.read_channels(shard / row["crop_raw"], ["structure"])
    core, _ = images.read_channels(shard / row["crop_seg"], ["cell_segmentation"])
    inside = (structure["structure"] > 0) & (core["cell_segmentation"] > 0)
    return inside.sum() * np.prod(spacing_um)
