"""What the stages from download to sample share: the loop over a shard's cells and shards of point clouds."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.log import logger

_PROGRESS_EVERY = 100


def of_kind(stage: str, kind: str) -> ModuleType:
    """Return the module of a stage for a kind of dataset, such as `morphobench.align.packing`.

    Raises
    ------
    InputError
        When the stage has none for this kind.
    """
    name = f"morphobench.{stage}.{kind}"
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"stage {stage} has no module for datasets of kind {kind!r}. Set `kind` in the dataset's yaml to "
            "one that this version knows, see config/README.md."
        )
    return importlib.import_module(name)


def by_structure(value: str | Mapping[str, str], row: Mapping[str, Any], key: str) -> str:
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
        raise InputError(
            f"structure_name {name!r} is not in {key} ({', '.join(sorted(value))}). Add it there."
        )
    return value[name]


def each_cell(
    cells: pd.DataFrame,
    work: Callable[[dict[str, Any]], Mapping[str, Any]],
    defaults: Mapping[str, float],
    stage: str,
) -> pd.DataFrame:
    """Work on every cell that has not failed so far; a cell whose work fails is kept, with the reason.

    Parameters
    ----------
    cells
        Cell table with at least CellId, success and error.
    work
        Takes a row as a dictionary, returns the stage's columns; an InputError it raises fails the cell.
    defaults
        Value of every such column, a number, for failed cells; its type is the type of the column.
    stage
        Name for the log.

    Returns
    -------
    pandas.DataFrame
        The same rows in the same order, with the columns of `defaults` set or added.
    """
    rows = []
    for done, row in enumerate(cells.to_dict("records"), start=1):
        new = dict(defaults)
        if row["success"]:
            try:
                new |= work(row)
            except InputError as error:
                new |= {"success": False, "error": str(error)}
        rows.append(row | new)
        if done % _PROGRESS_EVERY == 0 or done == len(cells):
            logger.info("%s: %d of %d cells", stage, done, len(cells))
    columns = list(dict.fromkeys([*cells.columns, *defaults]))
    types = cells.dtypes.to_dict() | {name: np.asarray(value).dtype for name, value in defaults.items()}
    return pd.DataFrame(rows, columns=columns).astype(types)


def finish(folder: Path, cells: pd.DataFrame, max_failed_fraction: float, stage: str) -> None:
    """Write the cell table of a shard, or stop the stage when too many of its cells failed.

    Parameters
    ----------
    folder
        The shard folder, before it takes its final name.
    cells
        Cell table.
    max_failed_fraction
        Largest share of failed cells, 0 to 1.
    stage
        Name for messages.

    Raises
    ------
    InputError
        When more cells failed than that.
    """
    files.check_failures(cells, max_failed_fraction, stage)
    files.write_table(cells, folder / files.CELL_TABLE)
    n_excluded = int(cells["excluded"].sum()) if "excluded" in cells else 0
    n_good, n_all = int(cells["success"].sum()), len(cells)
    logger.info("%s: %d of %d cells succeeded, %d excluded", stage, n_good, n_all, n_excluded)


def write_clouds(folder: Path, cells: pd.DataFrame, clouds: Sequence[np.ndarray]) -> pd.DataFrame:
    """Write the clouds of a shard end to end as points_um.npy, and note where each one starts.

    Parameters
    ----------
    folder
        The shard folder.
    cells
        Cell table whose column n_points holds the length of each cell's cloud, 0 for failed cells.
    clouds
        Clouds of the cells that did not fail, in their order, each of shape (n_points, 3), micrometres.

    Returns
    -------
    pandas.DataFrame
        The table with column `first`.
    """
    points_um = np.concatenate([np.empty((0, 3)), *clouds]).astype(np.float32)
    np.save(folder / "points_um.npy", points_um)
    return cells.assign(first=cells["n_points"].cumsum() - cells["n_points"])


def cloud(points_um: np.ndarray, row: Mapping[str, Any]) -> np.ndarray:
    """Return one cell's points, shape (n_points, 3), out of all points of its shard, micrometres."""
    return np.asarray(points_um[row["first"] : row["first"] + row["n_points"]])
