"""Cells whose crops exist already: selected in the source's manifest, with the paths of their crops."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, identifiers, manifests
from morphobench.files.layout import CROPS
from morphobench.remote import local_folder

# Number of the manifest's rows with this CellId; in no result.
N_ROWS = "_n_rows"
# Selects those of some identifiers that belong to a shard.
InShard = Callable[[Iterable[str]], np.ndarray]
# Returns the path of a crop by its entry in the manifest; an InputError fails the cell.
FindCrop = Callable[[str], Path]
# Columns of the manifest that stages read.
_KNOWN = ("name_dict", "structure_name", "cell_stage")


def select(
    path: Path, source: Mapping[str, Any], *, both_crops: bool, optional: Sequence[str] | None
) -> pd.DataFrame:
    """Read a manifest of crops and select one row per CellId, the first, that the source's filters keep.

    Crops are text, empty where a cell has none. Without `both_crops`, one crop column is enough. `optional`
    names further columns to keep if they exist; None keeps all, unless the source has `metadata`.

    Raises
    ------
    InputError
        When the manifest is missing or wrong, or no cell has a value that a filter names.
    """
    names, metadata, keep = (source.get(key) or {} for key in ("columns", "metadata", "keep"))
    crops = [names.get(kind, kind) for kind in CROPS if both_crops or kind in names]
    cell_id = names.get("CellId", "CellId")
    units = {"group": manifests.group_columns(source.get("group")), "derive": source.get("derive")}
    if optional is not None or metadata:
        optional = [*CROPS, *_KNOWN, *(optional or [])]
    needed = [*crops, *names.values(), *keep, *metadata]
    table = manifests.read(path, needed, text=[cell_id], optional=optional, **units)
    table = table.assign(**{name: table[column] for name, column in names.items()})
    if source.get("channel_names"):
        table = table.assign(name_dict=str(dict(source["channel_names"])))
    if not set(CROPS) & set(table):
        reason = f"has neither column {' nor '.join(CROPS)} (found {', '.join(map(str, table))[:500]})"
        raise InputError(f"{path}: {reason}. Add that of the segmentation.")
    table = table.assign(**{kind: table.get(kind, "") for kind in CROPS}).fillna(dict.fromkeys(CROPS, ""))
    table = table.assign(**{N_ROWS: table.groupby("CellId")["CellId"].transform("size")})
    table = _of_structures(table, source.get("structures"), path)
    table = table[manifests.kept(table, keep, path)]
    chosen = manifests.chosen(table["CellId"], source.get("max_cells"))
    return table[table["CellId"].isin(chosen)].drop_duplicates("CellId")


def shard_filter(shard: int, n_shards: int) -> InShard:
    """Return a function that selects the groups of a shard."""
    return lambda ids: np.array([seeds.shard_of(one, n_shards) == shard for one in ids], dtype=bool)


def list_cells(dataset: Mapping[str, Any], in_shard: InShard) -> pd.DataFrame:
    """List the cells of a shard whose crops lie in a folder; see `locate`.

    Paths start from source.location; without it from the manifest's folder, and may be absolute.
    """
    location, both_crops = dataset["source"].get("location"), dataset.get("kind") != "polymorphic"
    path = local_folder(location) / dataset["source"]["cells"]
    folder = local_folder(location) if location else path.parent

    def find(value: str) -> Path:
        crop = manifests.inside(folder, value, absolute=not location)
        if not crop.is_file():
            raise InputError(f"{crop}: no such file. Restore it, or mend or remove its row in {path}.")
        return crop

    table = select(path, dataset["source"], both_crops=both_crops, optional=None)
    return locate(table[in_shard(table["CellId"])], path, both_crops, find)


def locate(table: pd.DataFrame, path: FilePath, both_crops: bool, find: FindCrop) -> pd.DataFrame:
    """Return selected cells with the paths of their crops and the columns of `manifests.STATE`."""

    def located(row: dict[str, Any]) -> dict[str, Any]:
        n_rows = row.pop(N_ROWS)
        try:
            if n_rows > 1:
                raise InputError(f"{path}: CellId {row['CellId']} occurs in {n_rows} rows. Keep one of them.")
            if fault := identifiers.fault(row["CellId"]):
                raise InputError(f"{path}: CellId {fault}")
            crops = {kind: str(find(row[kind])) for kind in needed_crops(row, both_crops)}
            return row | manifests.state() | crops
        except InputError as error:
            return row | manifests.state(str(error))

    rows = [located(row) for row in table.to_dict("records")]
    types = table.drop(columns=N_ROWS).dtypes.to_dict() | manifests.STATE
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def needed_crops(row: Mapping[str, Any], both_crops: bool) -> list[str]:
    """Return the crops that a cell needs: both, or those that it has."""
    existing = [kind for kind in CROPS if row[kind]]
    return list(CROPS) if both_crops or not existing else existing


def _of_structures(table: pd.DataFrame, structures: Sequence[str] | None, path: Path) -> pd.DataFrame:
    if not structures:
        return table
    existing = table["structure_name"].unique() if "structure_name" in table else []
    if missing := ", ".join(sorted(set(structures) - set(existing))):
        found = ", ".join(map(str, existing))[:500]
        raise InputError(f"{path}: no cell has structure_name {missing}; mend source.structures ({found}).")
    return table[table["structure_name"].isin(structures)]
