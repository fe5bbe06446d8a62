"""Cells by volume: bins that hold every cell, and the mean code of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def bin_edges(
    volumes_um3: np.ndarray,
    *,
    edges_um3: Sequence[float] | None = None,
    n_bins: int = 5,
    quantiles: Sequence[float] = (0.01, 0.99),
) -> np.ndarray:
    """Return the edges of the bins: those given, or equal widths between two quantiles of the volumes.

    Parameters
    ----------
    volumes_um3
        Shape (n,), cubic micrometres; NaN where unknown.
    edges_um3
        Rising, at least two.
    n_bins, quantiles
        Number of bins, and the quantiles between which they lie, without `edges_um3`.

    Returns
    -------
    np.ndarray
        Shape (number of bins + 1,); empty when no volume is known and no edge is given.
    """
    if edges_um3 is not None:
        return np.asarray(edges_um3, float)
    known = volumes_um3[np.isfinite(volumes_um3)]
    return np.linspace(*np.quantile(known, quantiles), n_bins + 1) if len(known) else np.empty(0)


def bin_of(volumes_um3: np.ndarray, edges_um3: np.ndarray) -> np.ndarray:
    """Return the bin of each volume, from 0; -1 where unknown.

    A bin holds its upper edge. Smaller volumes than all bins go to the first, larger ones to the last.

    Notes
    -----
    The published loop sends volumes below the first bin to the last, and stops at one on the lower edge.

    Examples
    --------
    >>> bin_of(np.array([1.0, 10.0, 20.0, 20.1, 99.0, np.nan]), np.array([10.0, 20.0, 30.0])).tolist()
    [0, 0, 0, 1, 1, -1]
    """
    if len(edges_um3) < 2:
        return np.full(len(volumes_um3), -1)
    inner = np.digitize(volumes_um3, edges_um3[1:-1], right=True)
    return np.where(np.isfinite(volumes_um3), inner, -1)


def bin_means(z: np.ndarray, which: np.ndarray, edges_um3: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count the cells of each bin and average their codes.

    Parameters
    ----------
    z
        Codes, shape (n, D).
    which
        Bin of each cell, -1 for none, shape (n,).
    edges_um3
        Shape (number of bins + 1,).

    Returns
    -------
    bins, codes
        Columns bin, lo_um3, hi_um3, n, one row per bin; and bin, mu_0 ... mu_{D-1} of bins with cells.
    """
    numbers = np.arange(max(len(edges_um3) - 1, 0))
    count = np.array([(which == number).sum() for number in numbers], dtype=int)
    bins = pd.DataFrame({"bin": numbers, "lo_um3": edges_um3[:-1], "hi_um3": edges_um3[1:], "n": count})
    filled = numbers[count > 0]
    means = np.array([z[which == number].mean(axis=0) for number in filled]).reshape(-1, z.shape[1])
    codes = pd.DataFrame(means, columns=[f"mu_{i}" for i in range(z.shape[1])])
    codes.insert(0, "bin", filled)
    return bins, codes
