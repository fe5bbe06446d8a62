"""Tables that a source lists its images in: their columns, identifiers and paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.log import logger

# Columns of the cell table that this stage makes; a source's column of the same name gives way.
STATE = {"success": "bool", "error": "object", "excluded": "bool", "seconds": "float64"}


def read(path: str | Path, columns: Sequence[str], text: Sequence[str]) -> pd.DataFrame:
    """Read a CSV or parquet table.

    Parameters
    ----------
    path
        File ending in .csv or .parquet.
    columns
        Columns that must be there.
    text
        Columns, such as identifiers, whose values are text whatever they look like; no value may be missing.

    Raises
    ------
    InputError
        When the table or a column is missing, unreadable or incomplete.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Point the dataset's source at the table of its images.")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=dict.fromkeys(text, str), low_memory=False)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not readable as a table ({error}). Restore or export it again.") from error
    missing = [column for column in dict.fromkeys([*columns, *text]) if column not in table]
    if missing:
        raise InputError(
            f"{path}: column {', '.join(missing)} is missing; add it "
            f"(found {', '.join(map(str, table))[:500]})."
        )
    for column in text:
        if table[column].isna().any():
            first = int(table[column].isna().to_numpy().argmax()) + 1
            raise InputError(f"{path}: row {first} has no {column}. Complete or remove it.")
        table[column] = table[column].astype(str).astype(object)
    return _without_state(table)


def chosen(cells: Sequence[str], max_cells: int | None) -> set[str]:
    """Return a fixed choice of so many cells, spread over all of them; all for None.

    It depends on the identifiers alone, so a larger choice holds a smaller one.
    """
    return set(sorted(set(cells), key=lambda cell: seeds.integer("choice", cell))[:max_cells])


def inside(folder: Path, value: object, *, absolute: bool = False) -> Path:
    """Return the path that a table in a folder names, whether or not a file is there.

    Parameters
    ----------
    folder
        Folder of the table, which relative paths start from and may not leave.
    value
        The table's entry.
    absolute
        Whether an absolute path may lie elsewhere.

    Raises
    ------
    InputError
        When the entry is empty or leaves the folder.
    """
    if not isinstance(value, str) or not value:
        raise InputError(f"a row of the table in {folder} names no file. Complete or remove it.")
    # Links may lead elsewhere, as to a data disk; only the text of a path may not.
    path = Path(os.path.normpath(folder / value))
    if not (path.is_relative_to(os.path.normpath(folder)) or (absolute and Path(value).is_absolute())):
        raise InputError(
            f"{value}: leaves the folder of its table, {folder}. Move the file below it, or mend the path."
        )
    return path


def check_file_part(path: Path, column: str, value: str) -> None:
    """Stop at an identifier that cannot be part of a file's name.

    Raises
    ------
    InputError
        Naming the table and the column.
    """
    if set(value) & set("/\\\0"):
        raise InputError(f"{path}: {column} {value!r} cannot be part of a file name. Take out the slashes.")


def _without_state(table: pd.DataFrame) -> pd.DataFrame:
    taken = [column for column in table if column in STATE]
    if taken:
        logger.warning("the source's columns %s are not kept: this workflow has its own", ", ".join(taken))
    return table.drop(columns=taken)
