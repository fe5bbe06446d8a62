"""One small table as people write it: each variant ends as the clean one, or says file, reason and remedy."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from morphobench.download import crops
from morphobench.errors import InputError

COLUMNS = ["nucleus", "picture", "outline", "plate", "treatment", "genotype", "dose", "remark"]
ROWS = [
    ["01", "a.tif", "a_mask.tif", "3500005512", "None", "null", "0.5", "fine"],
    ["1", "b.tif", "b_mask.tif", "4E2", "NA", "wt", "1", "two, or three"],
    ["001", "c.tif", "c_mask.tif", "010", "nan", "het", "2.25", 'called "odd"'],
    ["1e1", "d.tif", "d_mask.tif", "", "n/a", "1_1", "", "Größe"],
]
SOURCE = {"columns": {"CellId": "nucleus", "crop_raw": "picture", "crop_seg": "outline"}, "group": "plate"}


def quoted(text, separator):
    special = any(character in text for character in (separator, '"', "\n"))
    return '"' + text.replace('"', '""') + '"' if special else text


def lines(separator=",", rows=ROWS, columns=COLUMNS):
    return [separator.join(quoted(one, separator) for one in row) for row in [columns, *rows]]


def text(*, separator=",", end="\n", **table):
    return end.join(lines(separator, **table)) + end


def parquet(**change):
    frame = pd.DataFrame(ROWS, columns=COLUMNS).replace("", None)
    buffer = io.BytesIO()
    for name, kind in change.items():
        frame[name] = frame[name].astype(kind)
    frame.to_parquet(buffer)
    return buffer.getvalue()


def indexed():
    buffer = io.BytesIO()
    pd.DataFrame(ROWS, columns=COLUMNS).replace("", None).set_index("nucleus").to_parquet(buffer)
    return buffer.getvalue()


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("xl/workbook.xml", "")
    return buffer.getvalue()


def replaced(row, column, value):
    rows = [list(one) for one in ROWS]
    rows[row][COLUMNS.index(column)] = value
    return rows


WITHOUT_LAST = [[*row[:-1], ""] for row in ROWS]
AS_CLEAN = {
    "as it is": text(),
    "semicolons": text(separator=";"),
    "tabs": text(separator="\t"),
    "sep=;": "sep=;\n" + text(separator=";"),
    "a mark of UTF-8": ("\ufeff" + text()).encode(),
    "UTF-16, little end first": b"\xff\xfe" + text().encode("utf-16-le"),
    "UTF-16, big end first": b"\xfe\xff" + text(separator="\t").encode("utf-16-be"),
    "ends of lines of Windows": text(end="\r\n"),
    "ends of lines of an old Mac": text(end="\r"),
    "no end of the last line": text().rstrip("\n"),
    "all fields in quotes": "\n".join(
        ",".join('"' + one.replace('"', '""') + '"' for one in row) for row in [COLUMNS, *ROWS]
    ),
    "blanks after commas": "\n".join(", ".join(quoted(one, ",") for one in row) for row in [COLUMNS, *ROWS]),
    "blanks around fields": text(rows=[[f" {one} " if one else "" for one in row] for row in ROWS]),
    "a blank where nothing is": text(rows=[[one or "  " for one in row] for row in ROWS]),
    "commas at the end of rows": "\n".join([lines()[0], *(f"{line}," for line in lines()[1:])]),
    "commas at the end of all lines": "".join(f"{line},,\n" for line in lines()),
    "blank lines at the end": text() + "\n\n",
    "rows of commas at the end": text() + 3 * (7 * "," + "\n"),
    "a blank line before": "\n" + text(),
    "a column of numbers before, without a name": "".join(
        f"{number},{line}\n" for number, line in zip(["", 0, 1, 2, 3], lines(), strict=True)
    ),
    "parquet": parquet(),
    "parquet with categories": parquet(picture="category", treatment="category", plate="category"),
    "parquet with nullable text": parquet(nucleus="string", plate="string", treatment="string"),
    "parquet whose index is the id": indexed(),
}
REFUSED = {
    "decimal commas": (text(separator=";", rows=replaced(0, "dose", "0,5")), "column dose: 0,5", "a point"),
    "decimal commas between commas": (
        text().replace("0.5", "0,5"),
        "line 2 has 9 fields, but the header names 8",
        "write decimals with a point",
    ),
    "a field more": (text().replace("wt,1", "wt,1,2"), "line 3 has 9 fields", "double quotes"),
    "Latin-1": (text().encode("latin-1"), "line 5 is not UTF-8 (byte 0xf6", "Save it as CSV UTF-8"),
    "a spreadsheet": (archive(), "is a spreadsheet (.xlsx, .ods)", "Save it as CSV (UTF-8)"),
    "an old spreadsheet": (b"\xd0\xcf\x11\xe0" + bytes(600), "is a spreadsheet of Excel (.xls)", "Save it"),
    "compressed": (gzip.compress(text().encode()), "is compressed", "Unpack it"),
    "a web page": ("<!DOCTYPE html><html></html>", "is a web page", "Fetch the table itself"),
    "nothing": ("", "it is empty", "Restore it"),
    "pipes": (text(separator="|"), "commas, semicolons and tabs separate", "add it"),
    "a column twice": (text(columns=[*COLUMNS[:-1], "dose"]), "two columns are called dose", "Rename one"),
    "no id in the middle": (text(rows=replaced(1, "nucleus", "")), "row 2 has no nucleus", "Complete or rem"),
    "a misspelt column": (text(columns=["nucleous", *COLUMNS[1:]]), "column nucleus is missing", "add it"),
}


@pytest.fixture
def read(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.tif").touch()
        (tmp_path / f"{name}_mask.tif").touch()

    def select(content, **source):
        content = content.encode() if isinstance(content, str) else content
        path = tmp_path / ("cells.parquet" if content.startswith(b"PAR1") else "cells.csv")
        path.write_bytes(content)
        dataset = {"name": "mine", "kind": "punctate", "source": {"cells": str(path), **SOURCE, **source}}
        return crops.list_cells(dataset, lambda ids: np.ones(len(ids), bool))

    return select


@pytest.mark.parametrize("variant", AS_CLEAN)
def test_a_table_is_read_as_it_is_meant(read, variant):
    table = read(AS_CLEAN[variant])
    assert table["success"].all(), table["error"].tolist()
    expected = pd.DataFrame(ROWS, columns=COLUMNS).replace({"": None})
    pd.testing.assert_frame_equal(table[COLUMNS].reset_index(drop=True), expected, check_dtype=False)
    assert table["CellId"].tolist() == ["01", "1", "001", "1e1"]
    assert not [name for name in table if str(name).startswith("Unnamed")] or variant.startswith("a column")


@pytest.mark.parametrize("variant", REFUSED)
def test_a_table_that_could_be_misread_is_refused(read, variant, tmp_path):
    content, reason, remedy = REFUSED[variant]
    with pytest.raises(InputError) as caught:
        read(content)
    for part in (str(tmp_path / "cells.csv"), reason, remedy):
        assert part in str(caught.value)


def test_rows_that_end_early_are_told(read, caplog):
    read("\n".join(line.rpartition(",")[0] if number == 1 else line for number, line in enumerate(lines())))
    assert "1 rows have fewer than 8 fields, the first in line 2" in caplog.text


def test_a_parquet_table_that_is_none_is_told(tmp_path):
    (tmp_path / "cells.parquet").write_text(text())
    with pytest.raises(InputError, match=r"cells\.parquet: is no parquet table.*end in \.csv"):
        crops.select(tmp_path / "cells.parquet", {"kind": "punctate", "source": SOURCE}, optional=None)


@pytest.mark.parametrize(
    ("path", "words"),
    [(r"C:\data\a.tif", "is a path of Windows"), (r"images\a.tif", "Windows"), ("../a.tif", "absolute path")],
)
def test_paths_that_lead_nowhere_say_how_to_write_them(read, path, words):
    table = read(text(rows=replaced(0, "picture", path)))
    assert not table["success"][0]
    assert words in table["error"][0]
    assert table["success"][1:].all()


def test_absolute_paths_work(read, tmp_path):
    assert read(text(rows=replaced(0, "picture", str(tmp_path / "b.tif"))))["success"].all()


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ({"plate": ["010"]}, ["001"]),
        ({"plate": [3500005512]}, ["01"]),
        ({"treatment": ["None", "nan"]}, ["01", "001"]),
        ({"dose": [1.0, 0.5]}, ["01", "1"]),
    ],
)
def test_filters_mean_what_the_column_means(read, keep, kept):
    assert read(text(), keep=keep)["CellId"].tolist() == kept


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"plate": ["010", "10"]}, r"no cell has plate 10 \(found 3500005512, 4E2, 010\)"),
        ({"plate": [400.0]}, "no cell has plate 400"),
        ({"treatment": ["NA"], "genotype": ["het"]}, "none is left"),
        ({"treatmet": ["NA"]}, "column treatmet of `keep` is missing"),
    ],
)
def test_filters_that_match_nothing_are_named(read, keep, words):
    with pytest.raises(InputError, match=words):
        read(text(), keep=keep)


@pytest.mark.parametrize("name", ["group", "split", "shard", "index", "seed", "n_voxels", "box_z", "success"])
def test_the_sources_own_columns_are_kept_beside_those_of_stages(read, name, caplog):
    columns = [name if one == "remark" else one for one in COLUMNS]
    table = read(text(columns=columns))
    assert table[f"source_{name}"].tolist() == [row[-1] for row in ROWS]
    assert f"{name} as source_{name}" in caplog.text


def test_a_column_may_take_another_name_instead(read):
    columns = ["group" if one == "treatment" else one for one in COLUMNS]
    table = read(text(columns=columns), columns={**SOURCE["columns"], "condition": "group"})
    assert table["condition"].tolist() == ["None", "NA", "nan", "n/a"]
