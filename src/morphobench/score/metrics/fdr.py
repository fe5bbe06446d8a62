"""False discovery rate."""

from __future__ import annotations

import numpy as np


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return the q value of each p value: the rate of false discoveries if it and all smaller ones count.

    Formula: ``q_(i) = min over j >= i of m p_(j) / j``, at most 1.

    Parameters
    ----------
    p
        Shape (m,); NaN for tests that could not be done, which do not count and stay NaN.

    Notes
    -----
    Source: Benjamini and Hochberg 1995.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, np.nan, 0.03])).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    p = np.asarray(p, float)
    q = np.full(p.shape, np.nan)
    rows = np.flatnonzero(np.isfinite(p))
    order = rows[np.argsort(p[rows], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
