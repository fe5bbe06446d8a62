"""Stage `download` for cells in images: crops, cut from fields of view or a stack, or already there.

A shard folder holds the cell table in the published layout: CellId, crop_raw and crop_seg (image files),
name_dict (names of their channels), group, the source's metadata, and how it went. Crops cut here lie in the
shard folder and their paths start there; crops that are already there stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import files, seeds, stage
from morphobench.download import fields, manifests, stack
from morphobench.errors import InputError


def run(
    shard_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Write one shard of raw cells.

    Parameters
    ----------
    shard_out
        Folder to write, whole or not at all.
    dataset
        Key source, which has one of the keys fovs (see `fields.cut`), stack (see `stack.write`) and cells
        (see `list_cells`), and optionally group, the column whose cells stay in one split; each cell by
        itself without it. Key kind: cells that are there may lack one of their crops when it is polymorphic.
    shard, n_shards
        This shard and their number.
    seed
        Not used: nothing is drawn here.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on; excluded cells do not count.

    Raises
    ------
    InputError
        When the source is missing or wrong, or too many cells fail.
    """
    source = dataset["source"]
    given = [key for key in ("fovs", "stack", "cells") if source.get(key)]
    if len(given) != 1:
        raise InputError(
            "the dataset's source must have one of the keys fovs, stack and cells. This version cannot fetch "
            "a quilt package; fetch it yourself and point source.cells at the manifest of the local copy."
        )
    with files.atomic_folder(shard_out) as part:
        if given == ["fovs"]:
            cells = fields.cut(part, source, shard, n_shards)
        elif given == ["stack"]:
            cells = stack.write(part, source, shard, n_shards)
        else:
            both = dataset.get("kind") != "polymorphic"
            cells = list_cells(source, shard, n_shards, both_crops=both)
        stage.finish(part, _grouped(cells, source), max_failed_fraction, "download")


def crop_folder(shard: str | Path, source: Mapping[str, Any]) -> Path:
    """Return the folder that crop_raw and crop_seg of a shard's cell table start from."""
    return Path(shard) if source.get("fovs") or source.get("stack") else Path()


def list_cells(
    source: Mapping[str, Any], shard: int, n_shards: int, *, both_crops: bool = True
) -> pd.DataFrame:
    """List the cells of a shard whose crops are already there.

    Parameters
    ----------
    source
        Keys cells, a table in the published layout (columns CellId, crop_raw, crop_seg, optionally name_dict,
        structure_name and metadata), and optionally columns, those to take for crop_raw and crop_seg instead;
        structures, the values of structure_name to keep; and max_cells (`manifests.chosen`).
    shard, n_shards
        This shard and their number; a cell's shard follows from its CellId alone.
    both_crops
        Whether every cell needs crop_raw and crop_seg; otherwise one of them does.

    Returns
    -------
    pandas.DataFrame
        One row per CellId with the table's columns and those of `manifests.STATE`; crop paths are usable
        from the working directory, empty for a crop that a cell lacks. Of a repeated CellId the first row
        stays, as failed.

    Raises
    ------
    InputError
        When the table is missing or wrong, or lacks one of the structures.
    """
    path = Path(source["cells"])
    table = _with_crops(_read_cells(source, both_crops), path)
    n_rows = table.groupby("CellId")["CellId"].transform("size")
    table = _of_structures(table, source.get("structures"), path)
    chosen = manifests.chosen(table["CellId"], source.get("max_cells"))
    mine = [cell in chosen and seeds.shard_of(cell, n_shards) == shard for cell in table["CellId"]]
    table = table[mine]
    table = table.drop_duplicates("CellId")
    repeats = n_rows[table.index]
    rows = [
        _located(row, path, n, both_crops) for row, n in zip(table.to_dict("records"), repeats, strict=True)
    ]
    types = table.dtypes.to_dict() | manifests.STATE
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _read_cells(source: Mapping[str, Any], both_crops: bool) -> pd.DataFrame:
    """Read the table of cells; where the source names other columns for the crops, they take their place."""
    theirs = source.get("columns") or {}
    needed = [theirs.get(kind, kind) for kind in fields.CROPS if both_crops or kind in theirs]
    text = {"CellId", source.get("group") or "CellId"}
    table = manifests.read(source["cells"], ["CellId", *needed], text=sorted(text))
    return table.assign(**{kind: table[column] for kind, column in theirs.items()})


def _of_structures(table: pd.DataFrame, structures: list[str] | None, path: Path) -> pd.DataFrame:
    if not structures:
        return table
    there = table["structure_name"].unique() if "structure_name" in table else []
    missing = sorted(set(structures) - set(there))
    if missing:
        raise InputError(
            f"{path}: no cell has structure_name {', '.join(missing)} (found {', '.join(map(str, there))}). "
            "Mend source.structures."
        )
    return table[table["structure_name"].isin(structures)]


def _with_crops(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the table with both crop columns as text, empty where it names no file."""
    if not set(fields.CROPS) & set(table):
        raise InputError(
            f"{path}: has neither column {' nor '.join(fields.CROPS)}; add that of the segmentation "
            f"(found {', '.join(map(str, table))[:500]})."
        )
    crops = {kind: table.get(kind, "") for kind in fields.CROPS}
    return table.assign(**crops).fillna(dict.fromkeys(fields.CROPS, ""))


def _located(row: dict[str, Any], path: Path, n_rows: int, both_crops: bool) -> dict[str, Any]:
    """Return a row with the paths of its crops and its state; its CellId occurs in n_rows rows."""
    state = {"success": True, "error": "", "excluded": False, "seconds": 0.0}
    try:
        if n_rows > 1:
            raise InputError(f"{path}: CellId {row['CellId']} occurs in {n_rows} rows. Keep one of them.")
        named = [kind for kind in fields.CROPS if row[kind]]
        needed = fields.CROPS if both_crops or not named else named
        crops = {kind: manifests.inside(path.parent, row[kind], absolute=True) for kind in needed}
        for crop in crops.values():
            if not crop.is_file():
                raise InputError(f"{crop}: no such file. Restore it, or mend or remove its row in {path}.")
    except InputError as error:
        return row | state | {"success": False, "error": str(error)}
    return row | state | {kind: str(crop) for kind, crop in crops.items()}


def _grouped(cells: pd.DataFrame, source: Mapping[str, Any]) -> pd.DataFrame:
    column = source.get("group") or "CellId"
    if column not in cells:
        raise InputError(
            f"source.group: the source's table has no column {column!r} (found {', '.join(map(str, cells))})."
        )
    if cells[column].isna().any():
        cell = cells.loc[cells[column].isna(), "CellId"].iloc[0]
        raise InputError(f"source.group: cell {cell} has no {column}. Complete the source's table.")
    return cells.assign(group=cells[column].astype(str).astype(object))
