"""Embeddings of one's own: checked, and the standard table of all cells."""

import numpy as np
import pandas as pd
import pytest

from morphobench.embed import own
from morphobench.errors import InputError
from morphobench.files import read_table, write_table
from morphobench.files.tables import embedding_matrix
from morphobench.geometry.rotation import MATRIX_COLUMNS, cube_rotations

IDS = ["01", "1", "b", "failed"]
MANIFEST = pd.DataFrame({"CellId": IDS}).assign(
    group=IDS, split=["train", "test", "test", "test"], success=[True, True, True, False]
)


def numbers(ids=("b", "01", "1"), **columns):
    table = pd.DataFrame({"CellId": list(ids)}).assign(x=np.arange(len(ids)) / 3, y=-1.5)
    return table.assign(**columns)


def rotated():
    return pd.concat([numbers(("1", "b")).assign(rotation=k, x=k / 7) for k in range(24)])


def embedded(folder, table, name="mine.csv", rotations="identity"):
    folder.mkdir(exist_ok=True)
    write_table(MANIFEST, folder / "manifest.parquet")
    write_table(table, folder / name)
    out = folder / "out.parquet"
    own.run(folder / "manifest.parquet", folder / name, out, rotations=rotations)
    return read_table(out)


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_each_cell_has_its_numbers(tmp_path, name):
    found = embedded(tmp_path, numbers(), name)
    assert found["CellId"].tolist() == ["01", "1", "b"]
    np.testing.assert_allclose(embedding_matrix(found), [[1 / 3, -1.5], [2 / 3, -1.5], [0, -1.5]], rtol=1e-6)
    assert found["split"].tolist() == ["train", "test", "test"]


def test_more_cells_than_the_manifest_has_do_no_harm(tmp_path):
    more = numbers(("b", "01", "1", "failed", "stranger"))
    assert len(embedded(tmp_path, more)) == 3


def test_rotated_cells_have_the_rotations_by_their_place(tmp_path):
    found = embedded(tmp_path, rotated(), rotations="lattice")
    assert len(found) == 48
    np.testing.assert_allclose(embedding_matrix(found)[:, 0], found["rotation"] / 7, rtol=1e-6)
    matrices = found[MATRIX_COLUMNS].to_numpy().reshape(-1, 3, 3)
    np.testing.assert_array_equal(matrices, cube_rotations()[found["rotation"]])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (numbers(("b", "1")), r"lacks 1 of 3 cells \(01\)\. Add them"),
        (numbers(x=["0.1", "high", "0.2"]), r"column x has 'high' where a finite number must stand"),
        (numbers(x=[0.1, np.nan, 0.2]), "column x has nothing where a finite number"),
        (numbers(x=[0.1, np.inf, 0.2]), "column x has"),
        (numbers(("b", "01", "01", "1")), "CellId 01 occurs more than once"),
        (numbers()[["CellId"]], "no column beside CellId"),
        (numbers().drop(columns="CellId"), "CellId is missing"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_file_and_reason(tmp_path, table, reason):
    with pytest.raises(InputError, match=reason) as caught:
        embedded(tmp_path, table)
    assert "mine.csv" in str(caught.value)
    assert not (tmp_path / "out.parquet").exists()


def test_a_rotation_that_is_missing_is_named(tmp_path):
    table = rotated().query("not (rotation == 3 and CellId == 'b')")
    with pytest.raises(InputError, match=r"lacks 1 of 2 cells \(b, the first under rotation 3\)"):
        embedded(tmp_path, table, rotations="lattice")
    with pytest.raises(InputError, match="column rotation is missing"):
        embedded(tmp_path, numbers(), rotations="lattice")


def test_a_file_that_is_not_there_is_named(tmp_path):
    write_table(MANIFEST, tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        own.run(tmp_path / "manifest.parquet", tmp_path / "none.csv", tmp_path / "out.parquet")
