"""Folds of a data set so small that every cell must be a test cell once."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.files import FilePath, read_table, write_table
from morphobench.log import logger
from morphobench.sample.split import split_groups


def folds_of(cells: pd.DataFrame, n_folds: int, label: str, *, dataset: str, seed: int) -> pd.Series:
    """Return the fold of each cell, 0 to `n_folds` - 1: that in which it is a test cell.

    The groups of each value of the column `label` are cut into folds of equal numbers, in the order of a
    number that follows from their names alone: a group that is added moves at most one across each limit
    between folds. (To move none, a fold could not know of any other group, and would hold rare labels by
    chance.) A group of several labels goes with its most frequent one. A label of fewer groups than folds is
    logged.
    """

    def place(group: str) -> float:
        return seeds.place(seed, dataset, "fold", group)

    # Also of groups without a usable cell.
    folds = {group: int(n_folds * place(group)) for group in cells["group"]}
    for name, groups in _groups_by_label(cells[cells["success"].astype(bool)], label).items():
        ordered, n = sorted(groups, key=place), len(groups)
        folds |= {group: rank * n_folds // n for rank, group in enumerate(ordered)}
        if n < n_folds:
            text = "%s %s of %s has %d groups of cells: %d of %d folds have none of it to test"
            logger.warning(text, label, name, dataset, n, n_folds - n, n_folds)
    return cells["group"].map(folds).astype(np.int64)


def _groups_by_label(cells: pd.DataFrame, label: str) -> dict[str, list[str]]:
    """Return the groups of each label."""
    values = cells[label].astype(str) if label in cells else pd.Series("", cells.index)
    counts = pd.crosstab(cells["group"], values)
    return {name: own.index.tolist() for name, own in counts.groupby(counts.idxmax(axis=1))}


def fold_split(
    cells: pd.DataFrame, fold: int, shares: Mapping[str, float], *, label: str, dataset: str, seed: int
) -> pd.Series:
    """Return the split of each cell in one fold: its own cells are test cells, the others train and val.

    `cells` has the column `fold`; of `shares`, those of train and val count. The others are split within each
    label by their groups' names, alike in every fold.
    """
    others = cells[cells["fold"] != fold]
    total = shares["train"] + shares["val"]
    parts = {name: shares[name] / total for name in ("train", "val")}

    def place(group: str) -> float:
        return seeds.place(seed, dataset, "fold val", group)

    splits: dict[str, str] = {}
    for groups in _groups_by_label(others, label).values():
        splits |= split_groups(groups, parts, place)
    return cells["group"].map(splits).where(cells["fold"] != fold, "test")


def run(
    manifest: FilePath,
    out: FilePath,
    *,
    fold: int,
    split: Mapping[str, float],
    label: str,
    dataset_name: str,
    seed: int,
) -> None:
    """Write the manifest of a data set with the split of one fold (`fold_split`)."""
    cells = read_table(manifest)
    own = fold_split(cells, fold, split, label=label, dataset=dataset_name, seed=seed)
    write_table(cells.assign(split=own), out)
