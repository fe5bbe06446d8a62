"""Files appear whole or not at all, and say what to do when they cannot."""

import errno
import os

import numpy as np
import pandas as pd
import pytest

from morphobench import files
from morphobench.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "table.csv"
    files.write_table(pd.DataFrame({"a": [1]}), path)

    def write_half() -> None:
        with files.atomic_file(path) as part:
            part.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_half()
    assert files.read_table(path)["a"].tolist() == [1]
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_failed_folder_leaves_nothing(tmp_path):
    def write_half() -> None:
        with files.atomic_folder(tmp_path / "shard-0") as part:
            (part / "x").write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_half()
    assert os.listdir(tmp_path) == []


def test_a_folder_replaces_an_older_one(tmp_path):
    for content in ("old", "new"):
        with files.atomic_folder(tmp_path / "shard-0") as part:
            (part / content).write_text("")
    assert os.listdir(tmp_path / "shard-0") == ["new"]


def test_no_space_says_what_to_do(tmp_path):
    with (
        pytest.raises(InputError, match=r"x\.bin could not be written.*No space.*df -h"),
        files.atomic_file(tmp_path / "x.bin"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_unwritable_place_says_what_to_do(tmp_path):
    (tmp_path / "results").write_text("a file where a folder belongs")
    with pytest.raises(InputError, match="could not be written"):
        files.write_json({}, tmp_path / "results" / "a.json")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_come_back_and_have_the_same_bytes_twice(tmp_path, suffix):
    table = pd.DataFrame({"CellId": ["a", "b"], "value": np.array([0.1, 2.5])})
    first, second = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    files.write_table(table, first)
    files.write_table(table, second)
    assert first.read_bytes() == second.read_bytes()
    pd.testing.assert_frame_equal(files.read_table(first), table)


def test_a_copy_to_a_full_disk_is_explained_too(tmp_path):
    part = tmp_path / ".out.part"
    full = OSError(28, "No space left on device", "/elsewhere/source", None, str(part))
    with (
        pytest.raises(InputError, match=r"out could not be written: No space left"),
        files.atomic_file(tmp_path / "out"),
    ):
        raise full
