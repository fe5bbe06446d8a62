from __future__ import annotations

import numpy as np
import pytest
from fabricate.masked import write_clouds
from fabricate.packings import ellipsoid

from morphobench import files
from morphobench.errors import InputError
from morphobench.files.layout import stored_cloud
from morphobench.geometry import meshes
from morphobench.mask import packing as mask


def write_shard(folder, clouds, semi_axes=(5, 4, 3)):
    """A shard of stage align: one nucleus "n", a cell per cloud, and a cell that failed before."""
    write_clouds(folder, {f"n_{i}": cloud for i, cloud in enumerate(clouds)})
    mesh = ellipsoid(semi_axes, subdivisions=4)
    meshes.write_ply(folder / "nuclei/n.ply", mesh.vertices, mesh.faces)
    return folder


def run(shard_in, out, min_points=1, tolerance_um=0.0, max_failed_fraction=1.0):
    mask.run(
        shard_in,
        out,
        min_points=min_points,
        tolerance_um=tolerance_um,
        max_failed_fraction=max_failed_fraction,
    )
    return files.read_cells(out).set_index("CellId"), files.read_array(out, "points_um")


def ball(n, radius, seed=0):
    direction = np.random.default_rng(seed).normal(size=(n, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True) * radius


def test_points_beyond_the_surface_go_and_the_order_stays(tmp_path):
    cloud = np.stack([[0, 0, 2.9], [0, 0, 3.1], [4.9, 0, 0], [0, 4.2, 0], [1, 1, 1]])
    cells, _ = run(write_shard(tmp_path / "in", [cloud, ball(9, 1)]), tmp_path / "out")
    np.testing.assert_allclose(stored_cloud(tmp_path / "out", cells.loc["n_0"]), cloud[[0, 2, 4]], rtol=1e-6)
    assert cells.loc["n_0", ["n_points", "n_outside"]].tolist() == [3, 2]
    assert cells.loc["n_0", "radius_um"] == pytest.approx(4.9)
    np.testing.assert_allclose(stored_cloud(tmp_path / "out", cells.loc["n_1"]), ball(9, 1), rtol=1e-6)


def test_too_few_points_fail_the_cell(tmp_path):
    shard = write_shard(tmp_path / "in", [np.concatenate([ball(7, 1), ball(5, 9)]), ball(8, 2)])
    cells, points_um = run(shard, tmp_path / "out", min_points=8)
    assert not cells.loc["n_0", "success"]
    assert (
        "7 of 12 points lie inside the nucleus, fewer than mask.min_points = 8" in cells.loc["n_0", "error"]
    )
    assert cells["n_points"].tolist() == [0, 8, 0]
    assert len(points_um) == 8


def test_earlier_failures_are_carried_and_the_nuclei_kept(tmp_path):
    cells, _ = run(write_shard(tmp_path / "in", [ball(8, 2)]), tmp_path / "out")
    assert cells.loc["old", "error"] == "no file"
    assert cells["success"].tolist() == [True, False]
    assert (tmp_path / "out/nuclei/n.ply").read_bytes() == (tmp_path / "in/nuclei/n.ply").read_bytes()


def test_a_missing_nucleus_fails_its_cells(tmp_path):
    shard = write_shard(tmp_path / "in", [ball(8, 2)])
    (shard / "nuclei/n.ply").unlink()
    cells, _ = run(shard, tmp_path / "out")
    assert "n.ply: no such mesh file" in cells.loc["n_0", "error"]


def test_an_empty_shard_passes(tmp_path):
    shard = write_shard(tmp_path / "in", [])
    files.write_table(files.read_cells(shard).iloc[:0], shard / files.CELL_TABLE)
    cells, points_um = run(shard, tmp_path / "out", max_failed_fraction=0.0)
    assert points_um.shape == (0, 3)
    assert cells["radius_um"].dtype == np.float64


def test_too_many_failures_stop_the_stage_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="mask: 1 of 2 cells failed"):
        run(write_shard(tmp_path / "in", [ball(8, 2)]), tmp_path / "out", max_failed_fraction=0.1)
    assert not (tmp_path / "out").exists()
