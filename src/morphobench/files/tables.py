"""Tables that one stage writes and another reads: checked reading, embeddings as columns and as a matrix."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.geometry.rotation import MATRIX_COLUMNS

_MU = re.compile(r"mu_(\d+)")
_REMEDY = "Run the rule that writes this table again."
# Split by each name that tables use for it.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def read_checked(path: FilePath, columns: Iterable[str]) -> pd.DataFrame:
    """Read a parquet or CSV table that this workflow wrote; CellId becomes a string.

    Raises
    ------
    InputError
        When the file or one of `columns` is missing.
    """
    _check_file(path)
    table = files.read_table(path)
    _check_columns(path, columns, table)
    return _with_text_ids(table)


def read_batches(path: FilePath, columns: Iterable[str], rows: int = 1 << 14) -> Iterator[pd.DataFrame]:
    """Read `columns` of a parquet table in batches of at most `rows`; CellId becomes a string.

    With "CellId" among the columns the embedding mu_0, mu_1, ... is read too.

    Raises
    ------
    InputError
        When the file or one of the columns is missing.
    """
    import pyarrow.parquet as pq

    _check_file(path)
    with pq.ParquetFile(path) as file:
        names, selected = file.schema_arrow.names, list(columns)
        _check_columns(path, selected, names)
        selected += mu_columns(names) if "CellId" in selected else []
        for batch in file.iter_batches(batch_size=rows, columns=selected):
            yield _with_text_ids(batch.to_pandas())


def _check_file(path: FilePath) -> None:
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist. {_REMEDY}")


def _check_columns(path: FilePath, columns: Iterable[str], there: Iterable[str]) -> None:
    if missing := sorted(set(columns) - set(there)):
        raise InputError(f"{path} has no column {', '.join(missing)}. {_REMEDY}")


def _with_text_ids(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(CellId=table["CellId"].astype(str)) if "CellId" in table else table


def missing_split(manifest: pd.DataFrame, split: str) -> str:
    """Say that no usable cell is in a split, and why that may be; empty where one is."""
    usable = manifest[manifest["success"].astype(bool)] if "success" in manifest else manifest
    if (usable["split"] == split).any():
        return ""
    counts = ", ".join(f"{name} {(usable['split'] == name).sum()}" for name in dict.fromkeys(SPLITS.values()))
    groups = usable["group"].nunique() if "group" in usable else len(usable)
    remedy = (
        "Three groups are needed at least: add cells, see the column `error`, or set the source's `group`."
    )
    return (
        f"there is no usable {split} cell: {len(usable)} of {len(manifest)} cells are usable ({counts}), "
        f"in {groups} groups. {remedy if groups < 3 else 'Mend the column of the split.'}"
    )


def mu_columns(columns: Iterable[str]) -> list[str]:
    """Return the names `mu_0`, `mu_1`, ... among `columns` in numeric order.

    Examples
    --------
    >>> mu_columns(["mu_10", "maximum", "mu_2", "mu_x"])
    ['mu_2', 'mu_10']
    """
    return sorted((name for name in columns if _MU.fullmatch(name)), key=lambda name: int(name[3:]))


def embedding_matrix(table: pd.DataFrame) -> np.ndarray:
    """Return the embedding of every row of `table`, shape (n, D), float64; InputError when it has none."""
    names = mu_columns(table.columns)
    if not names:
        raise InputError("An embedding table has no column mu_0, mu_1, ... Run the embed stage again.")
    return table[names].to_numpy(np.float64)


def with_embeddings(labels: pd.DataFrame, z: np.ndarray) -> pd.DataFrame:
    """Return the labels of n rows followed by their embeddings (n, D) as mu_0 ... mu_{D-1}."""
    mu = pd.DataFrame(z, columns=[f"mu_{i}" for i in range(z.shape[1])])
    return pd.concat([labels.reset_index(drop=True), mu], axis=1)


def embedding_table(
    cells: pd.DataFrame, rotations: np.ndarray, z: np.ndarray, **columns: Any
) -> pd.DataFrame:
    """Return the embedding table of n cells under their own k rotations (k, n, 3, 3), rotation by rotation.

    Columns: CellId, group, split, rotation, further `columns`, r_00 ... r_22, mu_0 ... mu_{D-1}. `z` has
    shape (k, n, D).
    """
    n_rotations, n_cells, width = z.shape
    number = np.repeat(np.arange(n_rotations), n_cells)
    repeated = cells[["CellId", "group", "split"]].iloc[np.tile(np.arange(n_cells), n_rotations)]
    matrices = pd.DataFrame(rotations.reshape(-1, 9), columns=MATRIX_COLUMNS)
    values = z.reshape(-1, width).astype(np.float32)
    repeated = repeated.reset_index(drop=True).assign(rotation=number, **columns)
    return with_embeddings(repeated.join(matrices), values)


def describe_cells(cell_ids: pd.Series, manifest: pd.DataFrame, source: FilePath) -> pd.DataFrame:
    """Return the manifest rows of `cell_ids`, in that order, indexed by CellId.

    Raises
    ------
    InputError
        When a cell of the table `source` is not in the manifest, or is there more than once.
    """
    known = manifest.set_index("CellId")
    if not known.index.is_unique:
        repeated = known.index[known.index.duplicated()][0]
        raise InputError(f"The manifest lists CellId {repeated} more than once. Make the ids unique.")
    unknown = cell_ids[~cell_ids.isin(known.index)]
    if len(unknown):
        lost = f"{len(unknown)} cells, first {unknown.iloc[0]}, are not in the manifest"
        raise InputError(f"{source}: {lost}. Run the embed stage again.")
    return known.loc[cell_ids]
