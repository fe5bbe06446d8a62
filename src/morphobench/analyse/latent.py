"""What a latent space contains: walks through strata, nearest real cells, archetypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from morphobench.errors import InputError

if TYPE_CHECKING:
    from archetypes import AA

_MAX_ITERATIONS = 1000
_RELATIVE_TOLERANCE = 1e-7


class Archetypes(NamedTuple):
    """Extremes of which all codes are mixtures.

    Attributes
    ----------
    z
        The archetypes, shape (k, D), each a mixture of codes.
    weights
        Share of each archetype in each code, shape (n, k), rows sum to 1.
    explained_variance
        1 - residual sum of squares / total sum of squares about the mean; 1 is perfect.
    """

    z: np.ndarray
    weights: np.ndarray
    explained_variance: float


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


def archetypes(z: np.ndarray, k: int, *, n_starts: int, rng: np.random.Generator) -> Archetypes:
    """Find k archetypes: mixtures of codes of which all codes are, as nearly as possible, mixtures.

    Minimises ``||Z - A B Z||^2`` over row-stochastic A (n, k) and B (k, n) by alternating projected gradient
    steps that never raise the residual, from furthest-sum starts; the best of `n_starts` is kept. Needs
    8 n^2 bytes of memory and time in proportion to n^2 k.

    Parameters
    ----------
    z
        Codes, shape (n, D).
    k
        Number of archetypes, 1 to n.
    n_starts
        Number of seeded starts.
    rng
        Source of the starts.

    Returns
    -------
    Archetypes
        Sorted by their mean weight, largest first.

    Raises
    ------
    InputError
        When there are fewer cells than archetypes, a code is not finite, or the codes do not vary.

    Notes
    -----
    Source: Cutler and Breiman 1994; starts of Morup and Hansen 2012; solver of the package `archetypes`.
    """
    if not 1 <= k <= len(z):
        raise InputError(f"{k} archetypes of {len(z)} cells: lower n_archetypes in the dataset's yaml.")
    if not np.isfinite(z).all():
        raise InputError(
            "Codes that are not finite have no archetypes: see the training log, then train again."
        )
    mean = z.mean(axis=0)
    left, singular, directions = np.linalg.svd(z - mean, full_matrices=False)
    if singular[0] <= 1e-12 * np.sqrt(len(z)) * np.abs(z).max():
        raise InputError(
            "All codes are equal: the model has collapsed and has no archetypes. Train it longer."
        )
    # Archetypes follow shifts, rotations and scalings; the solver's step sizes are made for a norm near 1.
    scaled = left * (singular / singular[0])
    best = min((_solve(scaled, k, rng) for _ in range(n_starts)), key=lambda solver: solver.rss_)
    order = np.argsort(-best.A_.mean(axis=0), kind="stable")
    found = mean + singular[0] * best.archetypes_[order] @ directions
    return Archetypes(found, best.A_[:, order], float(1 - best.rss_ / (scaled**2).sum()))


def _solve(scaled: np.ndarray, k: int, rng: np.random.Generator) -> AA:
    """Fit once, from a furthest-sum start."""
    from archetypes import AA

    tolerance = _RELATIVE_TOLERANCE * float((scaled**2).sum())
    start = int(rng.integers(2**31))
    solver = AA(
        k, init="furthest_sum", method="pgd", max_iter=_MAX_ITERATIONS, tol=tolerance, random_state=start
    )
    return solver.fit(scaled)
