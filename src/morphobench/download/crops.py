"""Cells whose crops exist already: the table that lists them, cut down to what a run needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.layout import CROPS

# How many rows of the source's table had this CellId; in no result.
N_ROWS = "_n_rows"
# Columns of the source's table that every stage knows.
_KNOWN = ("name_dict", "structure_name", "cell_stage")


def select(
    path: Path, source: Mapping[str, Any], *, both_crops: bool, optional: Sequence[str] | None
) -> pd.DataFrame:
    """Read the table of cells and keep the rows that the source's filters let through.

    Parameters
    ----------
    path
        Table in the published layout (columns CellId, crop_raw, crop_seg, optionally name_dict,
        structure_name, cell_stage and metadata).
    source
        Optional keys: columns, the table's names of CellId, crop_raw, crop_seg and structure_name where they
        differ; channel_names, by crop, for a table without name_dict; structures, values of structure_name to
        keep; keep (`manifests.kept`); max_cells (`manifests.chosen`); metadata, the columns that must be
        there beside those that every stage knows; group.
    both_crops
        Whether the table must have both crops; otherwise one of them does.
    optional
        Further columns to keep where they are there; None keeps all, unless the source has metadata.

    Returns
    -------
    pandas.DataFrame
        One row per CellId, the first; crops as text, empty where there is none; and `N_ROWS`.

    Raises
    ------
    InputError
        When the table is missing or wrong, or lacks one of the structures, or what `keep` names.
    """
    theirs, metadata = source.get("columns") or {}, source.get("metadata") or []
    needed = [theirs.get(kind, kind) for kind in CROPS if both_crops or kind in theirs]
    cell_id = theirs.get("CellId", "CellId")
    text = sorted({cell_id, source.get("group") or cell_id})
    if optional is not None or metadata:
        optional = [*CROPS, *_KNOWN, *(optional or [])]
    wanted = [cell_id, *needed, *theirs.values(), *(source.get("keep") or {}), *metadata]
    table = manifests.read(path, wanted, text=text, optional=optional)
    table = table.assign(**{name: table[column] for name, column in theirs.items()})
    if source.get("channel_names"):
        table = table.assign(name_dict=str(dict(source["channel_names"])))
    table = _with_crops(table, path)
    table = table.assign(**{N_ROWS: table.groupby("CellId")["CellId"].transform("size")})
    table = _of_structures(table, source.get("structures"), path)
    table = table[manifests.kept(table, source.get("keep"), path)]
    chosen = manifests.chosen(table["CellId"], source.get("max_cells"))
    return table[table["CellId"].isin(chosen)].drop_duplicates("CellId")


def located(
    table: pd.DataFrame, path: str | Path, both_crops: bool, find: Callable[[str], Path]
) -> pd.DataFrame:
    """Return cells with the paths of their crops and the columns of `manifests.STATE`.

    Parameters
    ----------
    table
        As `select` returns it.
    path
        The source's table, for messages.
    both_crops
        Whether every cell needs both crops; otherwise one of them does.
    find
        Returns the place of a crop by its entry in the table; an InputError it raises fails the cell.
    """
    rows = [_located(row, path, both_crops, find) for row in table.to_dict("records")]
    types = table.drop(columns=N_ROWS).dtypes.to_dict() | manifests.STATE
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def crops_of(row: Mapping[str, Any], both_crops: bool) -> list[str]:
    """Return the crops that a cell needs: both, or those that it has."""
    named = [kind for kind in CROPS if row[kind]]
    return list(CROPS) if both_crops or not named else named


def _located(
    row: dict[str, Any], path: str | Path, both_crops: bool, find: Callable[[str], Path]
) -> dict[str, Any]:
    state = {"success": True, "error": "", "excluded": False, "seconds": 0.0}
    n_rows = row.pop(N_ROWS)
    try:
        if n_rows > 1:
            raise InputError(f"{path}: CellId {row['CellId']} occurs in {n_rows} rows. Keep one of them.")
        crops = {kind: str(find(row[kind])) for kind in crops_of(row, both_crops)}
    except InputError as error:
        return row | state | {"success": False, "error": str(error)}
    return row | state | crops


def in_folder(path: Path, folder: Path, *, absolute: bool) -> Callable[[str], Path]:
    """Return the function that finds crops in a folder; `path` is the table that names them."""

    def find(value: str) -> Path:
        crop = manifests.inside(folder, value, absolute=absolute)
        if not crop.is_file():
            raise InputError(f"{crop}: no such file. Restore it, or mend or remove its row in {path}.")
        return crop

    return find


def _of_structures(table: pd.DataFrame, structures: Sequence[str] | None, path: Path) -> pd.DataFrame:
    if not structures:
        return table
    there = table["structure_name"].unique() if "structure_name" in table else []
    missing = sorted(set(structures) - set(there))
    if missing:
        raise InputError(
            f"{path}: no cell has structure_name {', '.join(missing)} "
            f"(found {', '.join(map(str, there))[:500]}). Mend source.structures."
        )
    return table[table["structure_name"].isin(structures)]


def _with_crops(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the table with both crop columns as text, empty where it names no file."""
    if not set(CROPS) & set(table):
        raise InputError(
            f"{path}: has neither column {' nor '.join(CROPS)}; add that of the segmentation "
            f"(found {', '.join(map(str, table))[:500]})."
        )
    crops = {kind: table.get(kind, "") for kind in CROPS}
    return table.assign(**crops).fillna(dict.fromkeys(CROPS, ""))
