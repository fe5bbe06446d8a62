"""The manifest of a dataset: every cell of all shards, with its shard and split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files.tables import SPLITS


def split_groups(
    groups: Iterable[str], fractions: Mapping[str, float], rng: np.random.Generator
) -> dict[str, str]:
    """Assign each group to a split: a seeded permutation of the sorted names, cut at truncated shares.

    Parameters
    ----------
    groups
        Names, in any order, repeated or not.
    fractions
        Share of the groups by split; they sum to 1.
    rng
        Source of randomness.

    Returns
    -------
    dict
        Split of each group.
    """
    names = rng.permutation(sorted(set(groups)))
    # Rounded first: 0.57 * 100 falls short of 57 by a bit in the last place.
    shares = np.cumsum(list(fractions.values()))[:-1]
    cuts = (shares * len(names)).round(9).astype(int)
    parts = np.split(names, cuts)
    return {str(name): split for split, part in zip(fractions, parts, strict=True) for name in part}


def run(
    shards: Mapping[int, str | Path],
    out: str | Path,
    *,
    split: Mapping[str, float],
    seed: int,
    dataset_name: str,
    column: str | None = None,
) -> None:
    """Write the table of all cells, failed ones too, sorted by CellId, with their shard and split.

    Parameters
    ----------
    shards
        Shard folders of stage `sample` by number.
    out
        Parquet file to write.
    split
        Share of the groups in each split.
    seed
        Seed of the run.
    dataset_name
        Part of the split's seed.
    column
        Column that holds the split of each cell already; None for a seeded one.

    Raises
    ------
    InputError
        When a CellId occurs twice, or the column does not tell a cell's split.
    """
    tables = [files.read_cells(folder).assign(shard=number) for number, folder in sorted(shards.items())]
    cells = pd.concat(tables, ignore_index=True).sort_values("CellId", ignore_index=True)
    repeated = cells.loc[cells["CellId"].duplicated(), "CellId"].unique()
    if len(repeated):
        raise InputError(
            f"{out}: CellId {', '.join(repeated[:5])} occurs more than once. Remove the repeated shapes from "
            "the source's manifest.csv, delete the shards of this dataset and run again."
        )
    if column is not None:
        files.write_table(cells.assign(split=_given_split(cells, column, out)), out)
        return
    splits = split_groups(cells["group"], split, seeds.generator(seed, dataset_name, "split", ""))
    files.write_table(cells.assign(split=cells["group"].map(splits)), out)


def _given_split(cells: pd.DataFrame, column: str, out: str | Path) -> pd.Series:
    if column not in cells:
        raise InputError(
            f"{out}: the source has no column {column!r} (split); name another, or null for a seeded split "
            f"(found {', '.join(map(str, cells))[:500]})."
        )
    found = cells[column].astype(str).str.lower().map(SPLITS)
    if found.isna().any():
        cell = cells[found.isna()].iloc[0]
        raise InputError(
            f"{out}: cell {cell['CellId']} has {column} {cell[column]!r}, which is none of "
            f"{', '.join(SPLITS)}. Mend the source's table."
        )
    return found
