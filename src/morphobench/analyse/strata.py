"""Permutation test of whether each stratum has an archetype of its own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import false_discovery_control


def stratum_by_archetype(
    weights: np.ndarray, strata: Sequence[object], *, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Average the archetypes' weights (n, k) over each stratum and test the best one-to-one pairing.

    The statistic of a stratum is the mean weight of its paired archetype, 0 without one. The null permutes
    strata among cells and pairs anew each time, which accounts for the choice of the pairing. Cells whose
    stratum is None are left out.

    Returns
    -------
    pd.DataFrame
        Per stratum and archetype: stratum, archetype, mean_weight, n_cells, assigned, p and q of the stratum
        (Benjamini-Hochberg), p_all of the sum over all pairs; NaN for one stratum alone.

    Notes
    -----
    Tests the claim of Vasan et al. 2025, Fig. 3c, that eight archetypes are the eight stages.
    """
    labelled = pd.notna(np.asarray(strata, dtype=object))
    names, which = np.unique(np.asarray(strata)[labelled].astype(str), return_inverse=True)
    weights = weights[labelled]
    n_cells = np.bincount(which, minlength=len(names))
    mean = _means(weights, which, n_cells)
    paired, assigned = _pair(mean)
    p, q, p_all = np.full(len(names), np.nan), np.full(len(names), np.nan), np.nan
    if len(names) > 1:
        draws = (rng.permutation(which) for _ in range(n_permutations))
        null = np.stack([_pair(_means(weights, draw, n_cells))[0] for draw in draws])
        p = (1 + (null >= paired - 1e-12).sum(axis=0)) / (1 + n_permutations)
        q = false_discovery_control(p)
        p_all = (1 + (null.sum(axis=1) >= paired.sum() - 1e-12).sum()) / (1 + n_permutations)
    stratum, archetype = (index.ravel() for index in np.indices(mean.shape))
    pairs = pd.DataFrame({"stratum": names[stratum], "archetype": archetype, "mean_weight": mean.ravel()})
    tested = {"n_cells": n_cells[stratum], "assigned": assigned.ravel(), "p": p[stratum], "q": q[stratum]}
    return pairs.assign(**tested, p_all=p_all)


def _means(weights: np.ndarray, which: np.ndarray, n_cells: np.ndarray) -> np.ndarray:
    sums = [np.bincount(which, column, minlength=len(n_cells)) for column in weights.T]
    return np.stack(sums, axis=1) / n_cells[:, None]


def _pair(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each stratum's mean weight on its paired archetype, 0 without one, and the pairs as a mask."""
    assigned = np.zeros(mean.shape, dtype=bool)
    assigned[linear_sum_assignment(mean, maximize=True)] = True
    return np.where(assigned, mean, 0.0).sum(axis=1), assigned
