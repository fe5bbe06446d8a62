"""Rows of the score table."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

Variant = Literal["corrected", "legacy"]
Better = Literal["high", "low", "none"]


class Score(NamedTuple):
    """One row of the score table.

    `variant` is "corrected" or "legacy" (as published), `better` says which direction is good, if one is,
    `ci_low` and `ci_high` bound the 95 % interval (NaN where there is none), `n` counts the values behind
    `value`, `n_units` the independent units (nuclei, wells, pairs of these) that they come from, and `reason`
    explains a missing value or interval, or left-out cells.
    """

    dataset: str
    model: str
    seed: int
    metric: str
    variant: Variant
    unit: str
    better: Better
    value: float
    ci_low: float
    ci_high: float
    n: int
    n_units: int
    reason: str


_DTYPES = dict.fromkeys(("seed", "n", "n_units"), np.int64)
_DTYPES |= dict.fromkeys(("value", "ci_low", "ci_high"), np.float64)


def score_table(scores: Iterable[Score]) -> pd.DataFrame:
    """Return scores as a table: one row each, columns named after the fields of `Score`, fixed types."""
    rows = pd.DataFrame(list(scores), columns=list(Score._fields))
    return rows.astype({name: _DTYPES.get(name, object) for name in Score._fields})
