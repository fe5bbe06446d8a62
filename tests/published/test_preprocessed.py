"""Published cells as shards: the same clouds and volumes, in place, and every damaged file named."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import plyfile
import pytest
import tifffile
from fabricate.published_folders import (
    CUBE_SIZE,
    DOWNLOAD,
    N_CELLS,
    VOXEL_UM,
    dataset,
    index,
    write_polymorphic,
    write_punctate,
)

from morphobench import files
from morphobench.download.remote import open_store
from morphobench.errors import InputError
from morphobench.files import file_rows
from morphobench.geometry.packing import rasterise
from morphobench.models.cells import Cells
from morphobench.models.inputs import to_batch
from morphobench.published import labels, packing, polymorphic, punctate, shard
from morphobench.published.write_packing import inside_grid, to_image
from morphobench.train import record


class Malice:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def arrays_by_cell(shards, name):
    found = {}
    for folder in shards:
        stored = files.read_array(folder, name)
        table = files.read_cells(folder)
        found |= {r.CellId: np.asarray(stored[r.index]) for r in table[table["success"]].itertuples()}
    return found


def failures(shards):
    table = pd.concat([files.read_cells(folder) for folder in shards])
    return table[~table["success"]].set_index("CellId")["error"]


@pytest.fixture
def clouds(tmp_path):
    _, shards = write_punctate(tmp_path)
    return tmp_path, shards, dataset(tmp_path / "bucket", "punctate")


@pytest.fixture
def shapes(tmp_path):
    _, shards = write_polymorphic(tmp_path)
    return tmp_path, shards, dataset(tmp_path / "bucket", "polymorphic")


def test_punctate_cells_come_back_as_they_were_published(clouds):
    root, shards, described = clouds
    indexed = index(root, described)
    for name, tolerance in (("points_um", 1e-4), ("intensity", 0), ("cube", 0)):
        before, after = arrays_by_cell(shards, name), arrays_by_cell(indexed, name)
        assert set(before) == set(after)
        assert len(before) == N_CELLS
        for cell, array in before.items():
            np.testing.assert_allclose(after[cell], array, atol=tolerance, rtol=0)


@pytest.mark.parametrize("mode", ["corrected", "reference"])
def test_shapes_come_back_as_they_were_published(shapes, mode):
    root, shards, described = shapes
    described["sample"]["mode"] = mode
    indexed = index(root, described)
    for name in ("sdf", "seg", "surface", "normals", "queries", "distances", "points_um"):
        before, after = arrays_by_cell(shards, name), arrays_by_cell(indexed, name)
        assert set(before) == set(after)
        for cell, array in before.items():
            # For published weights the published axes, x, y, z, stay.
            expected = array.T if (name, mode) == ("sdf", "reference") else array
            np.testing.assert_allclose(after[cell], expected, atol=1e-6)
    places = ["loc_x_um", "loc_y_um", "loc_z_um", "scale_um", "scale_factor"]
    before, after = (
        pd.concat([files.read_cells(folder) for folder in folders]).set_index("CellId").sort_index()[places]
        for folders in (shards, indexed)
    )
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize("short", [1, 2, 3])
def test_a_segmentation_short_of_its_grid_lands_where_the_published_loader_puts_it(shapes, short):
    root, _, described = shapes
    path = root / "bucket/cells/outputs_seg/002.npy"
    seg = np.ones((8 - short, 8, 8), np.uint8)
    np.save(path, seg)
    model_size = 11
    found = arrays_by_cell(index(root, described), "seg")["002"]
    raw = {"seg": found[None]}
    settings = {"representation": "seg", "input_scale": 1.0, "architecture": {"size": model_size}}
    x = to_batch(raw, settings).x[0, 0].numpy()
    # SpatialPadd, symmetric: half of what is missing before, rounded down.
    before = (model_size - seg.shape[0]) // 2
    assert np.flatnonzero(x.any(axis=(1, 2))).tolist() == list(range(before, before + seg.shape[0]))


def test_volumes_stay_where_they_lie(clouds):
    root, _, described = clouds
    indexed = index(root, described)
    assert not list((root / "indexed").rglob("cube.npy"))
    listing = pd.read_parquet(indexed[0] / f"cube{file_rows.SUFFIX}")
    assert all(Path(path).is_relative_to((root / "bucket").resolve()) for path in listing["path"])


def test_models_read_them_like_arrays_and_trainings_know_them_apart(clouds):
    root, shards, described = clouds
    indexed = index(root, described)
    table = pd.concat([files.read_cells(folder).assign(shard=n) for n, folder in enumerate(indexed)])
    settings = {"representation": "cube"}
    read = Cells(table.reset_index(drop=True), dict(enumerate(indexed)), settings)
    assert read.raw([0, 3])["cube"].shape == (2, *[CUBE_SIZE] * 3)
    before = record.data_digest(root / "published.parquet", indexed, ["cube"])
    image = next((root / "bucket/cells/image").iterdir())
    tifffile.imwrite(image, np.zeros([CUBE_SIZE] * 3, np.uint16), metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match="changed since it was indexed"):
        read.raw(range(N_CELLS))
    assert record.data_digest(root / "published.parquet", index(root, described), ["cube"]) != before


def test_examples_fetch_their_own_files_alone(clouds):
    root, _, described = clouds
    index(root, described)
    table = pd.read_parquet(root / "published.parquet")
    shutil.rmtree(root / "bucket/cells/image")
    table.assign(shard=-1, index=-1).to_parquet(root / "manifest.parquet")
    labels.examples(
        root / "manifest.parquet", root / "examples.parquet", dataset=described, seed=1, download=DOWNLOAD
    )
    shown = pd.read_parquet(root / "examples.parquet")
    assert list(shown) == ["x_um", "y_um", "z_um", "CellId", "stratum"]
    # One of each stratum, of test cells where there are any.
    assert set(shown["stratum"]) == {"G1", "S"}
    assert shown["CellId"].nunique() == 2


# Bad input


def ply(path, names, values):
    rows = np.zeros(len(values), dtype=[(name, "<f8") for name in names])
    for name in names:
        rows[name] = values
    plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")]).write(str(path))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "not readable"),
        (lambda path: path.write_text("no ply"), "not readable"),
        (lambda path: ply(path, ["x", "y", "s"], [1.0]), "lack z"),
        (lambda path: ply(path, ["z", "y", "x"], [1.0]), "lack s"),
        (lambda path: ply(path, ["z", "y", "x", "s"], [np.inf] * 64), "not finite"),
        (lambda path: ply(path, ["z", "y", "x", "s"], [1.0] * 63), "63 points, not 64"),
        (lambda path: path.unlink(), "no such file"),
    ],
)
def test_a_damaged_cloud_fails_its_cell_alone(clouds, damage, words):
    root, _, described = clouds
    damage(root / "bucket/cells/pointcloud/002.ply")
    failed = failures(index(root, described, 0.5))
    assert list(failed.index) == ["002"]
    assert words in failed["002"]
    assert "002.ply" in failed["002"]


def test_intensities_that_are_no_number_count_as_one(tmp_path):
    ply(tmp_path / "a.ply", ["z", "y", "x", "s"], [np.nan])
    with pytest.raises(InputError, match="not finite"):
        punctate.read_cloud(tmp_path / "a.ply", 1.0)
    rows = np.zeros(2, dtype=[(name, "<f8") for name in "zyxs"])
    rows["s"] = [np.nan, 7]
    plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "a.ply"))
    assert punctate.read_cloud(tmp_path / "a.ply", 1.0)[1].tolist() == [1.0, 7.0]


def test_coordinates_are_named_and_scaled(tmp_path):
    rows = np.array([(1.0, 2.0, 3.0, 4.0)], dtype=[(name, "<f8") for name in "zyxs"])
    plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "a.ply"))
    points_um, intensity = punctate.read_cloud(tmp_path / "a.ply", VOXEL_UM)
    assert points_um.tolist() == [[0.75, 0.5, 0.25]]
    assert intensity.tolist() == [4.0]


@pytest.mark.parametrize("shape", [(9, 9, 8), (2, 9, 9, 9)])
def test_an_image_of_another_shape_fails_its_cell_alone(clouds, shape):
    root, _, described = clouds
    tifffile.imwrite(root / "bucket/cells/image/001.tiff", np.zeros(shape, np.uint16))
    failed = failures(index(root, described, 0.5))
    assert list(failed.index) == ["001"]
    assert "shape" in failed["001"]


def test_a_pickle_in_the_place_of_a_grid_is_refused_and_not_run(shapes):
    root, _, described = shapes
    mark = root / "executed"
    grid = root / "bucket/cells/outputs_sdf/004.npy"
    np.save(grid, np.array([Malice(mark)], dtype=object), allow_pickle=True)
    for name in ("outputs_seg/002.npy", "pointcloud/0/003/points.npz"):
        (root / "bucket/cells" / name).write_bytes(pickle.dumps(Malice(mark)))
    failed = failures(index(root, described, 1.0))
    assert sorted(failed.index) == ["002", "003", "004"]
    assert not mark.exists()


def test_objects_in_an_npz_are_refused_and_not_run(tmp_path):
    mark = tmp_path / "executed"
    np.savez(tmp_path / "a.npz", points=np.array([Malice(mark)], dtype=object))
    with pytest.raises(InputError, match=r"a\.npz"):
        polymorphic.read_arrays(tmp_path / "a.npz")
    assert not mark.exists()


def test_an_npz_that_would_fill_the_memory_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", points=np.zeros(2**20))
    assert (tmp_path / "a.npz").stat().st_size < 2**14
    monkeypatch.setattr(polymorphic, "_MAX_BYTES", 2**21)
    with pytest.raises(InputError, match="would unpack to 0.00839 GB, more than the 0.0021 GB") as refused:
        polymorphic.read_arrays(tmp_path / "a.npz")
    assert str(refused.value).count("a.npz") == 1


def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("points.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(
            entry, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
        )
    with pytest.raises(InputError, match="claims"):
        polymorphic.read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("pointcloud/0/002/df.npy", np.zeros(3, np.float32), "40 query points"),
        ("pointcloud/0/002/points.npz", {"points": np.zeros((7, 3))}, "7 points in the published queries"),
        ("pointcloud/0/002/pointcloud.npz", {"points": np.zeros((40, 3))}, "normals"),
        ("outputs_seg/002.npy", np.zeros((9, 8, 8), np.uint8), "more than the grid's 8"),
        ("outputs_sdf/002.npy", np.zeros((7, 8, 8)), "expected shape (8, 8, 8)"),
        ("outputs_sdf/002.npy", np.zeros((8, 8, 8), "U3"), "not numbers"),
    ],
)
def test_arrays_that_do_not_fit_fail_their_cell_alone(shapes, name, content, words):
    root, _, described = shapes
    path = root / "bucket/cells" / name
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    if name.endswith("points.npz"):
        np.save(path.with_name("df.npy"), np.zeros(7, np.float32))
    failed = failures(index(root, described, 0.5))
    assert list(failed.index) == ["002"]
    assert words in failed["002"]


def test_too_many_failures_stop_the_stage(clouds):
    root, _, described = clouds
    for path in (root / "bucket/cells/pointcloud").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="max_failed_fraction|no such file"):
        index(root, described, 0.5)


def test_a_place_that_cannot_be_reached_is_not_blamed_on_cells():
    class Broken:
        asked = 0

        def fetch(self, names, *, dataset):
            self.asked += 1
            raise InputError(f"{dataset}: no network")

    table = pd.DataFrame({"CellId": [f"{n:03d}" for n in range(100)], "success": True, "error": ""})
    store = Broken()
    with pytest.raises(InputError, match="no network"):
        shard.fetch(table, lambda row: [row["CellId"]], store, "tiny")
    assert store.asked < 10


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="gone: no such folder"):
        open_store(str(tmp_path / "gone"), DOWNLOAD).fetch(["a"], dataset="tiny")


# Images of packings


def packed_image(points_um, size, oversample, side_um):
    fine = size * oversample
    spheres = rasterise(points_um, size=fine, side_um=side_um, radius_um=0.3, oversample=1)
    return to_image(np.zeros_like(spheres), spheres)


def test_blocks_of_a_published_image_are_the_cubes_drawn_here(tmp_path):
    points_um = np.random.default_rng(3).uniform(-2, 2, (20, 3)) * [1, 1, 0.5]
    cube_zyx = rasterise(points_um, size=6, side_um=6.0, radius_um=0.3, oversample=4)
    image = packed_image(points_um, 6, 4, 6.0)
    assert image.shape[:3] == (24, 2, 24)
    assert image.shape[3] < 24
    tifffile.imwrite(tmp_path / "a.ome.tiff", image, metadata={"axes": "ZCYX"})
    found = packing.read_image(tmp_path / "a.ome.tiff", 6)
    # The image's axes are the packing's y, z and x, which are x, y and z here.
    np.testing.assert_array_equal(found / 255, cube_zyx.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("shape", "words"),
    [((24, 24, 20), "expected axes"), ((24, 2, 20, 20), "not square"), ((25, 2, 25, 21), "no multiple")],
)
def test_an_image_of_a_packing_with_other_axes_is_named(tmp_path, shape, words):
    tifffile.imwrite(tmp_path / "a.ome.tiff", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=rf"a\.ome\.tiff.*{words}"):
        packing.read_image(tmp_path / "a.ome.tiff", 6)


def test_the_nucleus_of_an_image_is_where_its_mesh_is():
    import trimesh

    box = trimesh.creation.box((2.0, 1.0, 0.5))
    box.apply_translation((1.0, 0.5, -0.5))
    inside_zyx = inside_grid(box.vertices, box.faces, 40, 8.0)
    k, j, i = (np.flatnonzero(inside_zyx.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    centre = ((i.mean(), j.mean(), k.mean()) + np.full(3, 0.5)) * 0.2 - 4
    np.testing.assert_allclose(centre, (1.0, 0.5, -0.5), atol=0.11)
    assert inside_zyx.sum() * 0.2**3 == pytest.approx(1.0, rel=0.25)
