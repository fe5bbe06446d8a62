"""The manifest of a dataset: every cell of all shards, with its shard and split."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, identifiers, manifests
from morphobench.files.tables import SPLITS


def split_groups(
    groups: Iterable[str], fractions: Mapping[str, float], rng: np.random.Generator
) -> dict[str, str]:
    """Return the split of each group: a seeded permutation of the sorted names, cut at truncated shares.

    `fractions`, the share of the groups in each split, sum to 1.
    """
    names = rng.permutation(sorted(set(groups)))
    # Rounded first: 0.57 * 100 falls short of 57 by a bit in the last place.
    shares = np.cumsum(list(fractions.values()))[:-1]
    cuts = (shares * len(names)).round(9).astype(int)
    parts = np.split(names, cuts)
    return {str(name): split for split, part in zip(fractions, parts, strict=True) for name in part}


def run(
    shards: Mapping[int, FilePath],
    out: FilePath,
    *,
    split: Mapping[str, float],
    seed: int,
    dataset_name: str,
    column: str | None = None,
) -> None:
    """Write the cells of the shards of stage `sample`, failed ones too, by CellId, with shard and split.

    Parameters
    ----------
    split
        Share of the groups in each split.
    column
        Column that holds the split of each cell; None for a seeded one.

    Raises
    ------
    InputError
        When a CellId occurs twice or cannot be part of a file name, or a cell has no split in the column.
    """
    tables = [files.read_cells(folder).assign(shard=number) for number, folder in sorted(shards.items())]
    cells = pd.concat(tables, ignore_index=True).sort_values("CellId", ignore_index=True)
    manifests.check_unique(out, cells["CellId"])
    faults = identifiers.faults(cells[cells["success"].astype(bool)], ["CellId"])
    if (faults != "").any():
        raise InputError(f"{out}: {faults[faults != ''].iloc[0]}")
    if column is None:
        splits = split_groups(cells["group"], split, seeds.generator(seed, dataset_name, "split", ""))
        cells["split"] = cells["group"].map(splits)
    else:
        if column not in cells:
            found = ", ".join(map(str, cells))[:500]
            raise InputError(f"{out}: the source has no column {column!r}; mend `split` (found {found}).")
        splits = cells[column].astype(str).str.lower().map(SPLITS)
        if splits.isna().any():
            cell = cells[splits.isna()].iloc[0]
            wrong = f"cell {cell['CellId']} has {column} {cell[column]!r}"
            raise InputError(f"{out}: {wrong}, none of {', '.join(SPLITS)}. Correct the source's table.")
        cells["split"] = splits
    files.write_table(cells, out)
