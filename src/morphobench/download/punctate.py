"""Stage `download` for punctate structures: single-cell crops, cut from fields of view or already there.

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
from morphobench.download import fields, manifests
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
        Key source, which has one of the keys fovs (see `fields.cut`) and cells (see `list_cells`), and
        optionally group, the column whose cells stay in one split; each cell by itself without it.
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
    given = [key for key in ("fovs", "cells") if source.get(key)]
    if len(given) != 1:
        raise InputError(
            "the dataset's source must have one of the keys fovs and cells. This version cannot fetch a "
            "quilt package; fetch it yourself and point source.cells at the manifest of the local copy."
        )
    with files.atomic_folder(shard_out) as part:
        if given == ["fovs"]:
            cells = fields.cut(part, source, shard, n_shards)
        else:
            cells = list_cells(source, shard, n_shards)
        stage.finish(part, _grouped(cells, source), max_failed_fraction, "download")


def crop_folder(shard: str | Path, source: Mapping[str, Any]) -> Path:
    """Return the folder that crop_raw and crop_seg of a shard's cell table start from."""
    return Path(shard) if source.get("fovs") else Path()


def list_cells(source: Mapping[str, Any], shard: int, n_shards: int) -> pd.DataFrame:
    """List the cells of a shard whose crops are already there.

    Parameters
    ----------
    source
        Keys cells, a table in the published layout (columns CellId, crop_raw, crop_seg, optionally name_dict,
        structure_name and metadata), and optionally structures, the values of structure_name to keep.
    shard, n_shards
        This shard and their number; a cell's shard follows from its CellId alone.

    Returns
    -------
    pandas.DataFrame
        One row per CellId with the table's columns and those of `manifests.STATE`; crop paths are usable
        from the working directory. Of a repeated CellId the first row stays, as failed.

    Raises
    ------
    InputError
        When the table is missing or wrong, or lacks one of the structures.
    """
    path = Path(source["cells"])
    text = {"CellId", source.get("group") or "CellId"}
    table = manifests.read(path, ["CellId", *fields.CROPS], text=sorted(text))
    n_rows = table.groupby("CellId")["CellId"].transform("size")
    table = _of_structures(table, source.get("structures"), path)
    table = table[[seeds.shard_of(cell, n_shards) == shard for cell in table["CellId"]]]
    table = table.drop_duplicates("CellId")
    repeats = n_rows[table.index]
    rows = [_located(row, path, n) for row, n in zip(table.to_dict("records"), repeats, strict=True)]
    types = table.dtypes.to_dict() | manifests.STATE
    return pd.DataFrame(rows, columns=list(types)).astype(types)


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


def _located(row: dict[str, Any], path: Path, n_rows: int) -> dict[str, Any]:
    """Return a row with the paths of its crops and its state; its CellId occurs in n_rows rows."""
    state = {"success": True, "error": "", "excluded": False, "seconds": 0.0}
    try:
        if n_rows > 1:
            raise InputError(f"{path}: CellId {row['CellId']} occurs in {n_rows} rows. Keep one of them.")
        crops = {kind: manifests.inside(path.parent, row[kind], absolute=True) for kind in fields.CROPS}
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
