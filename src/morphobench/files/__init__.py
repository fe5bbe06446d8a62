"""Atomic writing of files and folders; tables, JSON, and the cell table and arrays of a shard."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import file_rows

FilePath = str | Path
CELL_TABLE = "cells.parquet"


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
        reason = f"{path} could not be written: {error.strerror or error}"
        raise InputError(f"{reason}. Check free space (df -h) and the folder's rights, run again.") from error


@contextmanager
def atomic_file(path: FilePath) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the final name, on failure it vanishes."""
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _explained(path):
            # What a killed job left: only one job at a time ever writes a folder.
            for left in path.parent.glob(f".{path.name}.*.part"):
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_table(table: pd.DataFrame, path: FilePath) -> None:
    """Write a table atomically as parquet, or as CSV when the name ends in .csv."""
    with atomic_file(path) as part:
        if Path(path).suffix == ".csv":
            table.to_csv(part, index=False, float_format="%.9g", lineterminator="\n")
        else:
            table.to_parquet(part, index=False)


def write_json(data: dict[str, Any], path: FilePath) -> None:
    """Write a dictionary atomically as indented JSON with sorted keys."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(data, indent=1, sort_keys=True, default=float) + "\n")


def read_table(path: FilePath) -> pd.DataFrame:
    """Read a parquet or CSV table that this workflow wrote."""
    return pd.read_csv(path) if Path(path).suffix == ".csv" else pd.read_parquet(path)


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
