"""Representative cells and their surfaces: each cell once, whole, centred, decimated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import plot_tables
from fabricate.cells import ellipsoid_mask
from fabricate.masked import write_aligned

from morphobench import files
from morphobench.analyse import surfaces
from morphobench.mask import polymorphic as mask

N_FACES = 200


def ball(radius: int) -> tuple[np.ndarray, np.ndarray]:
    """A ball in the middle of a cell that fills its crop but for a margin of 1."""
    shape = (20, 20, 20)
    core = np.zeros(shape, np.uint8)
    core[1:-1, 1:-1, 1:-1] = 1
    return ellipsoid_mask(shape, (radius,) * 3).astype(np.float32), core


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> tuple[Path, list[Path]]:
    """A manifest of four balls in two strata, and two shards of stage mask."""
    folder = tmp_path_factory.mktemp("cells")
    rows, shards = [], []
    for number, names in enumerate((("a", "b"), ("c", "d"))):
        balls = {name: ball(4 + i + 2 * number) for i, name in enumerate(names)}
        aligned = write_aligned(folder / f"align-{number}", balls)
        shards.append(folder / f"shard-{number}")
        mask.run(aligned, shards[-1], role="cell_mask", max_failed_fraction=1.0)
        rows += [{"CellId": name, "shard": number, "success": True, "group": name} for name in names]
    table = pd.DataFrame(rows).assign(kind=["one", "one", "two", "three"])
    table["split"] = ["train", "test", "test", "train"]
    files.write_table(table, folder / "manifest.parquet")
    return folder / "manifest.parquet", shards


def run(cells: tuple[Path, list[Path]], folder: Path, tables: dict[str, pd.DataFrame], stratum: str = "kind"):
    paths = {role: folder / f"{role}.parquet" for role in tables}
    for role, table in tables.items():
        files.write_table(table, paths[role])
    out = folder / "surfaces.npz", folder / "surfaces.parquet"
    surfaces.run(*cells, paths, *out, stratum=stratum, n_faces=N_FACES)
    with np.load(out[0], allow_pickle=False) as stored:
        return files.read_table(out[1]), {name: stored[name] for name in stored.files}


def test_every_cell_comes_once_with_its_own_surface(cells, tmp_path):
    tables = {
        "walk": pd.DataFrame({"CellId": ["a", "d"], "stratum": "one", "component": 0, "sigma": [-2.0, 2.0]}),
        "archetype": pd.DataFrame({"CellId": ["d"], "archetype": [0]}),
    }
    table, meshes = run(cells, tmp_path, tables)
    assert set(table["role"]) == {"example", "walk", "archetype"}
    assert table["item"].is_unique
    places = table.drop_duplicates("CellId")
    assert places["n_faces"].sum() == len(meshes["faces"])
    assert places["n_vertices"].sum() == len(meshes["vertices_um"])
    assert table.groupby("CellId")["shape"].nunique().eq(1).all()
    reach = {}
    for row in places.itertuples():
        vertices = meshes["vertices_um"][row.first_vertex : row.first_vertex + row.n_vertices]
        faces = meshes["faces"][row.first_face : row.first_face + row.n_faces]
        assert faces.max() == len(vertices) - 1
        np.testing.assert_allclose(vertices.min(0) + vertices.max(0), 0, atol=1e-5)
        assert row.n_faces <= N_FACES
        reach[row.CellId] = np.ptp(vertices, axis=0).mean()
    # The larger the ball, the larger its surface.
    assert reach["a"] < reach["b"] < reach["c"] < reach["d"] or set(reach) < set("abcd")
    assert reach["a"] < reach["d"]


def test_examples_are_test_cells_and_others_only_where_there_is_none(cells, tmp_path):
    table, _ = run(cells, tmp_path, {})
    assert dict(zip(table["stratum"], table["CellId"], strict=True)) == {"one": "b", "two": "c", "three": "d"}


def test_a_dataset_without_the_stratum_column_shows_one_cell(cells, tmp_path):
    table, _ = run(cells, tmp_path, {}, stratum="structure_name")
    assert table[["stratum", "CellId"]].to_numpy().tolist() == [["all", "b"]]


def test_rows_without_a_cell_are_left_out():
    bins = pd.DataFrame({"bin": [0, 1], "CellId": ["a", None]})
    table = surfaces.list_items(
        {"volume_bin": bins, "archetype": pd.DataFrame({"CellId": [], "archetype": []})}
    )
    assert table["item"].tolist() == ["volume_bin/0"]
    assert list(table.columns) == surfaces.COLUMNS
    assert list(surfaces.list_items({}).columns) == surfaces.COLUMNS


def test_the_same_cells_give_the_same_bytes(cells, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(cells, tmp_path / name, {})
    for name in ("surfaces.npz", "surfaces.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_decimated_surface_stays_closed_and_keeps_its_volume():
    vertices, faces = plot_tables.blob(3)
    decimated = surfaces.decimate(vertices, faces, 200)
    assert len(decimated[1]) <= 200 < len(faces)
    volumes = []
    for points, triangles in ((vertices, faces), decimated):
        a, b, c = points[triangles].transpose(1, 0, 2)
        volumes.append(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
        edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)
    assert surfaces.decimate(*decimated, 5000) == decimated
