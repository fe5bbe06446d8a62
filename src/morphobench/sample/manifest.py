"""The manifest of a dataset: every cell of all shards, with its shard and split."""

from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, identifiers, manifests
from morphobench.files.tables import SPLITS, missing_split
from morphobench.log import logger
from morphobench.sample import frozen as frozen_cells
from morphobench.sample.folds import folds_of
from morphobench.sample.split import split_groups


def _seeded(
    cells: pd.DataFrame,
    fractions: Mapping[str, float],
    place: Callable[[str], float],
    kept: pd.DataFrame | None = None,
) -> pd.Series:
    """Return the split of each cell; groups with a usable cell fill every split, unless a split is kept."""
    splits = split_groups(cells["group"], fractions, place, fill=False)
    if kept is not None:
        return cells["group"].map(splits | dict(zip(kept["group"], kept["split"], strict=True)))
    filled = split_groups(cells.loc[cells["success"].astype(bool), "group"], fractions, place)
    if moved := sorted(group for group, split in filled.items() if splits[group] != split):
        named = ", ".join(f"{group} to {filled[group]}" for group in moved)
        text = (
            "so few groups (%d) of usable cells would leave a split empty; moved: %s. With more they return."
        )
        logger.warning(text, len(filled), named)
    return cells["group"].map(splits | filled)


def _follow_column(cells: pd.DataFrame, column: str, out: FilePath) -> None:
    """Set the split of each cell to what a column says; a cell without a value there fails."""
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


def run(
    shards: Mapping[int, FilePath],
    out: FilePath,
    *,
    split: Mapping[str, float],
    seed: int,
    dataset_name: str,
    column: str | None = None,
    n_folds: int | None = None,
    label: str = "",
    frozen: FilePath | None = None,
) -> None:
    """Write the cells of the shards of stage `sample`, failed ones too, by CellId, with shard and split.

    A cell without a value in the column of splits fails. With folds every cell is a test cell, of the fold in
    column `fold`.

    Parameters
    ----------
    split
        Share of the groups of usable cells in each split.
    column
        Column that holds the split of each cell; None for a seeded one.
    n_folds, label
        Number of folds, and the column of their strata (`folds_of`); None for a split.
    frozen
        Manifest whose groups keep their split, see `frozen.check`; of new ones it follows from their names.

    Raises
    ------
    InputError
        When a CellId occurs twice or cannot be part of a file name, a value of the column is no split, or a
        frozen cell changed.
    """
    tables = [files.read_cells(folder).assign(shard=number) for number, folder in sorted(shards.items())]
    cells = pd.concat(tables, ignore_index=True).sort_values("CellId", ignore_index=True)
    # What is known of the columns of the source; shared cells may be of another.
    cells.attrs = dict(tables[0].attrs)
    manifests.check_unique(out, cells["CellId"])
    faults = identifiers.faults(cells[cells["success"].astype(bool)], ["CellId"])
    if (faults != "").any():
        raise InputError(f"{out}: {faults[faults != ''].iloc[0]}")
    kept = files.read_table(frozen) if frozen else None
    if n_folds:
        cells["fold"] = folds_of(cells, n_folds, label, dataset=dataset_name, seed=seed)
        cells["split"] = "test"
    elif column is None:
        place = partial(seeds.place, seed, dataset_name, "split")
        cells["split"] = _seeded(cells, split, place, kept)
    else:
        _follow_column(cells, column, out)
    if kept is not None:
        frozen_cells.check(cells, shards.values(), kept, frozen)
    asked = ["test"] if n_folds else split
    if reason := next(filter(None, (missing_split(cells, name) for name in asked)), ""):
        logger.warning("%s: %s", out, reason)
    files.write_table(cells, out)
