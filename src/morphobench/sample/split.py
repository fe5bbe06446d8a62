"""Parts of a data set that follow from the names of its groups alone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np


def split_groups(
    groups: Iterable[str], fractions: Mapping[Any, float], place: Callable[[str], float], *, fill: bool = True
) -> dict[str, Any]:
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
