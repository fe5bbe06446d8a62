"""Frozen data sets: written once, and their embeddings kept when cells are added."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, frozen
from morphobench.log import logger

_OF_MANIFEST = ["group", "split"]
_ORDER = ["rotation", "CellId"]


def run(manifest: FilePath, shards: Iterable[FilePath], tables: Sequence[FilePath], out: FilePath) -> None:
    """Copy files of trainings, as <model>/seed-<seed>/<name>, and the manifest with a digest of each cell.

    `tables` are weights, their records and embeddings.
    """
    cells = files.read_table(manifest)
    digests = pd.concat([frozen.digests(shard) for shard in shards])
    with files.atomic_folder(out) as part:
        files.write_table(cells.assign(digest=cells["CellId"].map(digests)), part / frozen.MANIFEST)
        for table in map(Path, tables):
            copy = part.joinpath(*table.parts[-3:])
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(table, copy)


def kept_rows(path: FilePath, cells: pd.DataFrame) -> pd.DataFrame:
    """Read the rows of an embedding table of these cells, with group and split as the cells have them now."""
    rows = files.read_table(path)
    rows = rows[rows["CellId"].isin(cells["CellId"])]
    known = cells.set_index("CellId").loc[rows["CellId"], _OF_MANIFEST]
    return rows.assign(**{column: known[column].to_numpy() for column in _OF_MANIFEST})


def with_kept(table: pd.DataFrame, kept: pd.DataFrame, n_rotations: int) -> pd.DataFrame:
    """Return an embedding table and kept rows as one, in the order of `embedding_table`.

    Raises
    ------
    InputError
        When the kept cells were embedded under another number of rotations.
    """
    n_new, n_kept = table["CellId"].nunique(), kept["CellId"].nunique()
    if n_kept and (before := kept["rotation"].nunique()) != n_rotations:
        found = f"cells were frozen under {before} rotations, and embed.n_uniform is {n_rotations}"
        raise InputError(f"{found}. Set it to {before}, or freeze the data set anew.")
    logger.info("%d cells keep their embeddings, %d are new", n_kept, n_new)
    joined = pd.concat([part for part in (kept, table) if len(part)] or [table])
    first = [column for column in ("rotated_back",) if column in joined]
    return joined.sort_values([*first, *_ORDER], ignore_index=True)
