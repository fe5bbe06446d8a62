"""Level of the test of strata against archetypes: how often p <= 0.05 without effect, where units shift.

`ROWS` are the rows of the table, a call with the number of screens each.
"""

from functools import partial

import numpy as np

from morphobench.analyse.strata import stratum_by_archetype

LEVEL = 0.05
# With 39 random ones p is at most 0.05 in exactly one of twenty cases.
N_PERMUTATIONS = 39
# Units, cells of each, and strata.
N_UNITS, N_CELLS, N_STRATA = 12, 6, 3
DESIGNS = ("a stratum for each unit", "all strata in each unit", "some of both", "each cell a unit")


def screen(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw weights (n, 3) that the unit of a cell shifts, strata and units; units shift nothing if cells."""
    sd = 0.0 if name == DESIGNS[3] else 1.0
    own = sd * rng.normal(size=(N_UNITS, 1, 3)) + 0.5 * rng.normal(size=(N_UNITS, N_CELLS, 3))
    shares = np.exp(own.reshape(-1, 3))
    unit, mixed = np.repeat(np.arange(N_UNITS), N_CELLS), np.tile(np.arange(N_STRATA), N_UNITS * 2)
    pure = {DESIGNS[0]: N_UNITS, DESIGNS[2]: 6}.get(name, 0)
    strata = np.where(unit < pure, unit % N_STRATA, mixed)
    return shares / shares.sum(axis=1, keepdims=True), strata, np.arange(len(unit)) if sd == 0 else unit


def p_values(name: str, n: int, n_permutations: int = N_PERMUTATIONS, *, by_cell: bool = False) -> np.ndarray:
    """Return p_all in n screens, shape (n,); `by_cell` takes every cell for a unit, which is wrong."""
    p = np.empty(n)
    for seed in range(n):
        rng = np.random.default_rng(seed)
        weights, strata, unit = screen(name, rng)
        unit = np.arange(len(unit)) if by_cell else unit
        found = stratum_by_archetype(weights, strata, unit, n_permutations=n_permutations, rng=rng)
        p[seed] = found["p_all"].iloc[0]
    return p


def level(name: str, n: int) -> dict[str, object]:
    """Return test, design, share of p <= 0.05, of how many screens there is p, and number of screens."""
    p = p_values(name, n)
    row = {"test": "strata", "without effect, but": name, "share of p <= 0.05": float((p <= LEVEL).mean())}
    return row | {"with p": float(np.isfinite(p).mean()), "n": n}


ROWS = [partial(level, name) for name in DESIGNS]
