"""One shard of published cells, of any kind: its rows, their files, and the cells whose files fail."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, file_rows, shards
from morphobench.files.volumes import Layout
from morphobench.log import logger
from morphobench.published.manifest import open_published, read_used
from morphobench.remote import Store

# So many cells in a row without their files are no gaps: the place cannot be reached.
_GIVE_UP = 5
_PROGRESS_EVERY = 100
# Shard folders by stage, in the order of the manifest's column `shard`.
Shards = Mapping[str, Sequence[FilePath]]


class Content(NamedTuple):
    """What a shard holds of each cell.

    Attributes
    ----------
    arrays
        Layouts of the arrays that are copied.
    volumes
        Names of the arrays whose rows stay in the published files.
    edge
        Side of the cube that smaller volumes are padded to, voxels; 0 to leave them.
    defaults
        Further columns, with their values for failed cells.
    """

    arrays: Mapping[str, Layout]
    volumes: tuple[str, ...] = ()
    edge: int = 0
    defaults: Mapping[str, float] = {}


class Cell(NamedTuple):
    """What is read of one cell: columns, rows of the arrays, and file and reader of the volumes."""

    columns: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    volumes: Mapping[str, tuple[Path, str]] = {}


def run(
    manifest: FilePath,
    shard_out: FilePath,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    download_config: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Write one shard in the layout of stage `sample`: points are copied, volumes stay where they are.

    The module of the dataset's kind says what cells hold (`content`), which files they have (`with_files`)
    and how those are read (`reader`).

    Raises
    ------
    InputError
        When too many cells fail.
    """
    kind, store = shards.stage_module("published", dataset["kind"]), open_published(dataset, download_config)
    cells = fetch(kind.with_files(rows_of(manifest, shard, n_shards), store, dataset), store, dataset["name"])
    content, read = kind.content(dataset), kind.reader(dataset, seed)
    volumes: dict[str, list[tuple[Path, str]]] = {name: [] for name in content.volumes}

    def read_cell(row: dict[str, Any]) -> shards.Result:
        cell = read(row)
        for name, volume in cell.volumes.items():
            volumes[name].append(volume)
        return cell.columns, cell.arrays

    with shards.create(shard_out, "published_cells", max_failed_fraction) as created:
        created.fill(cells, read_cell, content.arrays, content.defaults)
        created.cells = created.cells.drop(columns="paths")
        for name, paths in volumes.items():
            file_rows.write_listing(created.folder, name, paths, content.edge)


def in_published_frame(dataset: Mapping[str, Any]) -> bool:
    """Return whether cells keep the published axes and origin, as published weights expect them."""
    return dataset["sample"].get("mode") == "reference"


def rows_of(manifest: FilePath, shard: int, n_shards: int) -> pd.DataFrame:
    """Return the cells of a shard; a group's shard follows from its name alone."""
    cells = read_used(manifest)
    mine = cells["group"].map(lambda group: seeds.shard_of(group, n_shards)) == shard
    return cells[mine].reset_index(drop=True)


def fetch(cells: pd.DataFrame, store: Store, dataset: str) -> pd.DataFrame:
    """Fetch the files of all cells; column `files`, their names, becomes `paths`.

    A cell whose files are missing fails, with the reason.

    Raises
    ------
    InputError
        When several cells in a row fail: then the place is at fault.
    """
    names = cells.loc[cells["success"]].set_index("CellId")["files"]
    errors = cells["error"]
    try:
        paths = store.fetch(list(dict.fromkeys(name for own in names for name in own)), dataset=dataset)
    except InputError as error:
        logger.warning("%s; fetching cell by cell", error)
        paths, reasons = _fetch_each(names, store, dataset)
        errors = cells["CellId"].map(reasons).fillna(errors)
    paths_of = [[paths.get(name) for name in own] for own in cells["files"]]
    return cells.drop(columns="files").assign(success=errors == "", error=errors, paths=paths_of)


def _fetch_each(names: pd.Series, store: Store, dataset: str) -> tuple[dict[str, Path], dict[str, str]]:
    paths, reasons, in_a_row = {}, {}, 0
    for cell, own in names.items():
        try:
            paths |= store.fetch(own, dataset=dataset)
            in_a_row = 0
        except InputError as error:
            reasons[cell], in_a_row = str(error), in_a_row + 1
            if in_a_row == _GIVE_UP:
                raise
    return paths, reasons


def each_row(cells: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of cells whose files are being written, and log the progress."""
    for number, row in enumerate(cells.to_dict("records"), start=1):
        yield row
        if number % _PROGRESS_EVERY == 0 or number == len(cells):
            logger.info("published %d of %d cells", number, len(cells))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises for a damaged file into an InputError that names the file."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{path}:"):
            raise
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        fault = f"not readable ({type(error).__name__}: {error})"
        raise InputError(f"{path}: {fault}. Fetch it again, or leave the cell out.") from error
