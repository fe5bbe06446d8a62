"""Intervals of scores and p values between models, where what they should cover is known.

`coverage` gives how often the 95 % interval of a kind of score is right, `level` how often the p value of two
models that are alike is at most 0.05; `COVERAGE` and `LEVELS` are the rows of both tables, a call with the
number of test sets each.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from morphobench.metrics.classification import auroc, balanced_accuracy
from morphobench.metrics.intrinsic_dimension import intrinsic_dimension
from morphobench.metrics.regression import r_squared
from morphobench.score.differences import paired_differences
from morphobench.score.exchanged import auroc_contributions
from morphobench.score.intervals import (
    Range,
    bounds,
    jackknife,
    jackknife_interval,
    mean_interval,
    unit_sums,
)
from morphobench.score.pairs import draw_pairs

LEVEL = 0.05
UNITS = (4, 8, 38, 200)
MANY = 200
LOWEST, HIGHEST = 0.02, 0.07
COVER = (0.92, 0.98)
# Cells of a unit, and the share of their variance that they have in common.
N_CELLS, SHARED = 6, 0.3
N_BLOCKS, N_PERMUTATIONS = 200, 199
# Units of a test set for the p values: below six none can be 0.05.
UNITS_P = (4, 6, 8, 38, 200)
# Share of hits; for intervals of shares any between two: coverage goes up and down with the share.
HITS, ALL_HITS = 0.84, (0.5, 0.9)
# Cells of an estimate of dimension.
N_COMPACT = 200
PLAIN, ERROR, SHARE, R2 = Range(), Range(0.0), Range(0.0, 1.0, "logit"), Range(highest=1.0)


class Drawn(NamedTuple):
    """Cells of a test set as one model sees them: units, an error, truths and what is predicted."""

    units: np.ndarray
    error: np.ndarray
    hit: np.ndarray
    positive: np.ndarray
    score: np.ndarray
    target: np.ndarray
    predicted: np.ndarray


def noise(n_units: int, rng: np.random.Generator, shared: float = SHARED) -> np.ndarray:
    """Draw standard normal values of cells, shape (n_units * N_CELLS,), in part those of their unit."""
    of_unit = np.repeat(rng.normal(size=n_units), N_CELLS)
    return np.sqrt(shared) * of_unit + np.sqrt(1 - shared) * rng.normal(size=len(of_unit))


def cells(n_units: int, rng: np.random.Generator, hits: float = HITS) -> Drawn:
    """Draw the truths of some cells and the answers of a model with such a share of hits."""
    positive = np.tile([True, False], n_units * N_CELLS // 2)
    target, units = noise(n_units, rng), np.repeat(np.arange(n_units), N_CELLS)
    return Drawn(units, *answers(positive, target, rng, hits))


def answers(
    positive: np.ndarray, target: np.ndarray, rng: np.random.Generator, hits: float = HITS
) -> tuple[np.ndarray, ...]:
    """Draw the answers of a model about cells."""
    own = partial(noise, len(positive) // N_CELLS, rng)
    return (
        np.exp(0.3 * own()),
        own() < norm.ppf(hits),
        positive,
        own() + 1.4 * positive,
        target,
        target + 0.6 * own(),
    )


def area(drawn: Drawn) -> Callable[[np.ndarray], np.ndarray]:
    probability = np.stack([1 - expit(drawn.score), expit(drawn.score)], axis=1)
    return partial(auroc, probability, np.array([False, True]), drawn.positive)


STATISTICS = {
    "AUROC": (area, SHARE),
    "balanced accuracy": (lambda one: partial(balanced_accuracy, one.hit * 1.0, one.positive), SHARE),
    "r2": (lambda one: partial(r_squared, one.target, one.predicted), R2),
}
MEANS = {"mean error": ("error", ERROR), "accuracy": ("hit", SHARE)}


def pair_values(n_units: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw values of pairs of cells, half of whose variance is that of their two units, and their groups."""
    units = np.repeat(np.arange(n_units), N_CELLS)
    table = pd.DataFrame({"CellId": np.arange(len(units)).astype(str), "group": units})
    pairs = draw_pairs(table, 117, rng)
    of_unit = rng.normal(size=n_units)
    both = [of_unit[units[pairs[side].astype(int)]] for side in ("start", "end")]
    return 5 + sum(both) / 2 + np.sqrt(0.5) * rng.normal(size=len(pairs)), pairs["group"].to_numpy()


def interval(
    kind: str, n_units: int, rng: np.random.Generator, hits: float = HITS
) -> tuple[float, float, float]:
    """Value and interval of one kind of score in a test set of so many units."""
    if kind == "pairs of cells":
        values, groups = pair_values(n_units, rng)
        return mean_interval(values, groups, PLAIN)[:3]
    if kind == "dimension":
        units = np.repeat(np.arange(n_units), min(N_CELLS, N_COMPACT // n_units))
        z = np.random.default_rng(rng.integers(2**32)).normal(size=(len(units), 5))
        found = intrinsic_dimension(z, [5, 10], units)
        return found.value, *bounds(found.value, found.error, n_units, n_units, ERROR)
    drawn = cells(n_units, rng, hits)
    if kind.startswith("difference of "):
        return difference(kind.removeprefix("difference of "), drawn, rng)
    if kind in MEANS:
        name, within = MEANS[kind]
        return mean_interval(getattr(drawn, name), drawn.units, within)[:3]
    build, within = STATISTICS[kind]
    value, without = jackknife(build(drawn), drawn.units, N_BLOCKS, rng)
    return value, *jackknife_interval(value, without, n_units, within)


def difference(kind: str, drawn: Drawn, rng: np.random.Generator) -> tuple[float, float, float]:
    """Difference between two models that are alike, and its interval."""
    other = Drawn(drawn.units, *answers(drawn.positive, drawn.target, rng))
    if kind in MEANS:
        a, b = (getattr(one, MEANS[kind][0])[:, None] * 1.0 for one in (drawn, other))
        found = paired_differences(a, b, drawn.units, n_permutations=1, rng=rng)[0]
        return found.difference, found.ci_low, found.ci_high
    seed = rng.integers(2**32)
    both = [
        jackknife(STATISTICS[kind][0](one), one.units, N_BLOCKS, np.random.default_rng(seed))
        for one in (drawn, other)
    ]
    value, without = (a - b for a, b in zip(*both, strict=True))
    return value, *jackknife_interval(value, without, len(np.unique(drawn.units)), PLAIN)


KINDS = ("mean error", "accuracy", "AUROC", "balanced accuracy", "r2", "pairs of cells", "dimension")
KINDS += tuple(f"difference of {name}" for name in (*MEANS, *STATISTICS))


@cache
def truth(kind: str, n_units: int) -> float:
    """Return what the intervals should hold: the value in many cells, or the mean of estimates."""
    if kind.startswith("difference"):
        return 0.0
    rng = np.random.default_rng(1)
    if kind == "pairs of cells":
        return 5.0
    if kind == "dimension":
        return float(np.mean([interval(kind, n_units, rng)[0] for _ in range(200)]))
    drawn = cells(10_000, rng)
    if kind == "mean error":
        return float(drawn.error.mean())
    return float(STATISTICS[kind][0](drawn)(np.ones((1, len(drawn.units))))[0])


def covered(kind: str, n_units: int, n: int) -> float:
    """Return the share of n test sets whose interval holds the truth, NaN where there is none."""
    held = []
    # Many units take long, and are no hard case.
    for seed in range(n if n_units < MANY else n // 2):
        is_share = kind in ("accuracy", "balanced accuracy")
        hits = np.random.default_rng((4, seed)).uniform(*ALL_HITS) if is_share else HITS
        expected = hits if is_share else truth(kind, n_units)
        _, low, high = interval(kind, n_units, np.random.default_rng((2, seed)), hits)
        held.append(np.nan if np.isnan(low) else low <= expected <= high)
    return float(np.mean(held))


def coverage(kind: str, n: int) -> dict[str, object]:
    """Return the kind of score and its coverage at each number of units."""
    # A dimension is jackknifed over up to 200 units, which takes longest.
    least = n // 4 if kind == "dimension" else n
    shares = {f"{number} units": covered(kind, number, least) for number in UNITS}
    return {"95 % interval of": kind} | shares


def paired_p(kind: str, n_units: int, rng: np.random.Generator) -> float:
    """P value between two models that are alike, by exchange within units."""
    drawn = cells(n_units, rng)
    other = Drawn(drawn.units, *answers(drawn.positive, drawn.target, rng))
    units = drawn.units
    if kind in MEANS:
        a, b = (getattr(one, MEANS[kind][0]) * 1.0 for one in (drawn, other))
    elif kind == "balanced accuracy":
        a, b = (one.hit * 1.0 for one in (drawn, other))
    elif kind == "r2":
        a, b = ((one.target - one.predicted) ** 2 for one in (drawn, other))
    else:
        parts = [
            pd.DataFrame(
                {"model": name, "seed": 0, "item": np.arange(len(units)), "group": units, "label": "x"}
            ).assign(positive=one.positive, value=one.score)
            for name, one in (("a", drawn), ("b", other))
        ]
        moved, units = auroc_contributions(pd.concat(parts), [("a", "b")])
        a, b = moved[:, 0], np.zeros(len(moved))
    sums = unit_sums((a - b)[:, None], units)[0]
    compared = paired_differences(
        sums, np.zeros_like(sums), np.arange(n_units), n_permutations=N_PERMUTATIONS, rng=rng
    )
    return compared[0].p


def p_values(kind: str, n_units: int, n: int) -> np.ndarray:
    """Return p values of n test sets, NaN where there is none."""
    return np.array([paired_p(kind, n_units, np.random.default_rng((3, seed))) for seed in range(n)])


def level(kind: str, n_units: int, n: int) -> dict[str, object]:
    """Return test, number of units, share of p <= 0.05, share of test sets with p, number of these."""
    p = p_values(kind, n_units, n if n_units < MANY else n // 2)
    known = np.isfinite(p)
    share = float((p[known] <= LEVEL).mean()) if known.any() else float("nan")
    row = {"test": f"two models, {kind}", "without effect, but": f"{n_units} units"}
    return row | {"share of p <= 0.05": share, "with p": float(known.mean()), "n": len(p)}


COVERAGE = [partial(coverage, kind) for kind in KINDS]
LEVELS = [partial(level, kind, n_units) for kind in (*MEANS, *STATISTICS) for n_units in UNITS_P]
