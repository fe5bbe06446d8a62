"""Tables that list a file for each cell, and the independent units of their cells."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench.download.crops import reserved_names
from morphobench.download.stage import Request
from morphobench.errors import InputError
from morphobench.files import identifiers, manifests, reserved


def read_table(source: Mapping[str, Any], key: str, column: str, taken: Collection[str] = ()) -> pd.DataFrame:
    """Read the table that `source[key]` names, a row per CellId with its file in `column`; those to use.

    `taken` are names that its own columns make room for.

    Raises
    ------
    InputError
        When it is missing or wrong.
    """
    path = Path(source[key])
    group = [one for one in manifests.group_columns(source.get("group")) if one != "CellId"]
    units = {"group": group, "derive": source.get("derive")}
    table = manifests.read(path, [], text=["CellId", column], **units, taken=taken)
    manifests.check_unique(path, table["CellId"])
    return table[table["CellId"].isin(manifests.chosen(table["CellId"], source.get("max_cells")))]


def read_shard(request: Request, key: str, column: str) -> pd.DataFrame:
    """Read the cells of a shard, those of one file together, with their groups and `manifests.STATE`.

    Arguments and errors as those of `read_table`.
    """
    source = request.dataset["source"]
    table = read_table(source, key, column, reserved_names(request.dataset))
    table = table[request.in_shard(table["CellId"])].sort_values(column, kind="stable")
    return with_groups(table.assign(**manifests.state()).reset_index(drop=True), source)


def checked(row: Mapping[str, Any], table: Path, column: str) -> Path:
    """Return the file of a cell, which starts from its table's folder or is absolute.

    Raises
    ------
    InputError
        When the CellId cannot name a cell, or there is no such file.
    """
    if fault := identifiers.fault(row["CellId"]):
        raise InputError(f"{table}: CellId {fault}")
    file = manifests.inside(table.parent, row[column], absolute=True)
    if not file.is_file():
        raise InputError(f"{file}: no such file. Restore it, or correct its row in {table}.")
    return file


def with_groups(cells: pd.DataFrame, source: Mapping[str, Any]) -> pd.DataFrame:
    """Add the independent unit of each cell; a cell whose unit is not known fails."""
    columns = manifests.group_columns(source.get("group")) or ["CellId"]
    # CellId is the cells' own, whatever a table of fields has under this name.
    columns = [one if one == "CellId" else reserved.own_name(one, cells) for one in columns]
    if missing := [column for column in columns if column not in cells]:
        found = ", ".join(map(str, cells))
        raise InputError(f"source.group: the source's table has no column {missing[0]!r} (found {found}).")
    group = manifests.groups(cells, columns)
    unknown = group.isna() & cells["success"]
    reason = f"has no {' or no '.join(columns)}, which source.group needs. Complete the source's table."
    return cells.assign(
        group=group.fillna(cells["CellId"]).astype(object),
        success=cells["success"] & ~unknown,
        error=cells["error"].where(~unknown, reason),
    )
