"""Tables that list cells or images: their columns, identifiers and paths, and choices of cells."""

import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import parquet

from morphobench import seeds
from morphobench.errors import InputError, named
from morphobench.files import FilePath, derived, identifiers, reserved, text_tables, values
from morphobench.files.reserved import STATE
from morphobench.log import logger

# The stratum of every cell where the manifest distinguishes none.
ALL = "all"
# Names that pandas gives to columns of a parquet table that have none.
_NAMELESS = "__index_level_"


def columns_of(path: FilePath) -> list[str]:
    """Return the names of the columns of a CSV or parquet table.

    Raises
    ------
    InputError
        When the table is missing or unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Point the dataset's source at the table of its images.")
    with _explained(path):
        if _is_parquet(path):
            return [name for name in parquet.read_schema(path).names if not name.startswith(_NAMELESS)]
        return text_tables.form_of(path).columns


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix == ".parquet" and start != b"PAR1":
        raise InputError(
            f"{path}: is no parquet table, whatever its name says. Let it end in .csv, or mend it."
        )
    return path.suffix == ".parquet"


def read(
    path: FilePath,
    columns: Sequence[str],
    text: Sequence[str],
    optional: Sequence[str] | None = None,
    *,
    group: Sequence[str] = (),
    derive: derived.Derive | None = None,
    taken: Collection[str] = tuple(STATE),
) -> pd.DataFrame:
    """Read a table of text (CSV, see `text_tables`) or parquet; columns not read are never held in memory.

    Every value of a table of text is text, whatever it looks like; of parquet, what it is stored as.

    Parameters
    ----------
    columns
        Required columns.
    text
        Required columns, such as identifiers, none of whose values may be missing, as text.
    optional
        Further columns to read where present; None reads all.
    group
        Required columns some of whose values may be missing, as text.
    derive
        Columns to derive (`derived.add`); names of them among the others need not be in the table.
    taken
        Names that the table's own columns make room for, unless required; see `reserved.keep_apart`.

    Raises
    ------
    InputError
        When the table or a column is missing, unreadable or incomplete.
    """
    path, there, derive = Path(path), columns_of(path), derive or {}
    group = [column for column in group if column not in derive]
    required = [column for column in [*columns, *text, *group] if column not in derive]
    needed = dict.fromkeys(
        [*required, *(rule["from"] for rule in derive.values() if rule["from"] not in derive)]
    )
    if missing := [column for column in needed if column not in there]:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; add it ({found(there)}).")
    derived.check_names(derive, [*there, *STATE, "CellId", "group", "split", "shard"], path)
    kept = list(
        dict.fromkeys(column for column in there if optional is None or column in {*needed, *optional})
    )
    with _explained(path):
        if _is_parquet(path):
            table = _read_parquet(path, kept)
        else:
            table = text_tables.read(path, None if optional is None else kept)
    for column in text:
        if (absent := table[column].isna().to_numpy()).any():
            raise InputError(f"{path}: row {absent.argmax() + 1} has no {column}. Complete or remove it.")
    for column in {*text, *group}:
        table[column] = values.text(table[column])
    table = derived.add(table, derive, path)
    return reserved.keep_apart(table, {*taken} - {*columns, *text}, path)


def found(there: Iterable[object]) -> str:
    """Return the columns that a table has, in words; what may be wrong where it has one alone."""
    names = list(map(str, there))
    hint = "; commas, semicolons and tabs separate columns" if len(names) == 1 else ""
    return f"found {', '.join(names)[:500]}{hint}"


def _read_parquet(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read columns, an index of pandas among them, as plain values: no categories, whole numbers exact."""
    table = parquet.read_table(path, columns=list(columns))
    frame = table.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    categories = [name for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    return frame.astype(dict.fromkeys(categories, object))


def whole_ids(ids: pd.Series) -> pd.Series:
    """Return identifiers of which all are whole numbers without the ".0" that some have; others as they are.

    Examples
    --------
    >>> whole_ids(pd.Series(["230741.0", "7"])).tolist(), whole_ids(pd.Series(["1.0", "1.1"])).tolist()
    (['230741', '7'], ['1.0', '1.1'])
    """
    is_whole = ids.str.fullmatch(r"\d+(?:\.0)?")
    return ids.str.removesuffix(".0") if is_whole.all() else ids


def state(error: str = "", *, excluded: bool = False) -> dict[str, Any]:
    """Return the columns `STATE` of one cell, which succeeded unless it has an error."""
    return {"success": not error, "error": error, "excluded": excluded, "seconds": 0.0}


def group_columns(group: str | Sequence[str] | None) -> list[str]:
    """Return the columns that make up the independent unit of a cell; none where each is its own."""
    return [group] if isinstance(group, str) else list(group or [])


def groups(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return the independent unit of each cell: its values joined by /, None where one is missing.

    Examples
    --------
    >>> groups(pd.DataFrame({"plate": ["1", None], "well": ["E7", "E7"]}), ["plate", "well"]).tolist()
    ['1/E7', None]
    """
    known = table[list(columns)].notna().all(axis=1)
    parts = (values.text(table[column]).astype(str) for column in columns)
    joined = pd.Series(["/".join(part) for part in zip(*parts, strict=True)], index=table.index, dtype=object)
    return joined.where(known, None)


def chosen(cells: Sequence[str], max_cells: int | None) -> set[str]:
    """Choose `max_cells` cells by their identifiers alone, so that a larger choice holds a smaller one."""
    if max_cells is None:
        return set(cells)
    return set(sorted(set(cells), key=lambda cell: seeds.integer("choice", cell))[:max_cells])


def kept(table: pd.DataFrame, keep: Mapping[str, Sequence[Any]] | None, path: FilePath) -> pd.Series:
    """Filter the rows of a manifest by the values to keep in each column; shape (n_rows,), bool.

    Raises
    ------
    InputError
        When a column is missing, no cell has one of the values, or none has all.
    """
    is_kept = pd.Series(True, index=table.index)
    for column, wanted in (keep or {}).items():
        if column not in table:
            raise InputError(f"{path}: column {column} of `keep` is missing; mend `keep` ({found(table)}).")
        if len(table) and (absent := values.absent(table[column], wanted)):
            there = f"found {values.listed(table[column])}"
            raise InputError(f"{path}: no cell has {column} {', '.join(absent)} ({there}). Mend `keep`.")
        is_kept &= values.isin(table[column], wanted)
    if len(table) and not is_kept.any():
        filters = " and ".join(f"{column} in {list(wanted)}" for column, wanted in (keep or {}).items())
        raise InputError(f"{path}: none of {len(table)} cells has {filters}: none is left. Mend `keep`.")
    return is_kept


def strata_of(known: pd.DataFrame, column: str) -> np.ndarray:
    """Return the stratum of each cell as text, None where it has none.

    A dataset without the column, or without any value in it, is one stratum called `all`.
    """
    strata = values.text(known[column] if column in known else pd.Series(np.nan, index=known.index))
    if not strata.notna().any():
        logger.warning("no cell has a value of %s: all cells are one stratum", column)
        return np.full(len(known), ALL, dtype=object)
    if strata.isna().any():
        logger.warning("%d cells without a value of %s belong to no stratum", strata.isna().sum(), column)
    return strata.to_numpy(object)


def example_cells(manifest: pd.DataFrame, stratum: str) -> pd.DataFrame:
    """Choose one test cell per stratum, all of one group when a group has every stratum.

    A stratum without a sampled test cell gives another of its cells. Strata are in order of CellId.

    Raises
    ------
    InputError
        When no cell was sampled.
    """
    manifest = manifest.assign(**{stratum: strata_of(manifest, stratum)}).dropna(subset=stratum)
    sampled = manifest[manifest["success"]].sort_values("CellId")
    if sampled.empty:
        raise InputError("no cell was sampled; see the column `error` of the manifest.")
    test = sampled[sampled["split"] == "test"]
    kinds = test.groupby("group")[stratum].nunique()
    full = kinds.index[kinds == sampled[stratum].nunique()]
    pool = test[test["group"] == full[0]] if len(full) else pd.concat([test, sampled])
    return pool.drop_duplicates(stratum)


def inside(folder: Path, value: object, *, absolute: bool = False) -> Path:
    """Return the path of an entry of a table in `folder`, whether or not the file exists.

    Raises
    ------
    InputError
        When the entry is empty or leaves the folder; with `absolute`, absolute paths may.
    """
    with named(f"a row of the table in {folder}"):
        identifiers.check_path(value)
    # Links may lead elsewhere, as to a data disk; only the text of a path may not.
    path = Path(os.path.normpath(folder / value))
    if not path.is_relative_to(os.path.normpath(folder)) and not (absolute and Path(value).is_absolute()):
        remedy = "Write its absolute path" if absolute else "Put the file, or a link to it, there"
        raise InputError(f"{value}: leaves the folder of its table, {folder}. {remedy}.")
    if windows_path(value) and not path.exists():
        raise InputError(f"{value}: is a path of Windows. Write it with / , from {folder} on.")
    return path


def windows_path(value: str) -> bool:
    """Return whether a path is written as on Windows: with a drive, or with backslashes and no slash."""
    return bool(re.match(r"[A-Za-z]:[\\/]", value)) or ("\\" in value and "/" not in value)


def without_prefix(value: object, prefixes: Sequence[str] | None) -> object:
    """Return a path without the first of some leading folders that it starts with.

    In a prefix ``**`` stands for any folders, as in ``/data/**/cells``. A value that is no text is returned.

    Examples
    --------
    >>> without_prefix("/data/user/2019/cells/crop_raw/a.tif", ["/data/**/cells"])
    'crop_raw/a.tif'
    >>> without_prefix("/data/cells_2/a.tif", ["/data/cells"])
    '/data/cells_2/a.tif'
    """
    for prefix in (prefixes or ()) if isinstance(value, str) else ():
        parts = ["(?:[^/]+/)*" if part == "**" else re.escape(part) + "/" for part in _parts(prefix)]
        text = value.replace("\\", "/")
        text = text if text.startswith("/") else "/".join(_parts(text))
        if match := re.match("".join(parts) + "/*", text):
            return text[match.end() :]
    return value


def _parts(path: str) -> list[str]:
    """Return the parts of a path, the first one empty when it is absolute, without its dots."""
    parts = path.replace("\\", "/").rstrip("/").split("/")
    return parts[:1] * (not parts[0]) + [part for part in parts if part not in ("", ".")]


def name_inside(location: str, value: object) -> str:
    """Return the name of a file below a location, its dots resolved.

    Raises
    ------
    InputError
        When it is empty, absolute, or leaves the location.
    """
    with named(location):
        name = posixpath.normpath(identifiers.check_path(value))
    if name.startswith(("/", "../")) or name in ("..", "."):
        raise InputError(f"{value}: leaves {location}, where paths start. Mend it in the manifest.")
    return name


def check_unique(path: Path, ids: pd.Series) -> None:
    """Raise an InputError for identifiers that repeat."""
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        first = f"{ids.name} {', '.join(repeated[:5])}"
        raise InputError(f"{path}: {first} occurs more than once. Keep one row each, or rename them.")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{path}: not readable as a table ({error}). Restore or export it again.") from error
