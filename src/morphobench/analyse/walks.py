"""What a latent space contains: walks through strata, and the real cells nearest to its points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def latent_walk(
    z: np.ndarray, strata: Sequence[object], *, n_components: int, sigmas: Sequence[float]
) -> pd.DataFrame:
    """Walk along the principal components of every stratum.

    Formula: ``mean + sigma sd_c v_c`` with v_c the c-th principal direction of the stratum's codes and sd_c
    the standard deviation along it (divided by n). The largest loading of v_c is positive.

    Parameters
    ----------
    z
        Codes, shape (n, D).
    strata
        Stratum of each code, shape (n,).
    n_components
        Components wanted. A stratum of n_s cells has at most n_s - 1 with any variance; one without
        variance, a single cell for example, gets one row, its mean, as component 0 at sigma 0.
    sigmas
        Steps, in standard deviations.

    Returns
    -------
    pd.DataFrame
        Columns stratum (sorted), component (from 0), sigma, sd (embedding units), n_cells, mu_0 ... mu_{D-1}.

    Notes
    -----
    Source: the latent walks of Vasan et al. 2025, by an exact thin SVD instead of padding with noise.
    """
    names = np.asarray(strata).astype(str)
    return pd.concat(
        [_walk(z[names == name], n_components, sigmas).assign(stratum=name) for name in np.unique(names)],
        ignore_index=True,
    )[["stratum", "component", "sigma", "sd", "n_cells", *(f"mu_{i}" for i in range(z.shape[1]))]]


def _walk(z: np.ndarray, n_components: int, sigmas: Sequence[float]) -> pd.DataFrame:
    """Walk through one stratum of codes, shape (n, D)."""
    mean = z.mean(axis=0)
    _, singular, directions = np.linalg.svd(z - mean, full_matrices=False)
    sd = singular / np.sqrt(len(z))
    # What rounding of the mean leaves behind is no direction.
    n_kept = min(n_components, int((sd > 1e-12 * np.abs(z).max()).sum()))
    directions = (
        directions * np.sign(directions[np.arange(len(sd)), np.abs(directions).argmax(axis=1)])[:, None]
    )
    steps = [
        (c, sigma, sd[c], mean + sigma * sd[c] * directions[c]) for c in range(n_kept) for sigma in sigmas
    ]
    component, sigma, spread, points = zip(*(steps or [(0, 0.0, 0.0, mean)]), strict=True)
    table = pd.DataFrame({"component": component, "sigma": sigma, "sd": spread, "n_cells": len(z)})
    return pd.concat(
        [table, pd.DataFrame(np.stack(points), columns=[f"mu_{i}" for i in range(z.shape[1])])], axis=1
    )


def closest_cells(z_points: np.ndarray, z_cells: np.ndarray, ids: Sequence[str]) -> pd.DataFrame:
    """Find the real cell nearest to each point of the latent space.

    Parameters
    ----------
    z_points
        Points, shape (m, D).
    z_cells
        Codes of the cells, shape (n, D).
    ids
        CellId of each code, shape (n,); of equally near cells the first id in sorted order wins.

    Returns
    -------
    pd.DataFrame
        One row per point: CellId, distance (Euclidean, embedding units).
    """
    from scipy.spatial.distance import cdist

    ids = np.asarray(ids).astype(str)
    order = np.argsort(ids)
    distance = cdist(z_points, z_cells[order])
    best = distance.argmin(axis=1)
    return pd.DataFrame({"CellId": ids[order][best], "distance": distance[np.arange(len(best)), best]})
