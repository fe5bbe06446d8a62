"""A table in any place, read by parts: whole when it is small, else its header and rows from all over it."""

import csv
import io
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pandas as pd

from morphobench.errors import InputError
from morphobench.files import text_tables
from morphobench.remote import Store

# Larger tables are read in parts: so much comes within half a minute from anywhere.
WHOLE_BYTES = 32_000_000
_LIMIT_BYTES = 64_000_000
_N_PARTS, _PART_BYTES, _HEADER_BYTES = 40, 2**17, 2**22


class Part(NamedTuple):
    """A copy of all or some rows of a table, its columns, and its number of rows, or an estimate."""

    path: Path
    columns: list[str]
    n_rows: int
    is_whole: bool


def read(store: Store, name: str, folder: Path, *, dataset: str) -> Part:
    """Copy a table, or its header and rows from many places in it, into a folder.

    Raises
    ------
    InputError
        When it cannot be read, holds no table, or is too large for its form.
    """
    label, path = f"{store.location}: {name}", folder / Path(name).name
    with store.open(name, dataset=dataset, limit=_LIMIT_BYTES) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        _check_start(file, label, size)
        if size <= WHOLE_BYTES:
            path.write_bytes(file.read())
            return _whole(path, label)
        if path.suffix == ".parquet":
            raise InputError(f"{label}: {size / 1e6:.0f} MB are too many to be checked. Check a CSV instead.")
        columns, rows, n_rows = _some_rows(file, size, label)
    frame = pd.DataFrame(rows, columns=columns)
    frame.to_csv(path, index=False)
    return Part(path, columns, n_rows, is_whole=False)


def _check_start(file: BinaryIO, label: str, size: int) -> None:
    start = file.read(512).lstrip()
    file.seek(0)
    if not start:
        raise InputError(f"{label}: is empty ({size} bytes). Restore it, or mend source.cells.")
    if start.startswith(b"<"):
        line = start.splitlines()[0][:80].decode(errors="replace")
        reason = f"a web page or XML ({line}) came instead of a table; the place may lead elsewhere"
        raise InputError(f"{label}: {reason}. Open it in a browser, and mend source.location.")


def _whole(path: Path, label: str) -> Part:
    try:
        if path.suffix == ".parquet":
            from pyarrow import parquet

            table = parquet.ParquetFile(path)
            return Part(path, table.schema_arrow.names, table.metadata.num_rows, is_whole=True)
        columns, n_rows = text_tables.form_of(path).columns, text_tables.count_rows(path)
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise InputError(
            f"{label}: not readable as a table ({error}). Restore or export it again."
        ) from error
    return Part(path, columns, n_rows, is_whole=True)


def _some_rows(file: BinaryIO, size: int, label: str) -> tuple[list[str], list[list[str]], int]:
    """Return columns, rows from all over a CSV, and about how many it has."""
    head = file.readline(_HEADER_BYTES)
    if not head.endswith(b"\n"):
        raise InputError(f"{label}: its first line is longer than {_HEADER_BYTES} bytes: is it a CSV?")
    columns = next(csv.reader([head.decode(errors="replace")]))
    rows, n_bytes, n_lines = [], 0, 0
    for number in range(_N_PARTS):
        # The first part starts at a row, the others anywhere.
        file.seek(len(head) + (size - len(head) - _PART_BYTES) * number // (_N_PARTS - 1))
        lines = file.read(_PART_BYTES).split(b"\n")[bool(number) : -1]
        n_bytes, n_lines = n_bytes + sum(len(line) + 1 for line in lines), n_lines + len(lines)
        text = (line.decode(errors="replace") + "\n" for line in lines)
        rows += [row for row in csv.reader(text) if len(row) == len(columns)]
    if not rows:
        raise InputError(f"{label}: no row has as many entries as its header, {len(columns)}: is it a CSV?")
    return columns, rows, round((size - len(head)) / (n_bytes / n_lines))
