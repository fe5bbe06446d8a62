"""Files of a remote dataset: listed once for the dataset, then fetched by each shard, as they were listed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.download import crops, first_cells, packing
from morphobench.download.crops import InShard
from morphobench.errors import InputError, named
from morphobench.files import FilePath, manifests
from morphobench.files.layout import CROPS
from morphobench.log import logger
from morphobench.remote import Store, open_store
from morphobench.remote.connections import FileError, checked

# Size of a file that does not exist.
MISSING = -2
# Size of a file that no stage reads.
UNUSED = -3


def run(manifest_out: FilePath, *, dataset: Mapping[str, Any], download_config: Mapping[str, Any]) -> None:
    """Write a dataset's manifest: a row per cell with its crops (`index_cells`), or per file of packings.

    Raises
    ------
    InputError
        When the location cannot be reached or denies, its manifest is missing or wrong, the disk is too small
        for the files, or the first cells all fail for one reason.
    """
    store = open_store(dataset["source"]["location"], download_config)
    if dataset["kind"] == "packing":
        table = index = packing.index(store, dataset)
    else:
        table, index = index_cells(store, dataset)
    store.check_space(index, dataset=dataset["name"])

    def read(row: pd.DataFrame) -> None:
        first_cells.read_located(_fetch(row, store, dataset), dataset)

    if dataset["kind"] == "packing":
        packing.check_first(store, dataset, index)
    else:
        first_cells.check(table, read, dataset["name"])
    files.write_table(table, manifest_out)


def index_cells(store: Store, dataset: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Index the crops of a dataset's cells.

    Returns
    -------
    cells
        See `crops.select`, with only the columns that stages read; and for each crop ``<crop>_size``, bytes,
        -1 when unknown, -2 when there is no such file and -3 when no stage reads it, and
        ``<crop>_checksum``.
    index
        The files: name, size, checksum.
    """
    source, name = dataset["source"], dataset["name"]
    if not source.get("cells"):
        raise InputError(f"{name}: source.location needs source.cells, the manifest's path below it.")
    path = store.fetch([source["cells"]], dataset=name)[source["cells"]]
    with named(f"{name}: {store.location}"):
        cells = crops.select(path, dataset, optional=list(dataset.get("needs") or {}))
    crops.warn_of_same_crops(path, cells)
    logger.info("download: %s: %d cells chosen; listing their files", name, len(cells))
    needed = [crops.needed_crops(row, dataset) for row in cells.to_dict("records")]
    names = {}
    for kind in CROPS:
        rows = zip(cells[kind], needed, strict=True)
        names[kind] = [_name(store.location, value) if kind in own else None for value, own in rows]
    index = store.describe({file for column in names.values() for file in column if file}, dataset=name)
    by_name = index.set_index("name")
    for kind, column in names.items():
        rows = by_name.reindex(column)
        sizes = rows["size"].fillna(MISSING).to_numpy(np.int64)
        cells[f"{kind}_size"] = np.where([kind in own for own in needed], sizes, UNUSED)
        cells[f"{kind}_checksum"] = rows["checksum"].fillna("").to_numpy(object)
    return cells.reset_index(drop=True), index


def _name(location: str, value: str) -> str | None:
    """Return the name of a manifest's entry; None for one that names no file below the location."""
    try:
        return manifests.name_inside(location, value)
    except InputError:
        return None


def fetch_cells(
    manifest: FilePath, dataset: Mapping[str, Any], download_config: Mapping[str, Any], in_shard: InShard
) -> pd.DataFrame:
    """Fetch the crops of a shard's cells into the cache; see `crops.locate`.

    A cell whose file cannot be fetched has failed, with the reason.

    Raises
    ------
    InputError
        When the location cannot be reached or denies, a file changed since it was listed, or the disk is
        full.
    """
    store, table = open_store(dataset["source"]["location"], download_config), pd.read_parquet(manifest)
    return _fetch(table[in_shard(table["CellId"])], store, dataset)


def _fetch(table: pd.DataFrame, store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    sizes, checksums, manifest = {}, {}, dataset["source"]["cells"]
    for row in table.to_dict("records"):
        for kind in crops.needed_crops(row, dataset):
            name, size = _name(store.location, row[kind]), row[f"{kind}_size"]
            if name is not None and size != MISSING:
                sizes[name], checksums[name] = size, row[f"{kind}_checksum"]
    paths = store.fetch_each(list(sizes), dataset=dataset["name"], expected=checksums, sizes=sizes)

    def find(value: str) -> Path:
        file = manifests.name_inside(store.location, value)
        reason = f"{store.location}: has no file {file}. Mend or remove its row in {manifest}."
        return checked(paths.get(file) or FileError(reason))

    extra = [f"{kind}_{what}" for kind in CROPS for what in ("size", "checksum")]
    return crops.locate(table.drop(columns=extra), manifest, dataset, find)
