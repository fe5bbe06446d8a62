"""Embeddings that come as a table, from whatever method: checked, then scored like those of models."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import FilePath, manifests, read_table, write_table
from morphobench.files.tables import embedding_table
from morphobench.geometry import rotation
from morphobench.log import logger

_NAMED = 5


def run(manifest: FilePath, file: FilePath, out: FilePath, *, rotations: str = "identity") -> None:
    """Write the embedding table of all cells, or of test cells under the rotations "lattice".

    `file`, CSV or parquet, has CellId and columns of numbers; of rotated cells also `rotation`, the place of
    a rotation in `geometry.rotation.cube_rotations`.

    Raises
    ------
    InputError
        For a file that is missing, lacks a cell or a rotation, or has text or no number in a column.
    """
    cells = read_table(manifest)
    cells = cells[cells["success"].astype(bool)].reset_index(drop=True)
    if rotations != "identity":
        cells = cells[cells["split"] == "test"].reset_index(drop=True)
    matrices = rotation.rotation_sets(rotations, cells["CellId"], 0, 0, "")
    table = _read(Path(file), rotated=rotations != "identity")
    width = table.shape[1]
    wanted = pd.MultiIndex.from_product([range(len(matrices)), cells["CellId"]])
    _check_complete(Path(file), table, wanted)
    z = table.reindex(wanted).to_numpy().reshape(len(matrices), len(cells), width)
    logger.info("%s: %d numbers of each of %d cells, %d rotations", file, width, len(cells), len(matrices))
    write_table(embedding_table(cells, matrices, z), out)


def _read(file: Path, *, rotated: bool) -> pd.DataFrame:
    """Return the numbers of a table, indexed by rotation (0 of cells as they are) and CellId."""
    if not file.is_file():
        raise InputError(
            f"{file}: no such file. Put it there, or correct `embeddings` of the data set's yaml."
        )
    keys = ["rotation"] if rotated else []
    table = manifests.read(file, keys, text=["CellId"], taken=())
    columns = [name for name in table if name not in ("CellId", *keys)]
    if not columns:
        raise InputError(f"{file} has no column beside CellId. Give it the numbers of the embedding.")
    numbers = pd.DataFrame(
        {name: _numbers(table[name], f"{file}: column {name}") for name in [*columns, *keys]}
    )
    places = numbers.pop("rotation").astype(int) if rotated else np.zeros(len(table), int)
    numbers.index = pd.MultiIndex.from_arrays([places, table["CellId"]])
    if numbers.index.has_duplicates:
        twice = numbers.index[numbers.index.duplicated()][0][1]
        raise InputError(f"{file}: CellId {twice} occurs more than once. Keep one row each.")
    return numbers


def _numbers(values: pd.Series, place: str) -> np.ndarray:
    """Return a column as finite numbers."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
    if len(wrong := values[~np.isfinite(numbers)]):
        found = "nothing" if pd.isna(wrong.iloc[0]) else repr(wrong.iloc[0])
        reason = f"{place} has {found} where a finite number must stand ({len(wrong)} of {len(values)} rows)"
        raise InputError(f"{reason}. Mend the values, or leave the column out of the file.")
    return numbers


def _check_complete(file: Path, table: pd.DataFrame, wanted: pd.MultiIndex) -> None:
    """Refuse a table that lacks a cell: all methods are scored on the same ones."""
    lost = wanted.difference(table.index, sort=False)
    if not len(lost):
        return
    ids = lost.get_level_values(1).unique()
    places = f", the first under rotation {lost[0][0]}" if lost[0][0] else ""
    n_cells = wanted.get_level_values(1).nunique()
    reason = f"{file} lacks {len(ids)} of {n_cells} cells ({', '.join(ids[:_NAMED])}{places})"
    remedy = "Add them: every method is scored on the same cells, those of the data set's manifest"
    raise InputError(f"{reason}. {remedy} (CellId as text: 01 is not 1).")
