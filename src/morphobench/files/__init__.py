"""Atomic writing of files and folders; tables, JSON, and the cell table and arrays of a shard."""

import errno
import glob
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from morphobench.errors import InputError
from morphobench.files import file_rows

FilePath = str | Path
CELL_TABLE = "cells.parquet"
_FULL, _LITTLE_BYTES = (errno.ENOSPC, errno.EDQUOT), 2**16
# Whole numbers below it are exact as float64.
_EXACT = 2**53
_OLD_S, _MOST_HOST_CHARACTERS = 24 * 3600, 40


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise an InputError with the remedy when the place cannot be written: no space, no permission."""
    try:
        yield
    except OSError as error:
        # Reading goes on in the same block; only an error of this place is about writing.
        # A copy names its source first.
        named = error.filename2 or error.filename
        if named is not None and path.parent not in (Path(named), *Path(named).parents):
            raise
        place = _full_folder(path.parent) if error.errno in _FULL else None
        if place is not None:
            reason = f"{place}, the folder of temporary files, is full"
            raise InputError(
                f"{reason}. Make room there, or set TMPDIR to another one, run again."
            ) from error
        reason = f"{path} could not be written: {error.strerror or error}"
        raise InputError(f"{reason}. Check free space (df -h) and the folder's rights, run again.") from error


def _full_folder(folder: Path) -> Path | None:
    """Return the folder of temporary files where that is full and another one is not."""
    temporary = Path(tempfile.gettempdir())
    free = [shutil.disk_usage(place).free for place in (folder, temporary)]
    return temporary if free[1] < _LITTLE_BYTES <= free[0] else None


def _part_of(path: Path) -> Path:
    """Return a temporary path beside a path, of this process; what killed processes left is removed.

    Other machines may write there too: their parts are removed when they are a day old.
    """
    host = platform.node()[:_MOST_HOST_CHARACTERS]
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        made_by, _, number = left.name.removesuffix(".part").rpartition("-")
        if made_by.endswith(f".{host}"):
            is_dead = not number.isdecimal() or not psutil.pid_exists(int(number))
        else:
            is_dead = time.time() - left.stat().st_mtime > _OLD_S
        if is_dead:
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{host}-{os.getpid()}.part")


@contextmanager
def atomic_file(path: FilePath) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the final name, on failure it vanishes."""
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _part_of(path)
    try:
        with _explained(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: FilePath) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it replaces `path`, on failure it vanishes."""
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _part_of(path)
    try:
        with _explained(path):
            temporary.mkdir()
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_table(table: pd.DataFrame, path: FilePath) -> None:
    """Write a table atomically as parquet, or as CSV when the name ends in .csv.

    In a CSV numbers have nine digits, but whole numbers all of theirs.
    """
    with atomic_file(path) as part:
        if Path(path).suffix == ".csv":
            write_csv(table, part, index=False)
        else:
            table.to_parquet(part, index=False)


def write_csv(table: pd.DataFrame, path: FilePath, *, index: bool) -> None:
    """Write a table as CSV, numbers with nine digits, which bring a float32 back, whole numbers with all."""
    floats = table.select_dtypes("float")
    has_long = bool((floats.abs().ge(1e9) & (floats % 1 == 0)).any(axis=None))
    style = {"float_format": _digits if has_long else "%.9g", "lineterminator": "\n", "encoding": "utf-8"}
    table.to_csv(path, index=index, **style)


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) < _EXACT and float(value).is_integer() else f"{value:.9g}"


def write_json(data: dict[str, Any], path: FilePath) -> None:
    """Write a dictionary atomically as indented JSON with sorted keys."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(data, indent=1, sort_keys=True, default=float) + "\n", encoding="utf-8")


def read_table(path: FilePath) -> pd.DataFrame:
    """Read a parquet or CSV table that this workflow wrote."""
    return read_csv(path) if Path(path).suffix == ".csv" else pd.read_parquet(path)


def read_csv(path: FilePath, names: Iterable[str] = ()) -> pd.DataFrame:
    """Read a CSV that this workflow wrote; columns of names are text, and only empty fields are missing."""
    types = dict.fromkeys(names, str)
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""], encoding="utf-8")


def read_cells(shard: FilePath) -> pd.DataFrame:
    """Read the cell table of a shard: one row per cell, with at least CellId, group, success, error."""
    return pd.read_parquet(Path(shard) / CELL_TABLE)


def read_cell(shard: FilePath, cell: str) -> dict[str, Any]:
    """Read one cell's row of the cell table of a shard, by its CellId."""
    cells = read_cells(shard)
    return cells[cells["CellId"] == cell].iloc[0].to_dict()


def array_file(shard: FilePath, name: str) -> Path:
    """Return the file of the array `name` of a shard: the array itself, or the table of its files."""
    path, listing = Path(shard) / f"{name}.npy", Path(shard) / f"{name}{file_rows.SUFFIX}"
    return listing if listing.exists() else path


def read_array(shard: FilePath, name: str) -> np.ndarray | file_rows.FileRows:
    """Open the array `name` of a shard without loading it: memory-mapped, or row by row."""
    path = array_file(shard, name)
    is_listing = path.suffix == ".parquet"
    return file_rows.FileRows(path) if is_listing else np.load(path, mmap_mode="r", allow_pickle=False)
