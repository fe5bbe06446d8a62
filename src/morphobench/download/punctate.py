"""Stage `download` for cells in images: crops, cut from fields of view or a stack, or already there.

A shard folder holds the cell table in the published layout: CellId, crop_raw and crop_seg (image files),
name_dict (names of their channels), group, the source's metadata, and how it went. Crops cut here lie in the
shard folder and their paths start there; crops that are already there, or in the cache, stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import files, seeds
from morphobench.download import crops, fields, index, stack
from morphobench.download.remote import is_remote, local_folder
from morphobench.errors import InputError
from morphobench.files import shards

Mine = Callable[[Iterable[str]], list[bool]]


def run(
    shard_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    seed: int,
    max_failed_fraction: float,
    manifest: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
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
    manifest, settings
        For a remote source, the index of its cells (`index.run`) and section `download` of the configuration.

    Raises
    ------
    InputError
        When the source is missing or wrong, or too many cells fail.
    """
    source = dataset["source"]

    def mine(cells: Iterable[str]) -> list[bool]:
        return [seeds.shard_of(cell, n_shards) == shard for cell in cells]

    given = [key for key in ("fovs", "stack", "cells") if source.get(key)]
    if len(given) != 1:
        raise InputError(
            "the dataset's source must have one of the keys fovs, stack and cells; cells is the manifest of "
            "crops, below source.location where that is set."
        )
    with files.atomic_folder(shard_out) as part:
        if given == ["fovs"]:
            cells = fields.cut(part, source, shard, n_shards)
        elif given == ["stack"]:
            cells = stack.write(part, source, shard, n_shards)
        elif is_remote(source.get("location")):
            cells = index.fetch(manifest, dataset, settings, mine)
        else:
            cells = list_cells(dataset, mine)
        shards.finish(part, _grouped(cells, source), max_failed_fraction, "download")


def list_cells(dataset: Mapping[str, Any], mine: Mine) -> pd.DataFrame:
    """List the cells of a shard whose crops are already in a folder.

    Parameters
    ----------
    dataset
        Key source, with cells, a table (`cell_list.select`) whose paths start from location, without it from
        the table's own folder; only then may they be absolute. Key kind: polymorphic cells may lack a crop.
    mine
        Tells the shard's cells by their CellIds.

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
    source, both = dataset["source"], dataset.get("kind") != "polymorphic"
    root, path = source.get("location"), local_folder(source.get("location")) / source["cells"]
    table = crops.select(path, source, both_crops=both, optional=None)
    find = crops.in_folder(path, local_folder(root) if root else path.parent, absolute=not root)
    return crops.located(table[mine(table["CellId"])], path, both, find)


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
