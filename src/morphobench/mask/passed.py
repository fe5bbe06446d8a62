"""Cells of masked shards, of which one at least must be good."""

from collections.abc import Iterable

import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath


def read_cells(shards: Iterable[FilePath], out: FilePath) -> pd.DataFrame:
    """Return the rows of all shards of stage `mask`, sorted by CellId; `out` is what is made of them.

    Raises
    ------
    InputError
        When no cell is left, with the commonest reason.
    """
    cells = pd.concat([files.read_cells(shard) for shard in shards], ignore_index=True)
    if cells["success"].any():
        return cells.sort_values("CellId", ignore_index=True)
    reasons = cells["error"].value_counts()
    why = f"{reasons.iloc[0]} x {reasons.index[0]!r}" if len(reasons) else "there is none"
    raise InputError(f"{out}: no cell of {len(cells)} passed stage mask: {why}. Mend the cells or the mask.")
