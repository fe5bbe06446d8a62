"""False discovery rate."""

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
