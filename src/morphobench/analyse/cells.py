"""The cells that analyses are about: their codes beside what the manifest says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.files.tables import describe_cells, embedding_matrix, read_checked
from morphobench.log import logger


class Coded(NamedTuple):
    """Cells with finite codes, sorted by CellId.

    Attributes
    ----------
    z
        Codes, shape (n, D).
    known
        Their rows of the manifest, with column CellId, shape (n, columns).
    """

    z: np.ndarray
    known: pd.DataFrame

    @property
    def ids(self) -> np.ndarray:
        """CellId of each row."""
        return self.known["CellId"].to_numpy()

    def only(self, rows: np.ndarray) -> Coded:
        """Return some of the cells, by a mask or by number."""
        return Coded(self.z[rows], self.known[rows] if rows.dtype == bool else self.known.iloc[rows])


def read(
    manifest: str | Path, embedding: str | Path, keep: Mapping[str, Iterable[Any]] | None = None
) -> Coded:
    """Read codes and manifest; leave out, with a line in the log, what cannot or must not be analysed.

    Parameters
    ----------
    manifest
        Table of all cells, with CellId.
    embedding
        Embedding table of pose identity.
    keep
        Values to keep, by column of the manifest; a column that is not there keeps every cell.

    Raises
    ------
    InputError
        When a table lacks CellId or codes, or the two come from different runs.
    """
    table = read_checked(embedding, ("CellId",)).sort_values("CellId", ignore_index=True)
    known = describe_cells(table["CellId"], read_checked(manifest, ("CellId",)), embedding).reset_index()
    z = embedding_matrix(table)
    kept = np.isfinite(z).all(axis=1)
    if not kept.all():
        logger.warning("%s: %d codes are not finite and are left out", embedding, (~kept).sum())
    for column, values in (keep or {}).items():
        if column not in known:
            logger.warning("the manifest has no column %s: every cell is kept", column)
            continue
        inside = known[column].astype(str).isin([str(value) for value in values]).to_numpy()
        logger.info("%s: %d of %d cells are kept", column, inside.sum(), len(inside))
        kept &= inside
    return Coded(z[kept], known[kept].reset_index(drop=True))


def numbers_of(known: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return columns as numbers, shape (n, len(columns)); NaN where there is none, with a line in the log."""
    missing = [column for column in columns if column not in known]
    if missing:
        logger.warning("the manifest has no column %s", ", ".join(missing))
    table = known.reindex(columns=list(columns)).apply(pd.to_numeric, errors="coerce")
    return table.to_numpy(np.float64)
