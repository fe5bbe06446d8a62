from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fabricate.packings import ellipsoid, packing_dataset, write_shapes

from morphobench import files
from morphobench.align import packing as align
from morphobench.download import packing as download
from morphobench.errors import InputError
from morphobench.files import layout, volumes
from morphobench.files.packings import read_positions
from morphobench.geometry import meshes, rotation


@pytest.fixture
def downloaded(tmp_path):
    moved = ellipsoid([3, 2.5, 1.5])
    moved.apply_translation([40, 5, -9])
    shapes = write_shapes(tmp_path / "shapes", {"a": moved, "b": ellipsoid([2, 3, 1.8])})
    (shapes / "manifest.csv").write_text("CellId,angle\na,0\nb,0\nmissing,0\n")
    config = packing_dataset(shapes)
    out = tmp_path / "download"
    download.run(out, dataset=config, shard=0, n_shards=1, seed=1, max_failed_fraction=0.4)
    return out, config


def run(downloaded, out, max_failed_fraction=0.4):
    folder, config = downloaded
    align.run(folder, out, dataset=config, max_failed_fraction=max_failed_fraction)
    return files.read_cells(out), files.read_array(out, "points_um")


def test_points_lie_inside_their_nucleus_and_both_are_centred(downloaded, tmp_path):
    cells, points_um = run(downloaded, tmp_path / "out")
    assert points_um.dtype == np.float32
    assert len(points_um) == cells["n_points"].sum() == 12 * 32
    for row in cells[cells["success"]].to_dict("records"):
        nucleus = meshes.read_closed_mesh(tmp_path / f"out/nuclei/{row['group']}.ply")
        np.testing.assert_allclose(nucleus.center_mass, 0, atol=1e-5)
        inside = meshes.signed_distance(
            volumes.select(points_um, row, layout.POINTS), nucleus.vertices, nucleus.faces
        )[0]
        assert inside.max() <= -0.1 + 1e-5  # the radius of a sphere, 1 unit of 0.1 um


def test_the_optical_axis_becomes_z_and_lengths_micrometres(downloaded, tmp_path):
    run(downloaded, tmp_path / "out")
    extent = meshes.read_closed_mesh(tmp_path / "out/nuclei/a.ply").bounds[1]
    np.testing.assert_allclose(extent, [3, 2.5, 1.5], atol=1e-4)


def test_the_translation_leads_back_to_the_packing(downloaded, tmp_path):
    folder, config = downloaded
    # Packings of others are not centred; move one nucleus and its spheres by (1, 2, 3) units.
    shape = folder / "reference_nuclear_shapes/a_0.obj"
    mesh = meshes.read_closed_mesh(shape)
    mesh.apply_translation([1, 2, 3])
    mesh.export(shape)
    cells, points_um = run(downloaded, tmp_path / "out")
    row = cells.to_dict("records")[0]
    translation_um = np.array([row[f"translation_{axis}_um"] for axis in "xyz"])
    np.testing.assert_allclose(translation_um, [-0.2, -0.3, -0.1], atol=1e-5)
    name = layout.positions_name(row["rule"], "a", "0")
    positions = read_positions(folder / "packings" / name)
    back = rotation.um_to_packing(
        volumes.select(points_um, row, layout.POINTS) - translation_um, config["voxel_um"]
    )
    np.testing.assert_allclose(back, positions, atol=1e-4)


def test_failed_cells_are_carried_forward_unchanged(downloaded, tmp_path):
    before = files.read_cells(downloaded[0])
    cells, _ = run(downloaded, tmp_path / "out")
    failed = cells[cells["group"] == "missing"]
    assert len(failed) == 6
    assert (failed["n_points"] == 0).all()
    pd.testing.assert_frame_equal(cells[before.columns], before)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSONDecodeError"),
        ('{"0": {}}', "KeyError"),
        ("[1, 2]", "TypeError"),
        ('{"0": {"nucleus_interior_pcna": []}}', r"shape \(n, 3\), found \(0,\)"),
        ('{"0": {"nucleus_interior_pcna": [[1, 2]]}}', r"found \(1, 2\)"),
        ('{"0": {"nucleus_interior_pcna": [[1, 2, 3], [1]]}}', "ValueError"),
        ('{"0": {"nucleus_interior_pcna": [[1, 2, NaN]]}}', "not finite"),
        (None, "FileNotFoundError"),
    ],
)
def test_a_malformed_packing_fails_its_cell(text, reason, downloaded, tmp_path):
    path = downloaded[0] / "packings" / layout.positions_name("random", "a", "0")
    path.unlink()
    if text is not None:
        path.write_text(text)
    cells, points_um = run(downloaded, tmp_path / "out")
    bad = cells.set_index("CellId").loc["a_4"]
    assert not bad["success"]
    assert str(path) in bad["error"]
    with pytest.raises(InputError, match=reason):
        read_positions(path)
    assert cells["success"].sum() == 11
    assert len(points_um) == 11 * 32
    intact = cells.set_index("CellId").loc["a_5"]
    expected = read_positions(downloaded[0] / "packings" / layout.positions_name(intact["rule"], "a", "0"))
    np.testing.assert_allclose(
        volumes.select(points_um, intact, layout.POINTS), rotation.packing_to_um(expected, 0.1), atol=1e-4
    )


def test_too_many_failures_stop_the_stage_and_leave_nothing(downloaded, tmp_path):
    with pytest.raises(InputError, match="align: 6 of 18 cells failed"):
        run(downloaded, tmp_path / "out", max_failed_fraction=0.1)
    assert not (tmp_path / "out").exists()


def test_an_empty_shard_passes(downloaded, tmp_path):
    folder, config = downloaded
    files.write_table(files.read_cells(folder).iloc[:0], folder / files.CELL_TABLE)
    cells, points_um = run(downloaded, tmp_path / "out")
    assert points_um.shape == (0, 3)
    assert cells["n_points"].dtype == cells["first"].dtype == np.int64
