"""Exchange of whole units, such as wells, between a condition and its controls, within plates."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.random import Generator

LEVEL = 0.05
UNKNOWN = "its units are not known"
# Null values reach the observed one up to rounding.
_ROUNDING = 1e-7


class Design(NamedTuple):
    """Which units can be exchanged.

    Attributes
    ----------
    unit
        Number of each cell's unit, shape (n,).
    treated, plate
        Whether each unit is of the condition, and the number of its plate, shape (units,).
    n_exchanges
        Ways to choose as many units of each plate as the condition has there; 0 where it cannot be said.
    reason
        Why there is no p value; empty where there is one.
    """

    unit: np.ndarray
    treated: np.ndarray
    plate: np.ndarray
    n_exchanges: int
    reason: str

    @property
    def inside(self) -> np.ndarray:
        """Whether each cell is of the condition, shape (n,)."""
        return self.treated[self.unit]

    def is_exact(self, n_draws: int) -> bool:
        """Return whether all exchanges are tried instead of `n_draws` random ones."""
        return self.n_exchanges <= n_draws

    def smallest_p(self, n_draws: int) -> float:
        """Return the smallest p value that can come out, NaN without an exchange."""
        if not self.n_exchanges:
            return np.nan
        return 1 / self.n_exchanges if self.is_exact(n_draws) else 1 / (1 + n_draws)


def codes(*columns: Sequence[object]) -> np.ndarray:
    """Return a number for each combination of values, -1 where one is missing, shape (n,).

    Examples
    --------
    >>> codes(["E1", "E1", None], [1, 2, 2]).tolist()
    [0, 1, -1]
    """
    table = pd.DataFrame(
        {number: pd.Series(list(values), dtype=object) for number, values in enumerate(columns)}
    )
    found = table.groupby(list(table), sort=True, dropna=True).ngroup()
    return found.fillna(-1).to_numpy(int)


def nested(
    unit: Sequence[object] | None, plate: Sequence[object] | None, n_cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return unit and plate of each cell as numbers, shape (n_cells,); unit -1 where one is not known.

    Units of one name on two plates are two. Without plates there is one.
    """
    on_plate = [] if plate is None else [plate]
    units = np.full(n_cells, -1) if unit is None else codes(*on_plate, unit)
    return units, codes(plate) if on_plate else np.zeros(n_cells, dtype=int)


def design(unit: np.ndarray, is_condition: np.ndarray, plate: np.ndarray) -> Design:
    """Return how the units of a condition can be exchanged with those of its controls within plates.

    `unit` and `plate` are numbers, shape (n,); each unit lies on one plate. There is no p value for fewer
    than two units of condition or controls, units that hold both, no plate with units of both, or fewer than
    1 / `LEVEL` exchanges.
    """
    _, first, unit = np.unique(unit, return_index=True, return_inverse=True)
    treated, plates = is_condition[first], plate[first]
    n, n_treated = np.bincount(plates), np.bincount(plates, treated).astype(int)
    n_exchanges = math.prod(math.comb(int(all_), int(own)) for all_, own in zip(n, n_treated, strict=True))
    reason = ""
    if not is_condition.any():
        n_exchanges, reason = 0, UNKNOWN
    elif (is_condition != treated[unit]).any():
        n_exchanges, reason = 0, "units hold both the condition and controls: they cannot be exchanged"
    elif treated.sum() < 2:
        reason = f"{treated.sum()} units of the condition: at least two are needed"
    elif (~treated).sum() < 2:
        reason = f"{(~treated).sum()} units of the controls: at least two are needed"
    elif n_exchanges == 1:
        reason = "no plate holds units of both the condition and the controls"
    elif 1 / n_exchanges > LEVEL:
        reason = f"{n_exchanges} exchanges of units: the smallest possible p is {1 / n_exchanges:.2g}"
    return Design(unit, treated, plates, n_exchanges, reason)


def exchanges(design: Design, n_draws: int, rng: Generator) -> Iterator[np.ndarray]:
    """Yield the units chosen for the condition as masks: all choices but the observed one, or random ones.

    Random ones, `n_draws` of them, where there are more.
    """
    plates = [np.flatnonzero(design.plate == number) for number in np.unique(design.plate)]
    counts = [int(design.treated[units].sum()) for units in plates]
    if design.is_exact(n_draws):
        choices = product(*map(combinations, plates, counts))
        chosen = (list(chain.from_iterable(choice)) for choice in choices)
    else:
        drawn = (
            [rng.permutation(units)[:k] for units, k in zip(plates, counts, strict=True)]
            for _ in range(n_draws)
        )
        chosen = map(np.concatenate, drawn)
    for units in chosen:
        mask = np.zeros(len(design.treated), dtype=bool)
        mask[units] = True
        if not (design.is_exact(n_draws) and (mask == design.treated).all()):
            yield mask


def share_reached(values: Iterable[float], observed: float, enough: int | None = None) -> float:
    """Return the p value of an observed statistic among those under exchanges; large ones count.

    The observed one counts too. With `enough` the test is sequential: it ends once so many values reached the
    observed one; their order must then be random. NaN for a statistic that is.

    Source: Besag and Clifford 1991 for the sequential p value.
    """
    if np.isnan(observed):
        return np.nan
    reached = draws = 0
    for value in values:
        draws += 1
        reached += bool(value >= observed - _ROUNDING)
        if reached == enough:
            return reached / draws
    return (1 + reached) / (1 + draws)
