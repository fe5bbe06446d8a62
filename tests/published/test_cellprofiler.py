"""CellProfiler features of published cells: there, not there, out of reach."""

import pytest
from fabricate.published_folders import DOWNLOAD, published_dataset

from morphobench.published import cellprofiler


def fetched(tmp_path, location, name="features.csv"):
    described = published_dataset(location, "polymorphic", cellprofiler=name)
    cellprofiler.run(tmp_path / "out.csv", dataset=described, download_config=DOWNLOAD)
    return (tmp_path / "out.csv").read_bytes()


def test_a_table_that_is_there_is_taken_as_it_is(tmp_path):
    (tmp_path / "features.csv").write_bytes(b"CellId,Mean_Area\na,1\n")
    assert fetched(tmp_path, tmp_path) == b"CellId,Mean_Area\na,1\n"


@pytest.mark.parametrize("location", ["", "nowhere", "http://127.0.0.1:9/bucket"])
def test_without_one_there_is_an_empty_file_and_one_line_in_the_log(tmp_path, caplog, location):
    caplog.set_level("INFO")
    place = location if "://" in location else tmp_path / location
    assert fetched(tmp_path, place) == b""
    assert caplog.text.count("no CellProfiler features") == 1
