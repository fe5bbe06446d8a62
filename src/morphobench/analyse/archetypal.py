"""Archetypal analysis: the extremes of which all codes are mixtures. Monotone, seeded, flat in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench.analyse.hull import HullPoint, project
from morphobench.analyse.pca import principal_components, varies
from morphobench.errors import InputError

# Starts are tried on so many cells; the best of them is refined on all.
_CORESET = 4000
_MAX_ROUNDS = 500
_REFINING_ROUNDS = 60
# A round that lowers the residual by less, as a share of the total variance, is the last: of a start, and
# of the solution.
_ROUGH, _FINE = 1e-6, 1e-9
# Directions that hold less of the variance together are left out of the search.
_LEFT_OUT = 1e-9
_EXCHANGES = 10
_START_STEPS, _ASSIGN_STEPS, _FINAL_STEPS = 60, 12, 300


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
    residuals
        Residual sum of squares, as a share of the total, after each round of the solution; never rises.
    """

    z: np.ndarray
    weights: np.ndarray
    explained_variance: float
    residuals: np.ndarray


class _Fit(NamedTuple):
    points: list[HullPoint]
    weights: np.ndarray
    residuals: list[float]


def archetypes(z: np.ndarray, k: int, *, n_starts: int, rng: np.random.Generator) -> Archetypes:
    """Find k archetypes: mixtures of codes of which all codes are, as nearly as possible, mixtures.

    Minimises ``||Z - A B Z||^2`` over row-stochastic A (n, k) and B (k, n). In turn, A follows accelerated
    projected gradients, of which a row is taken only if it fits its cell better, and every archetype moves
    to the point of the convex hull of the codes that is best while the others stay, by Wolfe's algorithm; so
    no round raises the residual. One furthest-sum start and `n_starts` - 1 random ones (cells drawn by their
    squared distance from the hull of those before) are tried, above 4000 cells on a coreset of that many; the
    best is refined on all cells. Memory: two copies of the codes; no n x n array.

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
    Source: Cutler and Breiman 1994; starts of Morup and Hansen 2012, and of Mair and Sjolund 2024; active
    sets as in Chen, Mairal and Harchaoui 2014; coreset of Mair and Brefeld 2019; Wolfe 1976 for the nearest
    point of a hull.
    """
    _check(z, k)
    scores = _principal_scores(z)
    chosen, importance = _coreset(scores, rng)
    few = scores[chosen]
    draws = [_furthest_sum, *[_plus_plus] * (n_starts - 1)]
    starts = [_solve(few, importance, draw(few, k, rng), _MAX_ROUNDS, _ROUGH) for draw in draws]
    best = min(starts, key=lambda fit: fit.residuals[-1])
    start, max_rounds = best.points, _MAX_ROUNDS
    if len(chosen) < len(scores):
        # Numbers of cells of the coreset become those of all cells.
        start = [HullPoint(chosen[point.rows], point.shares, point.place) for point in start]
        max_rounds = _REFINING_ROUNDS
    best = _solve(scores, np.ones(len(scores)), start, max_rounds, _FINE)
    places = np.stack([point.place for point in best.points])
    weights = _assign(scores, places, best.weights, _FINAL_STEPS)
    order = np.argsort(-weights.mean(axis=0), kind="stable")
    weights, places = weights[:, order], places[order]
    found = np.stack([best.points[i].shares @ z[best.points[i].rows] for i in order])
    residual = _residual(scores, weights, places)
    return Archetypes(found, weights, 1 - residual, np.array([*best.residuals, residual]))


def explained_variances(
    z: np.ndarray, ks: Iterable[int], *, n_starts: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Explain the codes by several numbers of archetypes.

    Parameters
    ----------
    z
        Codes, shape (n, D).
    ks
        Numbers of archetypes; those above the number of cells are left out.
    n_starts, rng
        As in `archetypes`.

    Returns
    -------
    pd.DataFrame
        Columns k (rising) and explained_variance.
    """
    wanted = sorted({k for k in ks if k <= len(z)})
    values = [archetypes(z, k, n_starts=n_starts, rng=rng).explained_variance for k in wanted]
    return pd.DataFrame({"k": wanted, "explained_variance": np.asarray(values, float)})


def _check(z: np.ndarray, k: int) -> None:
    if not 1 <= k <= len(z):
        raise InputError(f"{k} archetypes of {len(z)} cells: lower n_archetypes in the dataset's yaml.")
    if not np.isfinite(z).all():
        raise InputError(
            "Codes that are not finite have no archetypes: see the training log, then train again."
        )
    if not varies(z):
        raise InputError(
            "All codes are equal: the model has collapsed and has no archetypes. Train it longer."
        )


def _principal_scores(z: np.ndarray) -> np.ndarray:
    """Return codes along their principal directions, the longest axis of norm 1, shape (n, d).

    Archetypes follow shifts, rotations and scalings, so they may be sought here.
    """
    components = principal_components(z)
    share = np.cumsum(components.variance) / components.total
    kept = 1 + int((share < 1 - _LEFT_OUT).sum())
    kept_only = components._replace(directions=components.directions[:kept])
    return kept_only.scores(z) / np.sqrt(len(z) * components.variance[0])


def _coreset(scores: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (m,) of a coreset, drawn by squared distance from the mean, and their weights (m,)."""
    if len(scores) <= _CORESET:
        return np.arange(len(scores)), np.ones(len(scores))
    probability = (scores**2).sum(axis=1)
    probability /= probability.sum()
    rows, count = np.unique(rng.choice(len(scores), _CORESET, p=probability), return_counts=True)
    return rows, count / (_CORESET * probability[rows])


def _furthest_sum(scores: np.ndarray, k: int, rng: np.random.Generator) -> list[HullPoint]:
    """Choose k cells far from each other: each has the largest sum of distances to those before it."""

    def distances(row: int) -> np.ndarray:
        return np.sqrt(((scores - scores[row]) ** 2).sum(axis=1))

    chosen = [int(rng.integers(len(scores)))]
    total = distances(chosen[0])
    for _ in range(k - 1 + (_EXCHANGES if k > 1 else 0)):
        if len(chosen) == k:
            total = total - distances(chosen.pop(0))
        away = total.copy()
        away[chosen] = -np.inf
        chosen.append(int(away.argmax()))
        total = total + distances(chosen[-1])
    return [HullPoint(np.array([row]), np.ones(1), scores[row]) for row in chosen]


def _plus_plus(scores: np.ndarray, k: int, rng: np.random.Generator) -> list[HullPoint]:
    """Draw k cells, each by its squared distance from the convex hull of those before."""
    chosen = [int(rng.integers(len(scores)))]
    while len(chosen) < k:
        places = scores[chosen]
        weights = np.full((len(scores), len(chosen)), 1 / len(chosen))
        weights = _assign(scores, places, weights, _START_STEPS)
        away = ((scores - weights @ places) ** 2).sum(axis=1)
        away[chosen] = 0.0
        # When the hull holds every cell, any will do.
        share = away / away.sum() if away.sum() > 0 else np.full(len(scores), 1 / len(scores))
        chosen.append(int(rng.choice(len(scores), p=share)))
    return [HullPoint(np.array([row]), np.ones(1), scores[row]) for row in chosen]


def _solve(
    scores: np.ndarray, importance: np.ndarray, points: list[HullPoint], max_rounds: int, tolerance: float
) -> _Fit:
    """Alternate between the shares and the archetypes until a round no longer helps."""
    points, k = list(points), len(points)
    total = float(importance @ (scores**2).sum(axis=1))
    scale = float(np.sqrt((scores**2).sum(axis=1).max()))
    places = np.stack([point.place for point in points])
    weights = np.full((len(scores), k), 1 / k)
    residuals: list[float] = []
    for _ in range(max_rounds):
        weights = _assign(scores, places, weights, _ASSIGN_STEPS)
        weighted = weights * importance[:, None]
        gram, pulled = weighted.T @ weights, weighted.T @ scores
        for i in range(k):
            if gram[i, i] <= 1e-12 * len(scores):
                # An archetype of no cell goes to the cell that is fitted worst, which costs nothing.
                worst = int((importance * ((scores - weights @ places) ** 2).sum(axis=1)).argmax())
                points[i] = HullPoint(np.array([worst]), np.ones(1), scores[worst])
            else:
                rest = gram[i] @ places - gram[i, i] * places[i]
                points[i] = project((pulled[i] - rest) / gram[i, i], scores, points[i], scale)
            places[i] = points[i].place
        explained = 2 * (pulled * places).sum() - (gram * (places @ places.T)).sum()
        residuals.append(1 - explained / total)
        if len(residuals) > 1 and residuals[-2] - residuals[-1] < tolerance:
            break
    return _Fit(points, weights, residuals)


def _assign(scores: np.ndarray, places: np.ndarray, weights: np.ndarray, n_steps: int) -> np.ndarray:
    """Improve the shares of k fixed archetypes, shape (n, k); no cell is fitted worse than before."""
    # Rows sum to 1, so a common shift changes nothing but the condition of the problem.
    middle = places.mean(axis=0)
    spread = places - middle
    gram, pull = spread @ spread.T, scores @ spread.T - middle @ spread.T
    largest = float(np.linalg.eigvalsh(gram)[-1])
    if largest <= 0:
        return weights
    current, ahead, momentum = weights, weights, 1.0
    for _ in range(n_steps):
        found = to_simplex(ahead - (ahead @ gram - pull) / largest)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = found + (momentum - 1) / following * (found - current)
        moved = float(np.abs(found - current).max())
        current, momentum = found, following
        if moved < 1e-9:
            break
    better = _loss(current, gram, pull) < _loss(weights, gram, pull)
    return np.where(better[:, None], current, weights)


def _loss(weights: np.ndarray, gram: np.ndarray, pull: np.ndarray) -> np.ndarray:
    return ((weights @ gram) * weights).sum(axis=1) / 2 - (weights * pull).sum(axis=1)


def to_simplex(rows: np.ndarray) -> np.ndarray:
    """Return the nearest points with coordinates from 0 that sum to 1, row by row, shape (n, k)."""
    falling = -np.sort(-rows, axis=1)
    excess = (np.cumsum(falling, axis=1) - 1) / np.arange(1, rows.shape[1] + 1)
    last = (falling > excess).sum(axis=1) - 1
    return np.maximum(rows - np.take_along_axis(excess, last[:, None], axis=1), 0.0)


def _residual(scores: np.ndarray, weights: np.ndarray, places: np.ndarray) -> float:
    """Return the residual sum of squares as a share of the total."""
    gram, pulled = weights.T @ weights, weights.T @ scores
    explained = 2 * (pulled * places).sum() - (gram * (places @ places.T)).sum()
    return float(1 - explained / (scores**2).sum())
