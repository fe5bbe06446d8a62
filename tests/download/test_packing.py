from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from fabricate.packings import RULES, ellipsoid, packing_dataset, write_shapes

from morphobench import files, seeds
from morphobench.download import packing as download
from morphobench.errors import InputError
from morphobench.geometry import meshes


@pytest.fixture
def shapes(tmp_path):
    return write_shapes(tmp_path / "shapes", {"007": ellipsoid([3, 2.5, 1.5]), "a-b": ellipsoid([2, 3, 1.8])})


def fetch(config, out, shard=0, n_shards=1, seed=1, max_failed_fraction=0.0):
    download.run(
        out,
        dataset=config,
        shard=shard,
        n_shards=n_shards,
        seed=seed,
        max_failed_fraction=max_failed_fraction,
    )
    return files.read_cells(out)


def read_positions(folder, rule, shape):
    text = (folder / "packings" / f"positions_pcna_analyze_{rule}_{shape}_0.json").read_text()
    return np.array(json.loads(text)["0"]["nucleus_interior_pcna"])


def test_a_shard_has_the_published_layout(shapes, tmp_path):
    cells = fetch(packing_dataset(shapes), tmp_path / "out")
    assert list(cells["CellId"]) == [f"{shape}_{rule}" for shape in ("007", "a-b") for rule in range(6)]
    assert list(cells["rule"]) == list(RULES) * 2
    assert set(cells["group"]) == {"007", "a-b"}
    assert cells["success"].all()
    assert cells["seed"][3] == seeds.integer(1, "cellpack", "download", "007_3")
    assert len(list((tmp_path / "out/packings").iterdir())) == 12
    assert {p.name for p in (tmp_path / "out/reference_nuclear_shapes").iterdir()} == {
        "007_0.obj",
        "a-b_0.obj",
        "manifest.csv",
    }
    manifest = pd.read_csv(tmp_path / "out/reference_nuclear_shapes/manifest.csv", dtype={"CellId": str})
    assert list(manifest["CellId"]) == ["007", "a-b"]


def test_shapes_enter_the_packing_frame(shapes, tmp_path):
    cells = fetch(packing_dataset(shapes), tmp_path / "out")
    mesh = meshes.read_closed_mesh(tmp_path / "out/reference_nuclear_shapes/007_0.obj")
    # x, y, z of 3, 2.5, 1.5 um become depth first in units of 0.1 um.
    np.testing.assert_allclose(mesh.bounds[1], [15, 30, 25], atol=1e-3)
    original = meshes.read_closed_mesh(shapes / "007_0.ply")
    assert cells["volume_of_nucleus_um3"][0] == pytest.approx(original.volume, rel=1e-6)


def test_a_shape_is_centred_by_its_volume_wherever_it_was(tmp_path):
    mesh = ellipsoid([3, 2.5, 1.5])
    far = mesh.copy()
    far.apply_translation([100, -20, 7])
    folder = write_shapes(tmp_path / "shapes", {"far": far})
    fetch(packing_dataset(folder), tmp_path / "out")
    packed = meshes.read_closed_mesh(tmp_path / "out/reference_nuclear_shapes/far_0.obj")
    np.testing.assert_allclose(packed.center_mass, 0, atol=1e-3)


@pytest.mark.parametrize("suffix", ["obj", "stl"])
def test_other_mesh_formats_are_read(suffix, tmp_path):
    folder = write_shapes(tmp_path / "shapes", {"a": ellipsoid([3, 2.5, 1.5])})
    meshes.read_closed_mesh(folder / "a_0.ply").export(folder / f"a_0.{suffix}")
    (folder / "a_0.ply").unlink()
    assert fetch(packing_dataset(folder), tmp_path / "out")["success"].all()


def test_the_published_orientation_is_kept(tmp_path):
    folder = write_shapes(tmp_path / "shapes", {"a": ellipsoid([15, 30, 25])})
    config = packing_dataset(folder)
    config["source"] |= {"shape_unit_um": 0.1, "shape_axes": "depth_first"}
    fetch(config, tmp_path / "out")
    mesh = meshes.read_closed_mesh(tmp_path / "out/reference_nuclear_shapes/a_0.obj")
    np.testing.assert_allclose(mesh.bounds[1], [15, 30, 25], atol=1e-3)


def test_packings_depend_on_the_seed_and_on_nothing_else(shapes, tmp_path):
    def contents(out, **settings):
        fetch(packing_dataset(shapes), tmp_path / out, **settings)
        return {p.name: p.read_bytes() for p in (tmp_path / out / "packings").iterdir()}

    one = contents("one")
    assert one == contents("again")
    other = contents("other", seed=2)
    assert all(one[name] != other[name] for name in one)
    parts = [contents(f"part{shard}", shard=shard, n_shards=7) for shard in range(7)]
    assert one == {name: data for part in parts for name, data in part.items()}
    assert sum(map(len, parts)) == len(one)


def test_an_empty_shard_has_a_typed_table(shapes, tmp_path):
    taken = {seeds.shard_of(shape, 64) for shape in ("007", "a-b")}
    full = fetch(packing_dataset(shapes), tmp_path / "full")
    empty = fetch(packing_dataset(shapes), tmp_path / "out", shard=min(set(range(64)) - taken), n_shards=64)
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)


def open_mesh():
    mesh = ellipsoid([3, 2.5, 1.5])
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    return mesh


def inside_out():
    mesh = ellipsoid([3, 2.5, 1.5])
    mesh.invert()
    return mesh


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (open_mesh(), "not watertight. Close"),
        (inside_out(), "do not all point outwards.*Orient"),
        (ellipsoid([3, 2.5, 2.7]), r"outside packing\.box.*Enlarge"),
        (ellipsoid([0.4, 0.4, 0.4]), "too small for packing.n_spheres = 32"),
    ],
)
def test_a_bad_shape_fails_its_six_cells_only(bad, reason, tmp_path):
    folder = write_shapes(tmp_path / "shapes", {"bad": bad, "good": ellipsoid([3, 2.5, 1.5])})
    cells = fetch(packing_dataset(folder), tmp_path / "out", max_failed_fraction=0.5).set_index("group")
    assert len(cells) == 12
    assert cells.loc["good", "success"].all()
    assert not cells.loc["bad", "success"].any()
    assert cells.loc["bad", "error"].str.contains(reason).all()
    assert cells.loc["bad", "error"].str.contains(str(folder / "bad_0.ply"), regex=False).all()


@pytest.mark.parametrize(
    "content", [None, b"", b"ply\nformat ascii 1.0\nelement vertex many\n", b"\x00\xff" * 99]
)
def test_a_missing_or_broken_mesh_fails_its_cells(content, shapes, tmp_path):
    path = shapes / "007_0.ply"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    cells = fetch(packing_dataset(shapes), tmp_path / "out", max_failed_fraction=0.5).set_index("group")
    assert cells.loc["007", "error"].str.contains("007_0").all()
    assert cells.loc["a-b", "success"].all()


def test_too_many_failures_stop_the_stage_and_leave_nothing(shapes, tmp_path):
    (shapes / "007_0.ply").write_bytes(b"")
    with pytest.raises(InputError, match="6 of 12 cells failed(.|\n)*007_0.ply"):
        fetch(packing_dataset(shapes), tmp_path / "out", max_failed_fraction=0.4)
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]


def test_published_packings_are_copied_unchanged_with_their_frame(tmp_path):
    shape = "9c1ff213-4e9e-4b73-a942-3baf9d37a50f"
    mesh = ellipsoid([15, 30, 25])
    mesh.apply_translation([2, 0, -3])
    folder = write_shapes(tmp_path / "shapes", {shape: mesh})
    packings = tmp_path / "packings"
    packings.mkdir()
    for rule in list(RULES)[:5]:
        name = f"positions_pcna_analyze_{rule}_{shape}_0.json"
        (packings / name).write_text('{"0": {"nucleus_interior_pcna": [[2, 0.5, 1]]}}')
    config = packing_dataset(folder, packings)
    config["source"] |= {"shape_unit_um": 0.1, "shape_axes": "depth_first"}
    cells = fetch(config, tmp_path / "out", max_failed_fraction=0.2)
    assert list(cells["CellId"]) == [f"{shape}_{rule}" for rule in range(6)]
    assert list(cells["success"]) == [True] * 5 + [False]
    assert "radial_gradient" in cells["error"][5]
    assert "Download it" in cells["error"][5]
    np.testing.assert_array_equal(read_positions(tmp_path / "out", "random", shape), [[2, 0.5, 1]])
    copied = meshes.read_closed_mesh(tmp_path / f"out/reference_nuclear_shapes/{shape}_0.obj")
    np.testing.assert_allclose(copied.center_mass, [2, 0, -3], atol=1e-3)


def test_missing_sources_name_path_and_remedy(shapes, tmp_path):
    with pytest.raises(InputError, match=r"nowhere/manifest\.csv: no such file\. Point source\.shapes"):
        fetch(packing_dataset(tmp_path / "nowhere"), tmp_path / "out")
    with pytest.raises(InputError, match=r"absent: no such folder \(source\.packings\).*null"):
        fetch(packing_dataset(shapes, tmp_path / "absent"), tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CellId\n007\n", "column angle is missing; add it"),
        ("", "not readable as a table"),
        ("CellId,angle\n007,0\n007,15\n", "CellId 007 occurs more than once"),
        ("CellId,angle\n007,0\n,0\n", "no CellId"),
    ],
)
def test_a_bad_manifest_stops_the_stage(text, reason, shapes, tmp_path):
    (shapes / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        fetch(packing_dataset(shapes), tmp_path / "out")
    assert str(shapes / "manifest.csv") in str(caught.value)
