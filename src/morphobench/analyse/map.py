"""A map of the latent space in two dimensions, with further points placed in it."""

from __future__ import annotations

import contextlib
import io
import logging

import numpy as np

from morphobench.analyse.pca import varies

N_NEIGHBORS, MN_RATIO, FP_RATIO = 10, 0.5, 2.0
# Below this the method has no further pairs to draw.
MIN_CELLS = 8


def pacmap_map(z: np.ndarray, z_placed: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit a PaCMAP map to codes, then place further points in it.

    Parameters
    ----------
    z
        Codes, shape (n, D).
    z_placed
        Points to place, shape (m, D).
    seed
        Seed; same input, same map.

    Returns
    -------
    map, placed
        Shapes (n, 2) and (m, 2); NaN for fewer than 8 cells, or codes that are all equal: they have no
        map.

    Notes
    -----
    Source: Wang et al. 2021 (package `pacmap`), with the published settings: 10 neighbours, ratios 0.5 of
    mid-near and 2 of further pairs, start from the principal components. Time n log n.
    """
    if len(z) < MIN_CELLS or not varies(z):
        return np.full((len(z), 2), np.nan), np.full((len(z_placed), 2), np.nan)
    from pacmap import PaCMAP

    # It warns that it was given a seed, and prints.
    logging.getLogger("pacmap").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        reducer = PaCMAP(
            n_components=2,
            n_neighbors=N_NEIGHBORS,
            MN_ratio=MN_RATIO,
            FP_ratio=FP_RATIO,
            random_state=seed % 2**31,
            save_tree=True,
        )
        fitted = reducer.fit_transform(z, init="pca")
        if not len(z_placed):
            return np.asarray(fitted, float), np.empty((0, 2))
        placed = reducer.transform(z_placed, basis=z, init="pca")
    return np.asarray(fitted, float), np.asarray(placed, float)
