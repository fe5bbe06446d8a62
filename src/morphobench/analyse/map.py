"""Two-dimensional map of embeddings by PaCMAP."""

import contextlib
import io
import logging

import numpy as np

from morphobench.analyse.pca import varies

# The published settings.
PUBLISHED = {"n_neighbors": 10, "MN_ratio": 0.5, "FP_ratio": 2.0}
# PaCMAP finds no further pairs among fewer cells.
MIN_CELLS = 8


def pacmap_map(z: np.ndarray, z_new: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit a map to embeddings (n, D) and transform further ones (m, D): shapes (n, 2) and (m, 2).

    NaN for fewer than 8 cells and for embeddings that are all equal.

    Notes
    -----
    Source: Wang et al. 2021 (package `pacmap`), initialised by principal components.
    """
    if len(z) < MIN_CELLS or not varies(z):
        return np.full((len(z), 2), np.nan), np.full((len(z_new), 2), np.nan)
    from pacmap import PaCMAP

    # It warns that a seed was set, and prints.
    logging.getLogger("pacmap").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        reducer = PaCMAP(2, **PUBLISHED, random_state=seed % 2**31, save_tree=True)
        fitted = np.asarray(reducer.fit_transform(z, init="pca"), float)
        if not len(z_new):
            return fitted, np.empty((0, 2))
        return fitted, np.asarray(reducer.transform(z_new, basis=z, init="pca"), float)
