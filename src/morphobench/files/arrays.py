"""The arrays that models read: one row per cell that succeeded, in files that grow row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.files import shards
from morphobench.files.volumes import VolumeWriter


class RowWriter(VolumeWriter):
    """Appends single rows of one shape to an .npy file; for its parameters see `VolumeWriter`."""

    def append(self, row: np.ndarray) -> int:
        """Store a row and return its index."""
        if row.shape != self.row_shape:
            raise ValueError(f"{self.path}: a row of shape {row.shape} among rows of shape {self.row_shape}")
        return super().append(row)


def write_rows(
    folder: Path,
    cells: pd.DataFrame,
    arrays: Mapping[str, tuple[type[np.generic], tuple[int, ...]]],
    work: Callable[[dict[str, Any]], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]],
    defaults: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Fill one file per array with a row for every cell that succeeds.

    Parameters
    ----------
    folder
        The shard folder.
    cells
        Cell table, see `stage.each_cell`.
    arrays
        Type and row shape of each array; its file is ``<name>.npy``.
    work
        Takes a row of the table; returns its new columns and its row of every array. No rows at all leave the
        cell out of the arrays.
    defaults
        Value of each new column for failed cells.

    Returns
    -------
    pandas.DataFrame
        The table with the new columns and `index`, the cell's row in the arrays, -1 for failed cells.
    """
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(RowWriter(folder / f"{name}.npy", *layout))
            for name, layout in arrays.items()
        }

        def fill(cell: dict[str, Any]) -> dict[str, Any]:
            columns, rows = work(cell)
            # Only now: a cell that fails half-way must leave no row in any array.
            index = [writers[name].append(row) for name, row in rows.items()]
            return {**columns, "index": index[0] if index else -1}

        return shards.each_cell(cells, fill, {**(defaults or {}), "index": -1}, "sample")
