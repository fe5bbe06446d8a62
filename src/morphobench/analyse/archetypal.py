"""Archetypal analysis by alternating minimisation: monotone, seeded, memory linear in the number of cells."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench.analyse.pca import principal_components, varies
from morphobench.errors import InputError

# The package archetypes 0.12 is a reference for the tests only: it allocates cells x cells (38 GiB for 71,673
# cells) and takes 20 s for one start at 8,000 x 512, where four starts take 5 s here. 71,673 x 512 take 26 s
# and 1.1 GB, on one thread.

# Above this many cells, starts are compared on a coreset of this size and the best is refined on all cells.
_CORESET = 4000
_MAX_ROUNDS, _REFINEMENT_ROUNDS = 500, 60
# Smallest decrease of the residual per round, as a share of the total: for comparing starts, for the result.
_ROUGH, _FINE = 1e-6, 1e-9
# Share of the variance, in the last principal components together, that the search ignores.
_IGNORED_VARIANCE = 1e-9
_EXCHANGES = 10
_START_STEPS, _ROUND_STEPS, _FINAL_STEPS = 60, 12, 300
_HULL_STEPS = 60
_HULL_ZERO = 1e-10
# Optimality gap of a projection onto the hull, as a share of its squared size.
_HULL_GAP = 1e-13


class Archetypes(NamedTuple):
    """Result of `archetypes`.

    Attributes
    ----------
    z
        Archetypes, convex combinations of embeddings, shape (k, D).
    weights
        Weight of each archetype in each embedding, shape (n, k); rows sum to 1.
    explained_variance
        1 - residual sum of squares / total sum of squares about the mean.
    residuals
        Residual sum of squares after each round, as a share of the total; never rises.
    start_distance
        Distance between the archetypes of the best start and those of another one, each with its partner,
        median over starts, in units of the embeddings' root mean square distance from their mean; NaN for one
        start. Large where there are no archetypes to find.
    """

    z: np.ndarray
    weights: np.ndarray
    explained_variance: float
    residuals: np.ndarray
    start_distance: float = np.nan


class HullPoint(NamedTuple):
    """A point (d,) of a convex hull: the combination of vertices `rows` (m,) with weights `shares` (m,)."""

    rows: np.ndarray
    shares: np.ndarray
    position: np.ndarray


def archetypes(z: np.ndarray, k: int, *, n_starts: int, rng: np.random.Generator) -> Archetypes:
    """Fit k archetypes to embeddings of shape (n, D); they are sorted by mean weight, largest first.

    Minimises ``||Z - A B Z||^2`` over row-stochastic A (n, k) and B (k, n): A by accelerated projected
    gradient, each archetype in turn by projection onto the hull of the embeddings. Starts: one furthest sum,
    `n_starts` - 1 drawn by squared distance from the hull of those before.

    Raises
    ------
    InputError
        When there are fewer cells than archetypes, or embeddings are not finite or all equal.

    Notes
    -----
    Source: Cutler and Breiman 1994; starts of Morup and Hansen 2012 and of Mair and Sjolund 2024; active sets
    as in Chen, Mairal and Harchaoui 2014; coreset of Mair and Brefeld 2019; hull of Wolfe 1976.
    """
    _check(z, k)
    scores = _principal_scores(z)
    rows, importance = _coreset(scores, rng)
    coreset = scores[rows]
    starts = [_furthest_sum, *[_plus_plus] * (n_starts - 1)]
    fits = [_fit(coreset, importance, start(coreset, k, rng), _MAX_ROUNDS, _ROUGH) for start in starts]
    best, _, _ = found = min(fits, key=lambda fit: fit[2][-1])
    radius = float(np.sqrt((scores**2).sum(axis=1).mean()))
    apart = [_distance(best, fit[0]) / radius for fit in fits if fit is not found]
    start = [point._replace(rows=rows[point.rows]) for point in best]
    max_rounds = _MAX_ROUNDS if len(rows) == len(scores) else _REFINEMENT_ROUNDS
    points, weights, residuals = _fit(scores, np.ones(len(scores)), start, max_rounds, _FINE)
    positions = np.stack([point.position for point in points])
    weights = _assign(scores, positions, weights, _FINAL_STEPS)
    residual = _residual(float((scores**2).sum()), weights.T @ weights, weights.T @ scores, positions)
    order = np.argsort(-weights.mean(axis=0), kind="stable")
    z_archetypes = np.stack([points[i].shares @ z[points[i].rows] for i in order])
    residuals, start_distance = np.array([*residuals, residual]), float(np.median(apart)) if apart else np.nan
    return Archetypes(z_archetypes, weights[:, order], 1 - residual, residuals, start_distance)


def _distance(points: Sequence[HullPoint], others: Sequence[HullPoint]) -> float:
    """Return the mean distance between two sets of equally many archetypes, in the best order."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    costs = cdist(*(np.stack([point.position for point in side]) for side in (points, others)))
    return float(costs[linear_sum_assignment(costs)].mean())


def explained_variances(
    z: np.ndarray, ks: Iterable[int], *, n_starts: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return k, explained_variance and start_distance of each number of archetypes up to that of cells."""
    ks = sorted({k for k in ks if k <= len(z)})
    fits = [archetypes(z, k, n_starts=n_starts, rng=rng) for k in ks]
    values = [(fit.explained_variance, fit.start_distance) for fit in fits]
    table = pd.DataFrame(values, columns=["explained_variance", "start_distance"], dtype=float)
    return table.assign(k=np.asarray(ks, np.int64))[["k", *table]]


def _check(z: np.ndarray, k: int) -> None:
    if not 1 <= k <= len(z):
        raise InputError(f"{k} archetypes of {len(z)} cells: lower n_archetypes in the dataset's yaml.")
    if not np.isfinite(z).all():
        raise InputError("Embeddings are not finite: see the training log, then train again.")
    if not varies(z):
        raise InputError("All embeddings are equal: the model has collapsed. Train it longer.")


def _principal_scores(z: np.ndarray) -> np.ndarray:
    """Return principal component scores, the first of norm 1, shape (n, d); archetypes are equivariant."""
    pca = principal_components(z)
    share = np.cumsum(pca.variance) / pca.total
    n_kept = 1 + int((share < 1 - _IGNORED_VARIANCE).sum())
    return pca.scores[:, :n_kept] / np.sqrt(len(z) * pca.variance[0])


def _coreset(scores: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (m,) of a coreset, drawn by squared distance from the mean, and importances (m,)."""
    if len(scores) <= _CORESET:
        return np.arange(len(scores)), np.ones(len(scores))
    probability = (scores**2).sum(axis=1)
    probability /= probability.sum()
    rows, count = np.unique(rng.choice(len(scores), _CORESET, p=probability), return_counts=True)
    return rows, count / (_CORESET * probability[rows])


def _vertex(scores: np.ndarray, row: int) -> HullPoint:
    return HullPoint(np.array([row]), np.ones(1), scores[row])


def _furthest_sum(scores: np.ndarray, k: int, rng: np.random.Generator) -> list[HullPoint]:
    """Choose k cells, each with the largest sum of distances to those before."""

    def distances(row: int) -> np.ndarray:
        return np.sqrt(((scores - scores[row]) ** 2).sum(axis=1))

    chosen = [int(rng.integers(len(scores)))]
    total = distances(chosen[0])
    for _ in range(k - 1 + (_EXCHANGES if k > 1 else 0)):
        if len(chosen) == k:
            total = total - distances(chosen.pop(0))
        candidates = total.copy()
        candidates[chosen] = -np.inf
        chosen.append(int(candidates.argmax()))
        total = total + distances(chosen[-1])
    return [_vertex(scores, row) for row in chosen]


def _plus_plus(scores: np.ndarray, k: int, rng: np.random.Generator) -> list[HullPoint]:
    """Draw k cells, each by its squared distance from the convex hull of those before."""
    chosen = [int(rng.integers(len(scores)))]
    while len(chosen) < k:
        positions, weights = scores[chosen], np.full((len(scores), len(chosen)), 1 / len(chosen))
        weights = _assign(scores, positions, weights, _START_STEPS)
        squared = ((scores - weights @ positions) ** 2).sum(axis=1)
        squared[chosen] = 0.0
        # A hull that holds every cell leaves a uniform draw.
        p = squared / squared.sum() if squared.sum() > 0 else np.full(len(scores), 1 / len(scores))
        chosen.append(int(rng.choice(len(scores), p=p)))
    return [_vertex(scores, row) for row in chosen]


def _fit(
    scores: np.ndarray, importance: np.ndarray, start: list[HullPoint], max_rounds: int, tolerance: float
) -> tuple[list[HullPoint], np.ndarray, list[float]]:
    """Alternate between archetypes and weights until the residual falls by less than `tolerance`.

    Returns archetypes, weights, and the residual after each round.
    """
    points = list(start)
    positions = np.stack([point.position for point in points])
    squared = (scores**2).sum(axis=1)
    total, scale = float(importance @ squared), float(np.sqrt(squared.max()))
    weights = np.full((len(scores), len(points)), 1 / len(points))
    residuals: list[float] = []
    for _ in range(max_rounds):
        weights = _assign(scores, positions, weights, _ROUND_STEPS)
        weighted = weights * importance[:, None]
        gram, cross = weighted.T @ weights, weighted.T @ scores
        for i in range(len(points)):
            if gram[i, i] <= 1e-12 * len(scores):
                # An archetype without weight moves to the cell with the largest residual, at no cost.
                error = importance * ((scores - weights @ positions) ** 2).sum(axis=1)
                points[i] = _vertex(scores, int(error.argmax()))
            else:
                others = gram[i] @ positions - gram[i, i] * positions[i]
                points[i] = project((cross[i] - others) / gram[i, i], scores, points[i], scale)
            positions[i] = points[i].position
        residuals.append(_residual(total, gram, cross, positions))
        if len(residuals) > 1 and residuals[-2] - residuals[-1] < tolerance:
            break
    return points, weights, residuals


def _assign(scores: np.ndarray, positions: np.ndarray, weights: np.ndarray, n_steps: int) -> np.ndarray:
    """Improve the weights (n, k) of fixed archetypes; no row fits its cell worse than before."""
    # Weights sum to 1, so that a shift of both sides improves the condition and changes nothing else.
    middle = positions.mean(axis=0)
    spread = positions - middle
    gram, cross = spread @ spread.T, scores @ spread.T - middle @ spread.T
    largest = float(np.linalg.eigvalsh(gram)[-1])
    if largest <= 0:
        return weights
    current, ahead, momentum = weights, weights, 1.0
    for _ in range(n_steps):
        following = to_simplex(ahead - (ahead @ gram - cross) / largest)
        next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / next_momentum * (following - current)
        change = float(np.abs(following - current).max())
        current, momentum = following, next_momentum
        if change < 1e-9:
            break
    better = _loss(current, gram, cross) < _loss(weights, gram, cross)
    return np.where(better[:, None], current, weights)


def _loss(weights: np.ndarray, gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    return ((weights @ gram) * weights).sum(axis=1) / 2 - (weights * cross).sum(axis=1)


def _residual(total: float, gram: np.ndarray, cross: np.ndarray, positions: np.ndarray) -> float:
    """Return the residual sum of squares as a share of the total."""
    explained = 2 * (cross * positions).sum() - (gram * (positions @ positions.T)).sum()
    return float(1 - explained / total)


def to_simplex(rows: np.ndarray) -> np.ndarray:
    """Project each row (n, k) onto the probability simplex."""
    falling = -np.sort(-rows, axis=1)
    excess = (np.cumsum(falling, axis=1) - 1) / np.arange(1, rows.shape[1] + 1)
    last = (falling > excess).sum(axis=1) - 1
    return np.maximum(rows - np.take_along_axis(excess, last[:, None], axis=1), 0.0)


def project(target: np.ndarray, vertices: np.ndarray, start: HullPoint, scale: float) -> HullPoint:
    """Project `target` (d,) onto the convex hull of `vertices` (n, d) by Wolfe's algorithm, at most 60 steps.

    The distance never exceeds that of `start`, a point of the hull. `scale` is the size of the hull.
    """
    rows, shares = start.rows, start.shares
    for _ in range(_HULL_STEPS):
        rows, shares = _project_on_face(target, vertices, rows, shares)
        offset = shares @ vertices[rows] - target
        heights = vertices @ offset
        lowest = int(heights.argmin())
        gain = offset @ (offset + target) - heights[lowest]
        if gain <= _HULL_GAP * scale**2 or lowest in rows:
            break
        rows, shares = np.append(rows, lowest), np.append(shares, 0.0)
    return HullPoint(rows, shares, shares @ vertices[rows])


def _project_on_face(
    target: np.ndarray, vertices: np.ndarray, rows: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Project onto the simplex of the vertices `rows`; vertices without a share are dropped."""
    while len(rows) > 1:
        affine = _affine_shares(vertices[rows] - target)
        if (affine > _HULL_ZERO).all():
            return rows, affine
        falling, drop = affine <= _HULL_ZERO, shares - affine
        step = float(np.min((shares / np.where(drop > 0, drop, np.inf))[falling], initial=1.0))
        shares = shares + step * (affine - shares)
        kept = shares > _HULL_ZERO
        # The vertex that limits the step goes, so that the loop ends.
        kept[np.flatnonzero(falling)[shares[falling].argmin()]] = False
        rows, shares = rows[kept], shares[kept] / shares[kept].sum()
    return rows, np.ones(len(rows))


def _affine_shares(corners: np.ndarray) -> np.ndarray:
    """Return the affine weights (m,) of the point nearest to the origin in the plane of `corners` (m, d)."""
    gram = corners @ corners.T
    solution = np.linalg.lstsq(gram + np.trace(gram) / len(gram), np.ones(len(gram)), rcond=1e-13)[0]
    return solution / solution.sum()
