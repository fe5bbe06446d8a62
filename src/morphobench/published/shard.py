"""What all kinds of published cells share: the shard's rows, their files, and cells whose files fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import seeds
from morphobench.download.remote import Store
from morphobench.errors import InputError
from morphobench.log import logger
from morphobench.published.manifest import read_used

# So many cells in a row without their files are no gaps: the place cannot be reached.
_GIVE_UP = 5


def rows_of(published: str | Path, shard: int, n_shards: int) -> pd.DataFrame:
    """Return the cells of a shard; a group's shard follows from its name alone.

    Parameters
    ----------
    published
        Table that `morphobench.published.manifest.run` wrote.
    shard, n_shards
        This shard and their number.
    """
    cells = read_used(published)
    mine = [seeds.shard_of(group, n_shards) == shard for group in cells["group"]]
    return cells[mine].reset_index(drop=True)


def fetch(
    cells: pd.DataFrame,
    names_of: Callable[[Mapping[str, Any]], Sequence[str]],
    store: Store,
    dataset: str,
) -> tuple[pd.DataFrame, dict[str, Path]]:
    """Fetch the files of all cells at once; where some cannot be had, find out whose they are.

    Parameters
    ----------
    cells
        Cell table with CellId, success and error.
    names_of
        Names of a cell's files, from its row.
    store, dataset
        Where they lie, and the dataset's name for messages.

    Returns
    -------
    cells
        With the cells whose files could not be had marked as failed, with the reason.
    paths
        Local path of each name.

    Raises
    ------
    InputError
        When several cells in a row fail: then it is not for them.
    """
    wanted = {row["CellId"]: list(names_of(row)) for row in cells[cells["success"]].to_dict("records")}
    try:
        return cells, store.fetch(list(dict.fromkeys(sum(wanted.values(), []))), dataset=dataset)
    except InputError as error:
        logger.warning("%s; looking for the cells concerned", error)
    paths: dict[str, Path] = {}
    reasons: dict[str, str] = {}
    in_a_row = 0
    for cell, names in wanted.items():
        try:
            paths |= store.fetch(names, dataset=dataset)
            in_a_row = 0
        except InputError as error:
            reasons[cell], in_a_row = str(error), in_a_row + 1
            if in_a_row == _GIVE_UP:
                raise
    failed = cells["CellId"].isin(reasons)
    return cells.assign(
        success=cells["success"] & ~failed,
        error=cells["error"].where(~failed, cells["CellId"].map(reasons)),
    ), paths


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn whatever a damaged published file leads its parser to into an InputError that names it."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{path}:"):
            raise
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        raise InputError(
            f"{path}: not readable ({type(error).__name__}: {error}). Fetch it again, or leave the cell out."
        ) from error
