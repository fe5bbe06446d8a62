"""False discovery rate."""

from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return the q value of each p value of shape (m,); NaN, a test that was not possible, stays NaN.

    Formula: ``q_(i) = min over j >= i of m p_(j) / j``, at most 1, over the m tests with a p value.
    Source: Benjamini and Hochberg 1995.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, np.nan, 0.03])).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    from scipy.stats import false_discovery_control

    p = np.asarray(p, float)
    q, tested = np.full(p.shape, np.nan), np.isfinite(p)
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q


def hierarchical(p: np.ndarray, family: Sequence[object]) -> np.ndarray:
    """Return q values of hypotheses in families, such as the doses of a drug; NaN stays NaN.

    A family's p value is that of Simes, ``min over i of m p_(i) / i`` over its m hypotheses. At level a, R of
    F families are selected by Benjamini and Hochberg, and hypotheses within them at level ``a R / F``; the
    q value is the smallest such a. Controls the expected share of false discoveries in a selected family,
    averaged over these. Of a family of one it is the q value among families.

    Source: Benjamini and Bogomolov 2014; Simes 1986.

    Examples
    --------
    >>> hierarchical(np.array([0.001, 0.3, 0.04, np.nan]), ["a", "a", "b", "c"]).round(3).tolist()
    [0.004, 0.3, 0.04, nan]
    """
    p, q = np.asarray(p, float), np.full(len(p), np.nan)
    names, which = np.unique(np.asarray(family, dtype=object).astype(str), return_inverse=True)
    within = np.full(len(p), np.nan)
    simes = np.full(len(names), np.nan)
    for number in range(len(names)):
        own = (which == number) & np.isfinite(p)
        within[own] = benjamini_hochberg(p[own])
        if own.any():
            # The smallest of the adjusted p values is that of Simes.
            simes[number] = within[own].min()
    of_family = benjamini_hochberg(simes)
    # Only at the q values of families does the number of those selected change.
    levels, n_each = np.unique(of_family[np.isfinite(of_family)], return_counts=True)
    n_selected, ends = n_each.cumsum(), np.append(levels[1:], np.inf)
    for row in np.flatnonzero(np.isfinite(p)):
        least = np.maximum(within[row] * n_each.sum() / n_selected, np.maximum(levels, of_family[which[row]]))
        q[row] = min(1.0, least[least < ends].min())
    return q
