"""Shards of cells: the module of a stage for a kind of dataset, and writing a shard cell by cell."""

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import Excluded, InputError
from morphobench.files import FilePath
from morphobench.files.volumes import ArrayWriter, Layout
from morphobench.log import logger

_PROGRESS_EVERY = 100
# A cell's new columns, and its arrays by name; no arrays leave it out of them.
Result = tuple[Mapping[str, Any], Mapping[str, np.ndarray]]


def stage_module(stage: str, form: str) -> ModuleType:
    """Return the module of a stage for a form of dataset, such as `morphobench.align.packing`.

    The form is the dataset's kind, or that of its raw files where they are no images (`config.needs.form`).

    Raises
    ------
    InputError
        When the stage has none for this kind.
    """
    name = f"morphobench.{stage}.{form}"
    if importlib.util.find_spec(name) is None:
        unknown = f"stage {stage} has no module for datasets of kind {form!r}"
        raise InputError(f"{unknown}. Set `kind` to one in config/README.md.")
    return importlib.import_module(name)


def by_structure(value: str | Mapping[str, Any], row: Mapping[str, Any], key: str) -> Any:
    """Return a setting that is one for all cells, or one for each structure_name.

    Raises
    ------
    InputError
        When the mapping does not know the cell's structure, naming the configuration's `key`.
    """
    if isinstance(value, str):
        return value
    name = row.get("structure_name")
    if name not in value:
        raise InputError(f"structure_name {name!r} is not in {key} ({', '.join(sorted(value))}). Add it.")
    return value[name]


class Shard:
    """A shard being written, see `create`: its temporary folder, and the cell table once it is known."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.folder, self.stage = folder, stage
        self.cells = pd.DataFrame()

    def fill(
        self,
        cells: pd.DataFrame,
        work: Callable[[dict[str, Any]], Result],
        arrays: Mapping[str, Layout],
        defaults: Mapping[str, float] | None = None,
        *,
        timed: bool = False,
    ) -> None:
        """Work on every cell that has not failed so far; store its arrays, and its columns in the cell table.

        Parameters
        ----------
        cells
            Cell table with at least CellId, success and error.
        work
            Takes a row as a dictionary; see `Result`. An InputError fails the cell, with the
            reason; one of type Excluded leaves it out.
        arrays
            Layout of each array, stored as ``<name>.npy``; its columns are 0 for failed cells, an index -1.
        defaults
            Value of every other new column, a number, for failed cells; its type is the column's.
        timed
            Add column `seconds`.
        """
        columns = (column for layout in arrays.values() for column in layout.columns)
        missing = {column: -1 if column == "index" else 0 for column in columns} | dict(defaults or {})
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(ArrayWriter(self.folder / f"{name}.npy", layout))
                for name, layout in arrays.items()
            }

            def store(row: dict[str, Any]) -> dict[str, Any]:
                start = time.perf_counter()
                columns, outputs = work(row)
                # Only now: a cell that fails half-way must leave nothing in any array.
                for name, array in outputs.items():
                    columns = {**columns, **writers[name].append(array)}
                return {**columns, "seconds": time.perf_counter() - start} if timed else columns

            self.cells = each_cell(cells, store, missing | ({"seconds": 0.0} if timed else {}), self.stage)


@contextmanager
def create(path: FilePath, stage: str, max_failed_fraction: float) -> Iterator[Shard]:
    """Yield a shard to fill; its folder takes the name `path` with its cell table, or vanishes on failure.

    Raises
    ------
    InputError
        When more than this share of its cells, 0 to 1, failed.
    """
    with files.atomic_folder(path) as folder:
        shard = Shard(folder, stage)
        yield shard
        check_failures(shard.cells, max_failed_fraction, stage)
        files.write_table(shard.cells, folder / files.CELL_TABLE)
    n_good, n_excluded = (int(shard.cells.get(name, pd.Series()).sum()) for name in ("success", "excluded"))
    logger.info("%s: %d of %d cells succeeded, %d excluded", stage, n_good, len(shard.cells), n_excluded)


def check_failures(cells: pd.DataFrame, max_failed_fraction: float, stage: str) -> None:
    """Raise an InputError with the first reasons when too many cells failed; excluded ones do not count."""
    if "excluded" in cells:
        cells = cells.loc[~cells["excluded"].astype(bool)]
    failed = cells.loc[~cells["success"].astype(bool)]
    if len(failed) <= max_failed_fraction * len(cells):
        return
    first = "\n".join(f"  {row.CellId}: {row.error}" for row in failed.head(3).itertuples())
    raise InputError(
        f"{stage}: {len(failed)} of {len(cells)} cells failed, more than max_failed_fraction = "
        f"{max_failed_fraction:g} allows. First reasons:\n{first}\nCorrect or remove these, or raise it."
    )


def each_cell(
    cells: pd.DataFrame, work: Callable[[dict[str, Any]], Any], defaults: Mapping[str, float], stage: str
) -> pd.DataFrame:
    """Return the cell table, rows in order, with what `work` makes of every cell; see `Shard.fill`."""
    rows = []
    for done, row in enumerate(cells.to_dict("records"), start=1):
        new = dict(defaults)
        if row["success"]:
            try:
                new |= work(row)
            except InputError as error:
                new |= {"success": False, "error": str(error)}
                if "excluded" in row:
                    new["excluded"] = isinstance(error, Excluded)
        rows.append(row | new)
        if done % _PROGRESS_EVERY == 0 or done == len(cells):
            logger.info("%s: %d of %d cells", stage, done, len(cells))
    columns = list(dict.fromkeys([*cells.columns, *defaults]))
    types = cells.dtypes.to_dict() | {name: np.asarray(value).dtype for name, value in defaults.items()}
    table = pd.DataFrame(rows, columns=columns).astype(types)
    # What is known of the columns of the source.
    table.attrs = dict(cells.attrs)
    return table
