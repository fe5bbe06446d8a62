"""The reader of text tables on tables of any content: what was written comes back as text."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morphobench import files
from morphobench.files import text_tables

WORDS = st.sampled_from(
    ["None", "NA", "nan", "null", "01", "1.0", "1e1", "", "a b", "ä", "x,y", "x;y", 'q"q', "$a$"]
)
TABLES = st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(WORDS, min_size=n, max_size=n), min_size=1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=TABLES, separator=st.sampled_from(",;\t"), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
)
def test_what_was_written_comes_back(tmp_path, rows, separator, encoding):
    names = [f"column {number}" for number in range(len(rows[0]))]
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows([names, *rows])
    while rows and not any(rows[-1]):
        rows = rows[:-1]
    expected = [[one or None for one in row] for row in rows]
    assert text_tables.read(path).to_numpy(object).tolist() == expected
    assert text_tables.read(path, names[1:]).to_numpy(object).tolist() == [row[1:] for row in expected]


@pytest.mark.parametrize("line", ['a, "b, c"', '"a\nb",c', "a,b,", "a,b,,,"])
def test_lines_that_need_the_slow_way_are_read_as_the_others(tmp_path, line):
    (tmp_path / "t.csv").write_text(f"x,y\n1,2\n{line}\n")
    first = {'a, "b, c"': ["a", "b, c"], '"a\nb",c': ["a\nb", "c"]}.get(line, ["a", "b"])
    assert text_tables.read(tmp_path / "t.csv").values.tolist() == [["1", "2"], first]


def test_names_of_columns_over_several_lines(tmp_path):
    (tmp_path / "t.csv").write_text('"a\nb",c\n1,2\n')
    assert text_tables.read(tmp_path / "t.csv").to_dict("list") == {"a\nb": ["1"], "c": ["2"]}


def test_whole_numbers_keep_their_digits_in_a_csv(tmp_path):
    table = pd.DataFrame(
        {"plate": [3500005512.0, 3500005514.0, np.nan], "n": [1, 2, 3], "x": [0.1, 1e12, 1 / 3]}
    )
    files.write_table(table, tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    assert text == "plate,n,x\n3500005512,1,0.1\n3500005514,2,1000000000000\n,3,0.333333333\n"


def test_words_for_missing_are_words_in_tables_of_the_workflow(tmp_path):
    table = pd.DataFrame(
        {"stratum": ["null", "NA", "nan", "None", None, "1", "01"], "PC_1": [0.5] * 6 + [np.nan]}
    )
    files.write_table(table, tmp_path / "t.csv")
    found = files.read_csv(tmp_path / "t.csv", ["stratum"])
    assert found["stratum"].where(found["stratum"].notna(), None).tolist() == table["stratum"].tolist()
    assert found["PC_1"].dtype == float
