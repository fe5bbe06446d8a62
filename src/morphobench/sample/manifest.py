"""The manifest of a dataset: every cell of all shards, with its shard and split."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, identifiers, manifests
from morphobench.files.tables import SPLITS, missing_split
from morphobench.log import logger


def split_groups(
    groups: Iterable[str], fractions: Mapping[str, float], place: Callable[[str], float], *, fill: bool = True
) -> dict[str, str]:
    """Return the split of each group: where its place, 0 to 1 by its name alone, falls among the shares.

    So a group keeps its split whatever else there is, and the sizes of the splits scatter about their shares
    as draws do. With `fill`, and as many groups as splits, a split that would be empty takes the groups next
    to its limits; they return once another group lies there.
    """
    places = sorted((place(name), name) for name in set(groups))
    n, shares = len(places), np.cumsum(list(fractions.values()))[:-1]
    cuts = np.searchsorted([number for number, _ in places], shares)
    if fill and n >= len(fractions):
        # The k-th cut leaves k groups or more on either side, and a group or more after the cut before.
        before = np.arange(len(cuts))
        cuts = np.maximum.accumulate(np.clip(cuts, 1, n - len(cuts) + before) - before) + before
    parts = np.split(np.array([name for _, name in places], dtype=object), cuts)
    return {name: split for split, part in zip(fractions, parts, strict=True) for name in part}


def _seeded(cells: pd.DataFrame, fractions: Mapping[str, float], place: Callable[[str], float]) -> pd.Series:
    """Return the split of each cell; groups with a usable cell fill every split."""
    splits = split_groups(cells["group"], fractions, place, fill=False)
    filled = split_groups(cells.loc[cells["success"].astype(bool), "group"], fractions, place)
    if moved := sorted(group for group, split in filled.items() if splits[group] != split):
        named = ", ".join(f"{group} to {filled[group]}" for group in moved)
        text = (
            "so few groups (%d) of usable cells would leave a split empty; moved: %s. With more they return."
        )
        logger.warning(text, len(filled), named)
    return cells["group"].map(splits | filled)


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

    A cell without a value in the column of splits fails.

    Parameters
    ----------
    split
        Share of the groups of usable cells in each split.
    column
        Column that holds the split of each cell; None for a seeded one.

    Raises
    ------
    InputError
        When a CellId occurs twice or cannot be part of a file name, or a value of the column is no split.
    """
    tables = [files.read_cells(folder).assign(shard=number) for number, folder in sorted(shards.items())]
    cells = pd.concat(tables, ignore_index=True).sort_values("CellId", ignore_index=True)
    # What is known of the columns of the source; shared cells may be of another.
    cells.attrs = dict(tables[0].attrs)
    manifests.check_unique(out, cells["CellId"])
    faults = identifiers.faults(cells[cells["success"].astype(bool)], ["CellId"])
    if (faults != "").any():
        raise InputError(f"{out}: {faults[faults != ''].iloc[0]}")
    if column is None:
        cells["split"] = _seeded(cells, split, lambda group: seeds.place(seed, dataset_name, "split", group))
    else:
        if column not in cells:
            found = ", ".join(map(str, cells))[:500]
            raise InputError(f"{out}: the source has no column {column!r}; mend `split` (found {found}).")
        text = cells[column].astype(str).str.strip().str.lower()
        splits, is_empty = text.map(SPLITS), cells[column].isna() | (text == "")
        if (is_strange := splits.isna() & ~is_empty).any():
            cell = cells[is_strange].iloc[0]
            wrong = f"cell {cell['CellId']} has {column} {cell[column]!r}"
            raise InputError(f"{out}: {wrong}, none of {', '.join(SPLITS)}. Correct the source's table.")
        cells["split"] = splits
        lost = is_empty & cells["success"]
        cells.loc[lost, "error"] = f"has no {column}, the column of its split. Complete the source's table."
        cells.loc[lost, "success"] = False
    if reason := next(filter(None, (missing_split(cells, name) for name in split)), ""):
        logger.warning("%s: %s", out, reason)
    files.write_table(cells, out)
