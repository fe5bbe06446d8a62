"""Stage sample for polymorphic structures, on shards as stage mask leaves them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import trimesh

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.geometry import meshes
from morphobench.mask.polymorphic import measure_structure
from morphobench.sample import manifest
from morphobench.sample import polymorphic as sample
from morphobench.sample.distances import signed_distance_grid

SIZES = {"resolution": 16, "n_surface": 200, "n_queries": 100, "n_points": 50}
UNIT = ("surface", "normals", "queries", "distances")
ARRAYS = ("sdf", "seg", *UNIT, "points_um")
# No face of the block falls onto grid points.
FACTOR = 1.3


def ball(radius_um=4.0, center_um=(0.0, 0.0, 0.0)):
    return trimesh.creation.icosphere(subdivisions=3, radius=radius_um).apply_translation(center_um)


def block():
    return trimesh.creation.box((8.0, 4.0, 2.0)).apply_translation((30.0, 20.0, 10.0))


def two_pieces():
    return trimesh.util.concatenate(ball(2.0, (-3.0, 0, 0)), ball(1.5, (3.0, 1.0, 0)))


def three():
    return {"ball": ball(), "block": block(), "two": two_pieces()}


def write_masked(folder, shapes, **columns):
    """A shard of stage mask."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, vertices, faces = [], [np.empty((0, 3))], [np.empty((0, 3))]
    for name, mesh in shapes.items():
        place = {"first_vertex": sum(map(len, vertices)), "n_vertices": len(mesh.vertices)}
        place |= {"first_face": sum(map(len, faces)), "n_faces": len(mesh.faces)}
        rows.append({"CellId": name, "group": name, "success": True, "error": "", "excluded": False} | place)
        vertices.append(mesh.vertices)
        faces.append(mesh.faces)
    np.save(folder / "vertices_um.npy", np.concatenate(vertices).astype(np.float32))
    np.save(folder / "faces.npy", np.concatenate(faces).astype(np.int32))
    files.write_table(pd.DataFrame(rows).assign(**columns), folder / files.CELL_TABLE)
    return folder


def run(shard_in, out, *, factors=None, **changes):
    names = files.read_cells(shard_in)["CellId"]
    known = dict.fromkeys(names, FACTOR) | (factors or {})
    table = shard_in.parent / "scale_factor.parquet"
    files.write_table(pd.DataFrame({"CellId": list(known), "scale_factor": list(known.values())}), table)
    arguments = {"dataset_name": "blobs", "scale_factor": table, "seed": 7, "max_failed_fraction": 1.0}
    sample.run(shard_in, out, **arguments | SIZES | changes)
    arrays = {name: files.read_array(out, name) for name in ARRAYS}
    return files.read_cells(out).set_index("CellId"), arrays


def test_arrays_have_their_shapes_and_types(tmp_path):
    cells, arrays = run(write_masked(tmp_path / "mask", three()), tmp_path / "out")
    assert cells["success"].all()
    assert cells["index"].tolist() == [0, 1, 2]
    shapes = {name: array.shape[1:] for name, array in arrays.items()}
    clouds = {"surface": (200, 3), "normals": (200, 3), "queries": (100, 3), "distances": (100,)}
    assert shapes == {"sdf": (16,) * 3, "seg": (16,) * 3, "points_um": (50, 3)} | clouds
    types = {name: array.dtype.name for name, array in arrays.items()}
    assert types == dict.fromkeys(ARRAYS, "float32") | {"seg": "uint8"}
    assert {len(array) for array in arrays.values()} == {3}
    assert (cells["seconds"] > 0).all()


def test_all_arrays_of_a_cell_show_the_same_shape(tmp_path):
    cells, arrays = run(write_masked(tmp_path / "mask", three()), tmp_path / "out")
    block_cell, index = cells.loc["block"], cells.loc["block", "index"]
    np.testing.assert_array_equal(arrays["seg"], arrays["sdf"] <= 0)
    # Axes z, y, x: 8 x 4 x 2 micrometres in x, y, z at 1.3 voxels each, the grid's origin at index 8.
    inside = np.argwhere(arrays["sdf"][index] < 0) - 8
    np.testing.assert_array_equal(np.abs(inside).max(axis=0), [1, 2, 5])
    np.testing.assert_allclose(np.abs(arrays["surface"][index]).max(axis=0), [0.5, 0.25, 0.125], atol=1e-6)
    np.testing.assert_allclose(np.abs(arrays["points_um"][index]).max(axis=0), [4, 2, 1], atol=1e-5)
    assert block_cell[["loc_x_um", "loc_y_um", "loc_z_um"]].tolist() == [30.0, 20.0, 10.0]
    assert block_cell["scale_um"] == 8.0
    assert block_cell["scale_factor"] == FACTOR
    assert block_cell["seed"] == seeds.integer(7, "blobs", "sample", "block")


@pytest.mark.parametrize("resolution", [32, 64])
def test_the_grid_keeps_the_volume_of_the_segmentation(resolution):
    z, y, x = np.indices((20, 34, 40))
    pieces = [((10, 16, 12), (7, 11, 10)), ((9, 18, 31), (6, 9, 6))]
    inside = np.zeros(z.shape, dtype=bool)
    for (k, j, i), (depth, height, width) in pieces:
        inside |= ((z - k) / depth) ** 2 + ((y - j) / height) ** 2 + ((x - i) / width) ** 2 < 1
    _, vertices_um, faces, columns = measure_structure(inside, "volume", 0.2)
    factor = 0.8 * resolution / columns["extent_x_um"]
    place = {"resolution": resolution, "scale_factor": factor}
    volume_um3 = (signed_distance_grid(vertices_um, faces, **place) <= 0).sum() / factor**3
    assert columns["n_voxels"] > 500
    # The surface runs through the middles of the outer voxels' edges, so it cuts corners.
    assert volume_um3 == pytest.approx(columns["n_voxels"] * 0.2**3, rel=0.02)


def test_distances_are_those_of_the_stored_queries(tmp_path):
    cells, arrays = run(write_masked(tmp_path / "mask", three()), tmp_path / "out")
    mesh, row = two_pieces(), cells.loc["two"]
    loc_um = row[["loc_x_um", "loc_y_um", "loc_z_um"]].to_numpy(dtype=float)
    queries_um = loc_um + row["scale_um"] * arrays["queries"][row["index"]].astype(float)
    expected_um, _ = meshes.signed_distance(queries_um, mesh.vertices, mesh.faces)
    found_um = row["scale_um"] * arrays["distances"][row["index"]]
    np.testing.assert_allclose(found_um, expected_um, atol=1e-5)


def test_mode_reference_is_the_published_layout(tmp_path):
    shard = write_masked(tmp_path / "mask", {"block": block()})
    _, ours = run(shard, tmp_path / "ours")
    _, published = run(shard, tmp_path / "published", mode="reference")
    np.testing.assert_array_equal(published["sdf"][0], ours["sdf"][0].T)
    # The published stencil keeps z, y, x and sits one voxel before.
    np.testing.assert_array_equal(np.roll(published["seg"][0], (1, 1, 1), (0, 1, 2)), ours["seg"][0])
    for name in ("surface", "normals", "queries"):
        np.testing.assert_array_equal(published[name], ours[name].astype(np.float16))
    for name in ("distances", "points_um"):
        np.testing.assert_array_equal(published[name], ours[name])


def test_a_cell_does_not_depend_on_its_shard(tmp_path):
    _, together = run(write_masked(tmp_path / "a/mask", three()), tmp_path / "a/out")
    for index, (name, mesh) in enumerate(three().items()):
        _, alone = run(write_masked(tmp_path / name / "mask", {name: mesh}), tmp_path / name / "out")
        for array in ARRAYS:
            np.testing.assert_array_equal(alone[array][0], together[array][index], err_msg=array)


def inside_out():
    mesh = ball()
    mesh.invert()
    return mesh


def flat():
    return trimesh.Trimesh([[0, 0, 0], [5, 0, 0], [0, 5, 0]], [[0, 1, 2], [0, 2, 1]], process=False)


def broken():
    mesh = ball()
    vertices = np.array(mesh.vertices)
    vertices[3] = np.nan
    return trimesh.Trimesh(vertices, mesh.faces, process=False)


def empty():
    return trimesh.Trimesh(np.empty((0, 3)), np.empty((0, 3), int), process=False)


BAD = {
    "flat": (flat, "encloses no volume (0 um3)"),
    "inside out": (inside_out, "its faces point inwards"),
    "broken": (broken, "not finite"),
    "empty": (empty, "no faces"),
    "point": (lambda: trimesh.Trimesh([[1, 1, 1]] * 3, [[0, 1, 2]], process=False), "encloses no volume"),
    "huge": (lambda: ball(40.0), "104.0 x 104.0 x 104.0 voxels"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mesh_gives_its_reason_and_the_run_goes_on(name, tmp_path):
    make, reason = BAD[name]
    shapes = {"first": ball(), name: make(), "last": block()}
    cells, arrays = run(write_masked(tmp_path / "mask", shapes), tmp_path / "out")
    assert cells["success"].tolist() == [True, False, True]
    assert reason in cells.loc[name, "error"]
    assert cells["index"].tolist() == [0, -1, 1]
    assert cells.loc[name, "seed"] == -1
    assert not cells["excluded"].any()
    assert {len(array) for array in arrays.values()} == {2}


@pytest.mark.parametrize("missing", [True, False])
def test_a_cell_without_scale_factor_fails(missing, tmp_path):
    shard = write_masked(tmp_path / "mask", three())
    if missing:
        cells, _ = run(shard, tmp_path / "out", factors={"two": np.nan})
    else:
        table = pd.DataFrame({"CellId": ["ball", "block"], "scale_factor": [FACTOR, FACTOR]})
        files.write_table(table, tmp_path / "other.parquet")
        cells, _ = run(shard, tmp_path / "out", scale_factor=tmp_path / "other.parquet")
    assert cells["success"].tolist() == [True, True, False]
    assert "table of scale factors" in cells.loc["two", "error"]
    assert np.isnan(cells.loc["two", "scale_um"])


def test_too_many_failures_stop_the_stage(tmp_path):
    shard = write_masked(tmp_path / "mask", {"flat": flat(), "ball": ball()})
    with pytest.raises(InputError, match="1 of 2 cells failed"):
        run(shard, tmp_path / "out", max_failed_fraction=0.4)
    assert not (tmp_path / "out").exists()


def test_an_earlier_reason_stays(tmp_path):
    columns = {"success": [False, True, True], "error": ["no mesh", "", ""]}
    shard = write_masked(tmp_path / "mask", three(), structure_name=["A", "B", "B"], **columns)
    cells, _ = run(shard, tmp_path / "out", max_failed_fraction=0.4)
    assert cells.loc["ball", "error"] == "no mesh"
    assert not cells.loc["ball", "success"]
    assert cells["index"].tolist() == [-1, 0, 1]


def test_the_manifest_takes_these_shards(tmp_path):
    run(write_masked(tmp_path / "mask", three()), tmp_path / "out")
    split = {"train": 0.34, "val": 0.33, "test": 0.33}
    manifest.run({0: tmp_path / "out"}, tmp_path / "m.parquet", split=split, seed=1, dataset_name="blobs")
    table = files.read_table(tmp_path / "m.parquet")
    assert sorted(table["split"]) == ["test", "train", "val"]
