"""Whether every stratum has an archetype of its own: mean weights, and a test of the claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphobench.score.metrics.fdr import benjamini_hochberg


def stratum_by_archetype(
    weights: np.ndarray, strata: Sequence[object], *, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Average the archetypes' weights over each stratum and test whether each has an archetype of its own.

    Strata and archetypes are paired one to one so that the sum of the paired mean weights is largest. The
    test statistic of a stratum is the mean weight of its archetype, 0 when it gets none; the null permutes
    strata among cells and pairs anew each time, so the choice of the pairing is paid for.

    Parameters
    ----------
    weights
        Share of each archetype in each cell, shape (n, k).
    strata
        Stratum of each cell, shape (n,); None for cells without one, which are left out.
    n_permutations
        Permutations of the null.
    rng
        Their source.

    Returns
    -------
    pd.DataFrame
        One row per stratum and archetype: stratum, archetype, mean_weight, n_cells, assigned (bool), p and
        q (of the stratum, Benjamini-Hochberg over strata; NaN for one stratum alone), p_all (of the sum over
        all pairs).

    Notes
    -----
    Tests the claim of Vasan et al. 2025, Fig. 3c, that eight archetypes are the eight stages.
    """
    labels = np.array([None if value is None else str(value) for value in strata], dtype=object)
    labelled = np.array([value is not None for value in labels], dtype=bool)
    names, which = np.unique(labels[labelled].astype(str), return_inverse=True)
    weights = weights[labelled]
    n_cells = np.bincount(which, minlength=len(names))
    mean = _means(weights, which, n_cells)
    found, assigned = _paired(mean)
    p, p_all = np.full(len(names), np.nan), np.nan
    if len(names) > 1:
        null = np.stack(
            [_paired(_means(weights, rng.permutation(which), n_cells))[0] for _ in range(n_permutations)]
        )
        p = (1 + (null >= found - 1e-12).sum(axis=0)) / (1 + n_permutations)
        p_all = (1 + (null.sum(axis=1) >= found.sum() - 1e-12).sum()) / (1 + n_permutations)
    k = weights.shape[1]
    return pd.DataFrame(
        {
            "stratum": np.repeat(names, k),
            "archetype": np.tile(np.arange(k), len(names)),
            "mean_weight": mean.ravel(),
            "n_cells": np.repeat(n_cells, k),
            "assigned": assigned.ravel(),
            "p": np.repeat(p, k),
            "q": np.repeat(benjamini_hochberg(p), k),
            "p_all": p_all,
        }
    )


def _means(weights: np.ndarray, which: np.ndarray, n_cells: np.ndarray) -> np.ndarray:
    sums = [np.bincount(which, column, minlength=len(n_cells)) for column in weights.T]
    return np.stack(sums, axis=1) / n_cells[:, None]


def _paired(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each stratum's mean weight on its own archetype, 0 without one, and the pairs as a mask."""
    from scipy.optimize import linear_sum_assignment

    pairs = linear_sum_assignment(mean, maximize=True)
    assigned = np.zeros(mean.shape, dtype=bool)
    assigned[pairs] = True
    return np.where(assigned, mean, 0.0).sum(axis=1), assigned
