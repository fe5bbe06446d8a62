"""Bins of cells by volume, and the mean embedding of each bin."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphobench.files.tables import with_embeddings


def bin_edges(
    volumes_um3: np.ndarray,
    *,
    edges_um3: Sequence[float] | None = None,
    n_bins: int = 5,
    quantiles: Sequence[float] = (0.01, 0.99),
) -> np.ndarray:
    """Return `edges_um3`, or the edges (n_bins + 1,) of equal widths between two quantiles of the volumes.

    Without edges and without a finite volume there are no bins: shape (0,).
    """
    if edges_um3 is not None:
        return np.asarray(edges_um3, float)
    finite = volumes_um3[np.isfinite(volumes_um3)]
    return np.linspace(*np.quantile(finite, quantiles), n_bins + 1) if len(finite) else np.empty(0)


def assign_bins(volumes_um3: np.ndarray, edges_um3: np.ndarray) -> np.ndarray:
    """Return the bin of each volume, from 0, shape (n,); -1 where the volume is NaN or there are no bins.

    A bin holds its upper edge. Volumes beyond the outer edges go to the first and the last bin; the published
    code sends those below the first bin to the last.

    Examples
    --------
    >>> assign_bins(np.array([1.0, 10.0, 20.0, 20.1, 99.0, np.nan]), np.array([10.0, 20.0, 30.0])).tolist()
    [0, 0, 0, 1, 1, -1]
    """
    inner = np.digitize(volumes_um3, edges_um3[1:-1], right=True)
    return np.where(np.isfinite(volumes_um3) & (len(edges_um3) > 1), inner, -1)


def bin_means(z: np.ndarray, bins: np.ndarray, edges_um3: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count the cells of each bin and average their embeddings (n, D); `bins` (n,) is -1 for none.

    Returns
    -------
    counts, means
        bin, lo_um3, hi_um3, n of every bin; and bin, mu_0 ... mu_{D-1} of bins with cells.
    """
    numbers = np.arange(max(len(edges_um3) - 1, 0))
    n_cells = np.bincount(bins[bins >= 0], minlength=len(numbers))
    counts = pd.DataFrame({"bin": numbers, "lo_um3": edges_um3[:-1], "hi_um3": edges_um3[1:], "n": n_cells})
    filled = numbers[n_cells > 0]
    means = np.array([z[bins == number].mean(axis=0) for number in filled]).reshape(-1, z.shape[1])
    return counts, with_embeddings(pd.DataFrame({"bin": filled}), means)
