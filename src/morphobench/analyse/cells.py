"""Embeddings of cells beside their rows of the manifest."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from morphobench.files import FilePath, values
from morphobench.files.tables import describe_cells, embedding_matrix, read_checked
from morphobench.log import logger


class EmbeddedCells(NamedTuple):
    """Cells with their embeddings z, shape (n, D), and their rows of the manifest, in one order."""

    z: np.ndarray
    manifest: pd.DataFrame

    @property
    def ids(self) -> np.ndarray:
        """CellId of each cell."""
        return self.manifest["CellId"].to_numpy()

    def take(self, chosen: np.ndarray) -> Self:
        """Return the cells of a mask of shape (n,)."""
        return EmbeddedCells(self.z[chosen], self.manifest[chosen])


def read(
    manifest: FilePath, embedding: FilePath, keep: Mapping[str, Iterable[Any]] | None = None
) -> EmbeddedCells:
    """Read embeddings of pose identity and the manifest, sorted by CellId.

    Cells whose embedding is not finite are left out, and those whose value of a column of `keep` is not among
    its values; the log says how many.

    Raises
    ------
    InputError
        When a table lacks CellId or the embedding, or the two come from different runs.
    """
    table = read_checked(embedding, ("CellId",)).sort_values("CellId", ignore_index=True)
    rows = describe_cells(table["CellId"], read_checked(manifest, ("CellId",)), embedding).reset_index()
    z = embedding_matrix(table)
    kept = np.isfinite(z).all(axis=1)
    if not kept.all():
        logger.warning("%s: %d embeddings are not finite and are left out", embedding, (~kept).sum())
    for column, wanted in (keep or {}).items():
        if column not in rows:
            logger.warning("the manifest has no column %s: every cell is kept", column)
            continue
        inside = values.isin(rows[column], wanted)
        if absent := ", ".join(values.absent(rows[column], wanted)):
            logger.warning("no cell has %s %s of analyse.keep", column, absent)
        logger.info("%s: %d of %d cells are kept", column, inside.sum(), len(inside))
        kept &= inside
    return EmbeddedCells(z[kept], rows[kept].reset_index(drop=True))


def numeric_columns(manifest: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return columns as numbers, shape (n, len(columns)); NaN where there is none, with a line in the log."""
    if missing := [column for column in columns if column not in manifest]:
        logger.warning("the manifest has no column %s", ", ".join(missing))
    known = manifest.reindex(columns=list(columns))
    return known.apply(lambda column: values.numbers(column, f"column {column.name}")).to_numpy(float)
