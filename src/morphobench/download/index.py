"""What a run fetches of a remote dataset: rows of its manifest, and the files behind them as they are now.

One job for the dataset reads the manifest and lists the place once; the shards then fetch their own cells'
files, and notice when one is not what was listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.download import crops, packing_files
from morphobench.download.remote import Store, open_store
from morphobench.download.remote.connections import FileError
from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.layout import CROPS
from morphobench.log import logger

# Where a size would stand, of a file that is not there.
MISSING = -2


def run(manifest_out: str | Path, *, dataset: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write the table of what a dataset fetches.

    Parameters
    ----------
    manifest_out
        Parquet file to write. Of images a row for each cell (see `index_cells`), of packings for each file
        (see `packing_files.index`).
    dataset
        Keys name, kind, source, and those of the configuration that name columns: stratum, labels, channels.
    settings
        Section `download` of the configuration.

    Raises
    ------
    InputError
        When the place cannot be reached, denies or is wrong, the manifest is missing or wrong, or the disk is
        too small for the files.
    """
    store = open_store(dataset["source"]["location"], settings)
    make = packing_files.index if dataset["kind"] == "packing" else index_cells
    table, found = make(store, dataset)
    store.check_space(found, dataset=dataset["name"])
    files.write_table(table, manifest_out)


def index_cells(store: Store, dataset: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Index the cells of a dataset of crops.

    Returns
    -------
    cells
        Rows as `cell_list.select` gives them, only the columns that stages need; for each crop also
        ``<crop>_size``, bytes, -1 when unknown and -2 when there is no such file, and ``<crop>_checksum``.
    found
        The files: name, size, checksum.

    Raises
    ------
    InputError
        As in `run`.
    """
    source, name = dataset["source"], dataset["name"]
    if not source.get("cells"):
        raise InputError(f"{name}: source.location needs source.cells, the manifest's path below it.")
    both = dataset["kind"] != "polymorphic"
    path = store.fetch([source["cells"]], dataset=name)[source["cells"]]
    wanted = [dataset.get("stratum"), *dataset.get("labels", [])]
    try:
        optional = [column for column in wanted if column]
        table = crops.select(path, source, both_crops=both, optional=optional)
    except InputError as error:
        raise InputError(f"{name}: {store.location}: {error}") from error
    logger.info("download: %s: %d cells chosen; listing their files", name, len(table))
    names = {kind: [_name(store.location, value) for value in table[kind]] for kind in CROPS}
    found = store.describe({file for column in names.values() for file in column if file}, dataset=name)
    listed = found.set_index("name")
    for kind, column in names.items():
        rows = listed.reindex(column)
        table[f"{kind}_size"] = rows["size"].fillna(MISSING).to_numpy(np.int64)
        table[f"{kind}_checksum"] = rows["checksum"].fillna("").to_numpy(object)
    return table.reset_index(drop=True), found


def _name(location: str, value: str) -> str | None:
    """Return the name that a table's entry stands for; None where it names no file that may be fetched."""
    try:
        return manifests.name_inside(location, value)
    except InputError:
        return None


def fetch(
    manifest: str | Path,
    dataset: Mapping[str, Any],
    settings: Mapping[str, Any],
    mine: Callable[[Iterable[str]], Sequence[bool]],
) -> pd.DataFrame:
    """Fetch the crops of a shard's cells; a cell whose file cannot be had is failed, with the reason.

    Parameters
    ----------
    manifest
        The index.
    dataset, settings
        As in `run`.
    mine
        Tells the shard's cells by their CellIds.

    Returns
    -------
    pandas.DataFrame
        As `cell_list.located`; paths lie in the cache.

    Raises
    ------
    InputError
        When the place cannot be reached or denies, a file changed since it was listed, or the disk is full.
    """
    source, both = dataset["source"], dataset["kind"] != "polymorphic"
    store = open_store(source["location"], settings)
    table = pd.read_parquet(manifest)
    table = table[mine(table["CellId"])]
    there = _listed(table, store.location, both)
    paths = store.fetch_each(
        list(there),
        dataset=dataset["name"],
        expected={file: checksum for file, (_, checksum) in there.items() if checksum},
        sizes={file: size for file, (size, _) in there.items()},
    )

    def find(value: str) -> Path:
        file = manifests.name_inside(store.location, value)
        path = paths.get(file) or FileError(
            f"{store.location}: has no file {file}. Mend or remove its row in {source['cells']}."
        )
        if isinstance(path, FileError):
            raise path
        return path

    extra = [f"{kind}_{what}" for kind in CROPS for what in ("size", "checksum")]
    return crops.located(table.drop(columns=extra), source["cells"], both, find)


def _listed(table: pd.DataFrame, location: str, both_crops: bool) -> dict[str, tuple[int, str]]:
    """Return size and checksum of the files that the cells need and that are there, by their names."""
    listed = {}
    for row in table.to_dict("records"):
        for kind in crops.crops_of(row, both_crops):
            name, size = _name(location, row[kind]), row[f"{kind}_size"]
            if name is not None and size != MISSING:
                listed[name] = (size, row[f"{kind}_checksum"])
    return listed
