"""Cells whose crops exist already: selected in the source's manifest, with the paths of their crops."""

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, columns, headers, identifiers, images, manifests, reserved, values
from morphobench.files.crops import LABEL
from morphobench.files.layout import CROPS
from morphobench.log import logger
from morphobench.remote import local_folder

# Number of the manifest's rows with this CellId; in no result.
N_ROWS = "_n_rows"
# Selects those of some identifiers that belong to a shard.
InShard = Callable[[Iterable[str]], np.ndarray]
# Returns the path of a crop by its entry in the manifest; an InputError fails the cell.
FindCrop = Callable[[str], Path]
# Columns of the manifest that stages read.
_KNOWN = ("name_dict", "scale_micron", "structure_name", "cell_stage", LABEL)


def select(path: Path, dataset: Mapping[str, Any], *, optional: Sequence[str] | None) -> pd.DataFrame:
    """Read a manifest of crops and select one row per CellId, the first, that the source's filters keep.

    Crops are text, empty where a cell has none, without the source's prefixes. `optional` names further
    columns to keep if they exist; None keeps all, unless the source has `metadata`. Of metadata and columns
    that do not exist, those that `dataset["needs"]` names, with what needs them, stop; one warning names the
    others.

    Raises
    ------
    InputError
        When the manifest is missing or wrong, or no cell has a value that a filter names.
    """
    source, there = dataset["source"], manifests.columns_of(path)
    metadata, keep = source.get("metadata") or [], source.get("keep") or {}
    stated = {name: name for name in metadata} | dict(source.get("columns") or {})
    chosen, missing = columns.choose(stated, there)
    required = dict.fromkeys(["CellId", *required_crops(dataset)], "")
    required |= {"structure_name": "source.structures"} if source.get("structures") else {}
    missing = {name: name for name in required if name not in (*chosen, *there)} | missing
    _check_crops(path, dataset, chosen, there)
    columns.report_missing(path, chosen, missing, required | dict(dataset.get("needs") or {}), there)
    taken = {choice.column for choice in chosen.values()}
    cell_id = chosen.get("CellId", columns.Choice("CellId")).column
    if optional is not None or metadata:
        optional = [*CROPS, *_KNOWN, *(optional or []), *taken, *keep]
    group = [
        chosen.get(one, columns.Choice(one)).column for one in manifests.group_columns(source.get("group"))
    ]
    units = {"group": group, "derive": source.get("derive"), "taken": reserved_names(dataset)}
    table = manifests.read(path, [], text=[cell_id], optional=optional, **units)
    own = {
        name: choice._replace(column=reserved.own_name(choice.column, table))
        for name, choice in chosen.items()
    }
    renamed = {name: choice for name, choice in own.items() if choice != columns.Choice(name)}
    table = columns.add(table, renamed, lambda rows: headers.voxel_volumes(rows, source))
    table["CellId"] = manifests.whole_ids(table["CellId"])
    prefixes = source.get("prefixes") or []
    crops = {kind: table.get(kind, pd.Series("", table.index)).fillna("") for kind in CROPS}
    table = table.assign(
        **{
            kind: [manifests.without_prefix(one, prefixes) for one in listed]
            for kind, listed in crops.items()
        }
    )
    table = table.assign(**{N_ROWS: table.groupby("CellId")["CellId"].transform("size")})
    table = _of_structures(table, source.get("structures"), path)
    keep = {reserved.own_name(column, table): wanted for column, wanted in keep.items()}
    table = table[manifests.kept(table, keep, path)]
    chosen_cells = manifests.chosen(table["CellId"], source.get("max_cells"))
    return table[table["CellId"].isin(chosen_cells)].drop_duplicates("CellId")


def reserved_names(dataset: Mapping[str, Any], *others: str) -> set[str]:
    """Return the names that a source's own columns make room for: those that stages write."""
    kind = dataset.get("kind", "")
    # The column of the split is read under its own name.
    return {*reserved.stored(kind), *reserved.measured(kind), *others} - {dataset.get("split")}


def required_crops(dataset: Mapping[str, Any]) -> list[str]:
    """Return the crops that every manifest of a data set must have a column for.

    These are the ones that configured names of channels tell to be used; else both, or none in particular
    for segmented structures, which may lie in either.
    """
    source = dataset["source"]
    known = headers.known_crops({}, source, dataset.get("used_channels") or ())
    if known is None and dataset.get("kind") == "polymorphic":
        return [kind for kind in CROPS if kind in (source.get("columns") or {})]
    return known or list(CROPS)


def _check_crops(
    path: Path, dataset: Mapping[str, Any], chosen: Mapping[str, Any], there: Sequence[str]
) -> None:
    if not required_crops(dataset) and not set(CROPS) & {*chosen, *there}:
        reason = f"has neither column {' nor '.join(CROPS)} (found {', '.join(map(str, there))[:500]})"
        raise InputError(f"{path}: {reason}. Add that of the segmentation.")


def shard_filter(shard: int, n_shards: int) -> InShard:
    """Return a function that selects the groups of a shard."""
    return lambda ids: np.array([seeds.shard_of(one, n_shards) == shard for one in ids], dtype=bool)


def warn_of_shared(path: FilePath, table: pd.DataFrame, id_column: str, columns: Sequence[str]) -> None:
    """Warn of rows of a table that name the same files in some columns, once."""
    names = table[[*columns]].fillna("").astype(str)
    names = names.apply(lambda column: column.map(lambda name: name and posixpath.normpath(name)))
    is_named = (names[list(columns)] != "").any(axis=1)
    same = names[is_named & names.duplicated(keep=False)]
    if same.empty:
        return
    first = same.index[(same == same.iloc[0]).all(axis=1)][:2]
    some = " and ".join(table.loc[first, id_column].astype(str))
    logger.warning(
        "%s: %d rows name the same images as another row, first %s %s (%s): such cells can lie in train and "
        "in test. Remove the repeated rows.",
        *(path, len(same), id_column, some, ", ".join(filter(None, same.iloc[0]))),
    )


def warn_of_same_crops(path: FilePath, cells: pd.DataFrame) -> None:
    """Warn of different cells of a manifest with the same crops, and the same label in them, once."""
    columns = [column for column in (*CROPS, LABEL) if column in cells]
    crops = [column for column in columns if column != LABEL]
    named_cells = cells[(cells[crops].fillna("") != "").any(axis=1)]
    warn_of_shared(path, named_cells, "CellId", columns)


def list_cells(dataset: Mapping[str, Any], in_shard: InShard, *, is_first: bool = True) -> pd.DataFrame:
    """List the cells of a shard whose crops lie in a folder; see `locate`.

    The first shard tells of cells with the same crops.

    Paths start from source.location; without it from the manifest's folder, and may be absolute.
    """
    location = dataset["source"].get("location")
    path = local_folder(location) / dataset["source"]["cells"]
    folder = local_folder(location) if location else path.parent

    def find(value: str) -> Path:
        crop = manifests.inside(folder, value, absolute=not location)
        if not images.exists(crop):
            raise InputError(f"{crop}: no such file. Restore it, or mend or remove its row in {path}.")
        return crop

    table = select(path, dataset, optional=None)
    if is_first:
        warn_of_same_crops(path, table)
    return locate(table[in_shard(table["CellId"])], path, dataset, find)


def locate(table: pd.DataFrame, path: FilePath, dataset: Mapping[str, Any], find: FindCrop) -> pd.DataFrame:
    """Return selected cells with the paths of their crops and the columns of `manifests.STATE`.

    A crop that no stage reads keeps the manifest's own path.
    """

    def located(row: dict[str, Any]) -> dict[str, Any]:
        try:
            if row[N_ROWS] > 1:
                n_rows = row[N_ROWS]
                raise InputError(f"{path}: CellId {row['CellId']} occurs in {n_rows} rows. Keep one of them.")
            if fault := identifiers.fault(row["CellId"]):
                raise InputError(f"{path}: CellId {fault}")
            crops = {kind: str(find(row[kind])) for kind in needed_crops(row, dataset)}
            return row | manifests.state() | crops
        except InputError as error:
            return row | manifests.state(str(error))

    # Of its columns, which may be very many, rows need texts alone.
    used = [*table.select_dtypes(object), N_ROWS]
    rows = [located(row) for row in table[used].to_dict("records")]
    types = dict.fromkeys(CROPS, "object") | manifests.STATE
    found = pd.DataFrame(rows, columns=list(types)).astype(types)
    return table.drop(columns=N_ROWS).reset_index(drop=True).assign(**dict(found))


def needed_crops(row: Mapping[str, Any], dataset: Mapping[str, Any]) -> list[str]:
    """Return the crops of a cell that stages read; see `headers.used_crops`."""
    channels, both = dataset.get("used_channels") or (), dataset.get("kind") != "polymorphic"
    return headers.used_crops(row, dataset["source"], channels, both=both)


def _of_structures(table: pd.DataFrame, structures: Sequence[str] | None, path: Path) -> pd.DataFrame:
    if not structures:
        return table
    existing = table["structure_name"]
    if missing := ", ".join(sorted(values.absent(existing, structures))):
        found = values.listed(existing)
        raise InputError(f"{path}: no cell has structure_name {missing}; mend source.structures ({found}).")
    return table[values.isin(existing, structures)]
