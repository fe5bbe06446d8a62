"""Latent walks along principal components, and the cells nearest to points of the latent space."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphobench.analyse.pca import principal_components, varies
from morphobench.files.tables import with_embeddings

# Standard deviations below this share of the largest are rounding, not directions.
_NULL = 1e-7


def latent_walk(
    z: np.ndarray, strata: Sequence[object], *, n_components: int, sigmas: Sequence[float]
) -> pd.DataFrame:
    """Walk along the principal components of every stratum.

    Formula: ``mean + sigma sd_c v_c`` with v_c the c-th principal direction of the stratum's embeddings
    (n, D), largest loading positive, and sd_c the standard deviation along it (divided by n).

    Returns
    -------
    pd.DataFrame
        stratum (sorted), component (from 0), sigma, sd (embedding units), n_cells, mu_0 ... mu_{D-1}. A
        stratum without variance has one row, its mean, as component 0 at sigma 0.

    Notes
    -----
    Source: the latent walks of Vasan et al. 2025, without their noise padding of small strata.
    """
    names = np.asarray(strata).astype(str)
    walks = {name: _walk(z[names == name], n_components, sigmas) for name in np.unique(names)}
    return pd.concat(walks, names=["stratum"]).reset_index("stratum").reset_index(drop=True)


def _walk(z: np.ndarray, n_components: int, sigmas: Sequence[float]) -> pd.DataFrame:
    mean, steps = z.mean(axis=0), []
    if varies(z):
        pca = principal_components(z, n_components)
        sds = np.sqrt(pca.variance)
        steps = [
            (component, sigma, sd, mean + sigma * sd * direction)
            for component, (sd, direction) in enumerate(zip(sds, pca.directions, strict=True))
            if sd > _NULL * sds[0]
            for sigma in sigmas
        ]
    component, sigma, sd, points = zip(*(steps or [(0, 0.0, 0.0, mean)]), strict=True)
    labels = pd.DataFrame({"component": component, "sigma": sigma, "sd": sd, "n_cells": len(z)})
    return with_embeddings(labels, np.stack(points))


def closest_cells(z_points: np.ndarray, z_cells: np.ndarray, ids: Sequence[str]) -> pd.DataFrame:
    """Return CellId and Euclidean distance of the cell (n, D) nearest to each point (m, D).

    Of equally near cells the first id in sorted order is taken.
    """
    from scipy.spatial.distance import cdist

    ids = np.asarray(ids).astype(str)
    order = np.argsort(ids)
    distance = cdist(z_points, z_cells[order])
    best = distance.argmin(axis=1)
    return pd.DataFrame({"CellId": ids[order][best], "distance": distance[np.arange(len(best)), best]})
