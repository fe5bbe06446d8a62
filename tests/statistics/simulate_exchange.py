"""Level of the tests of drugs: how often p <= 0.05 without effect, where fields, wells or plates shift.

`ROWS` are the rows of the table, a call with the number of screens each.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from morphobench.analyse.lda import separate
from morphobench.metrics.exchange import nested
from morphobench.metrics.retrieval import standardise_on_controls
from morphobench.metrics.retrieval_null import exchange_p

LEVEL = 0.05
# What the share of p <= 0.05 must lie in.
LOWEST, HIGHEST = 0.02, 0.07
# Exchanges: with 39 random ones p is at most 0.05 in exactly one of twenty cases.
N_DRAWS = 39
CONTROL, DRUG = "control", "drug"


class Design(NamedTuple):
    """Wells of the condition and of the controls on each plate, and standard deviations of what shifts.

    Cells have a standard deviation of 1 in each of `dimension` features.
    """

    treated: tuple[int, ...]
    controls: tuple[int, ...]
    field: float = 0.0
    well: float = 0.0
    plate: float = 0.0
    effect: float = 0.0
    n_fields: int = 2
    n_cells: int = 3
    dimension: int = 12


DESIGNS = {
    "nothing shifts": Design((4,), (12,)),
    "fields": Design((4,), (12,), field=0.5),
    "wells, 2 of 8": Design((2,), (6,), well=0.5),
    "wells, many": Design((4,), (12,), well=0.5),
    "wells of unlike size": Design((4,), (12,), well=0.5, n_cells=0),
    "plates, on one of four": Design((4, 0, 0, 0), (5, 4, 4, 4), well=0.3, plate=0.5),
    "plates, unlike shares": Design((3, 1), (3, 6), well=0.3, plate=1.0),
}


class Screen(NamedTuple):
    """Profiles of the cells of one condition and its controls, and where each stands."""

    x: np.ndarray
    condition: np.ndarray
    plate: np.ndarray
    well: np.ndarray
    field: np.ndarray


def screen(design: Design, rng: np.random.Generator) -> Screen:
    """Draw a screen; with `n_cells` 0 each field has one to six cells."""
    cells = []
    for plate, counts in enumerate(zip(design.treated, design.controls, strict=True)):
        on_plate = design.plate * rng.normal(size=design.dimension)
        for well in range(sum(counts)):
            name = DRUG if well < counts[0] else CONTROL
            in_well = on_plate + design.well * rng.normal(size=design.dimension)
            for field in range(design.n_fields):
                mean = in_well + design.field * rng.normal(size=design.dimension)
                mean[0] += design.effect * (name == DRUG)
                for _ in range(design.n_cells or rng.integers(1, 7)):
                    cells.append((mean + rng.normal(size=design.dimension), name, plate, well, field))
    x, condition, plate, well, field = zip(*cells, strict=True)
    return Screen(np.array(x), np.array(condition), np.array(plate), np.array(well), np.array(field))


def retrieval_p(drawn: Screen, seed: int, n_draws: int) -> float:
    """P value of retrieving the condition, positives from other wells; as `retrieval_map` asks for it."""
    is_control, rng = drawn.condition == CONTROL, np.random.default_rng((seed, 2))
    well, plate = nested(drawn.well, drawn.plate, len(drawn.x))
    x, _ = standardise_on_controls(drawn.x, is_control)
    return exchange_p(x, well, ~is_control, plate, well, n_draws=n_draws, rng=rng)[0]


def lda_p(drawn: Screen, seed: int, n_draws: int) -> float:
    """P value of the discriminant between condition and controls."""
    rng = np.random.default_rng((seed, 1))
    is_drug = drawn.condition == DRUG
    return separate(drawn.x, is_drug, drawn.well, drawn.plate, n_permutations=n_draws, n_sets=0, rng=rng).p


TESTS = {"retrieval": retrieval_p, "discriminant": lda_p}


def p_values(test: str, design: Design, n: int, n_draws: int = N_DRAWS) -> np.ndarray:
    """Return the p values of a test in n screens, by so many exchanges at most, shape (n,)."""
    screens = (screen(design, np.random.default_rng(seed)) for seed in range(n))
    return np.array([TESTS[test](drawn, seed, n_draws) for seed, drawn in enumerate(screens)])


def level(test: str, name: str, n: int) -> dict[str, object]:
    """Return test, design, share of p <= 0.05, of how many screens there is p, and number of screens."""
    p = p_values(test, DESIGNS[name], n)
    row = {"test": test, "without effect, but": name, "share of p <= 0.05": float((p <= LEVEL).mean())}
    return row | {"with p": float(np.isfinite(p).mean()), "n": n}


ROWS = [partial(level, test, name) for test in TESTS for name in DESIGNS]
