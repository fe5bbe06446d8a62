"""Pairs of test cells to interpolate between, the same for every model."""

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.files import FilePath, write_table
from morphobench.files.tables import read_checked
from morphobench.log import logger


def draw_pairs(cells: pd.DataFrame, n_pairs: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw disjoint pairs of cells of two units: columns pair (int from 0), start, end (CellId) and group.

    `cells` has CellId and group, the independent unit. Units are joined by twos, the last three where their
    number is odd, and cells are paired within these alone: what one `group` of the result holds shares no
    unit with another, so pairs of different groups are independent. Each group gives a pair before any gives
    a second, until there are `n_pairs` or no cells left. A single unit is paired within itself. Order and
    repetition of cells do not matter.
    """
    named = cells[["CellId", "group"]].astype(str).drop_duplicates("CellId").sort_values("CellId")
    shuffled = named.iloc[rng.permutation(len(named))]
    units = [part["CellId"].tolist() for _, part in shuffled.groupby("group", sort=True)]
    order = rng.permutation(len(units))
    n_joined = max(1, len(units) // 2)
    joined = [[units[place] for place in order[number::n_joined]] for number in range(n_joined)]
    drawn = [_pair(own) for own in joined] if units else []
    rounds = [(turn, group, *pair) for group, own in enumerate(drawn) for turn, pair in enumerate(own)]
    table = pd.DataFrame(sorted(rounds)[:n_pairs], columns=["turn", "group", "start", "end"], dtype=object)
    table["group"] = "units " + table["group"].astype(str)
    table.insert(0, "pair", np.arange(len(table)))
    return table[["pair", "start", "end", "group"]]


def _pair(units: list[list[str]]) -> list[tuple[str, str]]:
    """Pair cells of different units, always of the two that have most left; cells of a single one."""
    if len(units) == 1:
        return list(zip(units[0][::2], units[0][1::2], strict=False))
    left, pairs = [list(own) for own in units], []
    while True:
        most, second = sorted(range(len(left)), key=lambda place: -len(left[place]))[:2]
        if not left[second]:
            return pairs
        pairs.append((left[most].pop(), left[second].pop()))


def run(manifest: FilePath, out: FilePath, *, n_pairs: int, seed: int, dataset: str) -> None:
    """Draw pairs among the sampled test cells of `manifest` and write them.

    With fewer than two such cells the table is empty, and a warning is logged.
    """
    cells = read_checked(manifest, ("CellId", "group", "split", "success"))
    test = cells[(cells["split"] == "test") & cells["success"].astype(bool)]
    pairs = draw_pairs(test, n_pairs, seeds.generator(seed, dataset, "score", "pairs"))
    if pairs.empty:
        message = "%s has %d sampled test cells, no pair. Add cells, or raise the share of the test split."
        logger.warning(message, dataset, len(test))
    write_table(pairs, out)
