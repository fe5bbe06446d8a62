"""Permutation test of whether each stratum has an archetype of its own."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from morphobench.metrics.exchange import LEVEL


def stratum_by_archetype(
    weights: np.ndarray,
    strata: Sequence[object],
    unit: Sequence[object],
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Average the archetypes' weights (n, k) over each stratum and test the best one-to-one pairing.

    The statistic of a stratum is the mean weight of its paired archetype, 0 without one. The null permutes
    strata and pairs anew each time, which accounts for the choice of the pairing. `unit`, shape (n,), are
    the independent units: strata are permuted among units of one stratum each, and among the cells of any
    other unit. Cells whose stratum is None are left out.

    Returns
    -------
    pd.DataFrame
        Per stratum and archetype: stratum, archetype, mean_weight, n_cells, n_units, assigned, p and q of the
        stratum (Benjamini-Hochberg), p_all of the sum over all pairs, reason; NaN with a reason for one
        stratum alone, and where units allow too few permutations.

    Notes
    -----
    Tests the claim of Vasan et al. 2025, Fig. 3c, that eight archetypes are the eight stages.
    """
    from scipy.stats import false_discovery_control

    labelled = pd.notna(np.asarray(strata, dtype=object))
    names, which = np.unique(np.asarray(strata)[labelled].astype(str), return_inverse=True)
    weights, unit = (
        weights[labelled],
        np.unique(np.asarray(unit)[labelled].astype(str), return_inverse=True)[1],
    )
    n_cells = np.bincount(which, minlength=len(names))
    n_units = np.array([len(np.unique(unit[which == number])) for number in range(len(names))])
    mean = _means(weights, which)
    paired, assigned = _pair(mean)
    p, q, p_all = np.full(len(names), np.nan), np.full(len(names), np.nan), np.nan
    reason = "one stratum" if len(names) < 2 else _too_few(which, unit)
    if not reason:
        draws = _permutations(which, unit, n_permutations, rng)
        null = np.stack([_pair(_means(weights, draw))[0] for draw in draws])
        p = (1 + (null >= paired - 1e-12).sum(axis=0)) / (1 + n_permutations)
        q = false_discovery_control(p)
        p_all = (1 + (null.sum(axis=1) >= paired.sum() - 1e-12).sum()) / (1 + n_permutations)
    stratum, archetype = (index.ravel() for index in np.indices(mean.shape))
    pairs = pd.DataFrame({"stratum": names[stratum], "archetype": archetype, "mean_weight": mean.ravel()})
    tested = {"n_cells": n_cells[stratum], "n_units": n_units[stratum], "assigned": assigned.ravel()}
    return pairs.assign(**tested, p=p[stratum], q=q[stratum], p_all=p_all, reason=reason)


def _pure(which: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return whether all cells of each unit are of one stratum, shape (units,)."""
    pairs = np.unique(np.stack([unit, which]), axis=1)
    return np.bincount(pairs[0]) == 1


def _too_few(which: np.ndarray, unit: np.ndarray) -> str:
    """Return why there are too few permutations for a p value; empty where there are enough."""
    from scipy.special import gammaln

    pure = _pure(which, unit)
    first = np.unique(unit, return_index=True)[1]
    # Their logarithm: permutations among pure units, and within each of the others.
    parts = [which[first][pure], *(which[unit == number] for number in np.flatnonzero(~pure))]
    log_n = sum(gammaln(len(part) + 1) - gammaln(np.bincount(part) + 1).sum() for part in parts if len(part))
    if log_n >= np.log(1 / LEVEL) - 1e-9:
        return ""
    return f"{np.exp(log_n):.0f} permutations of units: the smallest possible p is {np.exp(-log_n):.2g}"


def _permutations(
    which: np.ndarray, unit: np.ndarray, n: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Permute strata among units of one stratum each, and among the cells of each other unit, n times."""
    pure = _pure(which, unit)
    first = np.unique(unit, return_index=True)[1]
    mixed = np.flatnonzero(~pure[unit])
    mixed = mixed[np.argsort(unit[mixed], kind="stable")]
    for _ in range(n):
        # Lists the units as `mixed` does, but in random order within each. Drawn for every cell, used or not:
        # fewer draws would change p values.
        shuffled = mixed[np.lexsort((rng.random(len(unit))[mixed], unit[mixed]))]
        of_unit = which[first]
        of_unit[pure] = rng.permutation(of_unit[pure])
        permuted = of_unit[unit]
        permuted[mixed] = which[shuffled]
        yield permuted


def _means(weights: np.ndarray, which: np.ndarray) -> np.ndarray:
    n_cells = np.bincount(which)
    sums = [np.bincount(which, column) for column in weights.T]
    return np.stack(sums, axis=1) / n_cells[:, None]


def _pair(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each stratum's mean weight on its paired archetype, 0 without one, and the pairs as a mask."""
    from scipy.optimize import linear_sum_assignment

    assigned = np.zeros(mean.shape, dtype=bool)
    assigned[linear_sum_assignment(mean, maximize=True)] = True
    return np.where(assigned, mean, 0.0).sum(axis=1), assigned
