"""The axis between a condition and its controls: cross-validated scores, nulls, and cells along the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

N_FOLDS = 5


class Axis(NamedTuple):
    """A line between two classes.

    Attributes
    ----------
    direction
        Unit vector from the controls to the condition, shape (d,).
    middle
        Midpoint of the class means, shape (d,).
    """

    direction: np.ndarray
    middle: np.ndarray

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return where each row of x lies along the line, 0 at the middle, shape (n,)."""
        return (x - self.middle) @ self.direction


class Separation(NamedTuple):
    """How well a condition can be told from its controls.

    Attributes
    ----------
    scores
        Cross-validated score of each cell: its distance along the axis of the other folds, over the
        standard deviation within classes there; shape (n,), NaN when there are too few cells.
    auroc
        Area under the ROC curve of these scores.
    p
        Share of label permutations with at least this area; see `separate`.
    p_half
        The same share among random halves of the controls.
    half_mean, half_high
        Mean and 95 % quantile of the area between random halves of the controls.
    reason
        Why values are missing, or what the null could not keep.
    """

    scores: np.ndarray
    auroc: float
    p: float
    p_half: float
    half_mean: float
    half_high: float
    reason: str


def fit_axis(x: np.ndarray, is_hit: np.ndarray) -> Axis:
    """Fit the axis of a linear discriminant analysis of two classes.

    Formula: direction ~ W^+ (m_1 - m_0), with W the covariance within the classes and m their means.

    Parameters
    ----------
    x
        Principal scores, shape (n, d).
    is_hit
        Whether a cell is of the condition, shape (n,); both classes have a cell.
    """
    direction, middle, _ = _fit(x, is_hit)
    length = np.linalg.norm(direction)
    return Axis(direction / length if length > 0 else direction, middle)


def separate(
    x: np.ndarray,
    is_hit: np.ndarray,
    plate: np.ndarray | None,
    *,
    n_permutations: int,
    n_halves: int,
    rng: np.random.Generator,
) -> Separation:
    """Score cells by axes that were fitted without them, and test the separation.

    Five stratified folds (fewer when a class has fewer cells). The null permutes labels within each plate
    and repeats the whole cross-validation; when no plate holds both classes it permutes over all plates,
    which the reason then says. Beside it: random halves of the controls, separated in the same way.

    Parameters
    ----------
    x
        Principal scores of controls and condition, shape (n, d).
    is_hit
        Whether a cell is of the condition, shape (n,).
    plate
        Plate of each cell, shape (n,), or None.
    n_permutations, n_halves
        Draws of the two nulls.
    rng
        Source of folds and draws.

    Returns
    -------
    Separation
        NaN with a reason when a class has fewer than two cells.

    Notes
    -----
    The published axis is fitted and shown on the same cells, without a null; this is the repair.
    """
    fewest = min(is_hit.sum(), (~is_hit).sum())
    if fewest < 2:
        nothing = np.full(len(x), np.nan)
        return Separation(nothing, *[np.nan] * 5, f"{fewest} cells in a class")
    folds = min(N_FOLDS, int(fewest))
    scores = _validated(x, is_hit, folds, rng)
    found = auroc(scores, is_hit)
    plates = np.zeros(len(x), dtype=int) if plate is None else np.unique(plate, return_inverse=True)[1]
    reason = ""
    if not any(0 < is_hit[plates == number].sum() < (plates == number).sum() for number in np.unique(plates)):
        plates = np.zeros(len(x), dtype=int)
        reason = "no plate holds condition and controls: permuted over all plates"
    null = [_null_area(x, _within(is_hit, plates, rng), folds, rng) for _ in range(n_permutations)]
    own = x[~is_hit]
    half = np.arange(len(own)) < len(own) // 2
    halves = np.array(
        [_null_area(own, rng.permutation(half), folds, rng) for _ in range(n_halves if len(own) > 3 else 0)]
    )
    return Separation(
        scores,
        found,
        _share(np.array(null), found),
        _share(halves, found),
        float(halves.mean()) if len(halves) else np.nan,
        float(np.quantile(halves, 0.95)) if len(halves) else np.nan,
        reason,
    )


def auroc(scores: np.ndarray, is_hit: np.ndarray) -> float:
    """Return the share of pairs in which the cell of the condition scores higher; ties count half.

    Examples
    --------
    >>> auroc(np.array([0.0, 1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    0.875
    """
    low = np.sort(scores[~is_hit])
    below = np.searchsorted(low, scores[is_hit], side="left")
    upto = np.searchsorted(low, scores[is_hit], side="right")
    return float((below + upto).mean() / (2 * len(low)))


def walk_cells(x: np.ndarray, axis: Axis, n_steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Walk along the axis over the range of the cells' scores; each step takes the nearest unused cell.

    Parameters
    ----------
    x
        Principal scores of controls and condition, shape (n, d).
    axis
        Line through the midpoint of the class means.
    n_steps
        Equally spaced steps; no more than there are cells.

    Returns
    -------
    positions, rows, distances
        Place on the axis, row of the cell, and its distance from the point on the axis; shape (n_steps,).
    """
    scores = axis.scores(x)
    positions = np.linspace(scores.min(), scores.max(), min(n_steps, len(x)))
    rows, distances = [], []
    for position in positions:
        away = np.linalg.norm(x - (axis.middle + position * axis.direction), axis=1)
        away[rows] = np.inf
        rows.append(int(away.argmin()))
        distances.append(float(away[rows[-1]]))
    return positions, np.array(rows, dtype=int), np.array(distances)


def _fit(x: np.ndarray, is_hit: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return direction, midpoint, and the standard deviation of scores within the classes."""
    hit, control = x[is_hit], x[~is_hit]
    mean_hit, mean_control = hit.mean(axis=0), control.mean(axis=0)
    hit, control = hit - mean_hit, control - mean_control
    within = (hit.T @ hit + control.T @ control) / max(len(x) - 2, 1)
    # As a pseudo-inverse: classes of few cells do not span all directions.
    within[np.diag_indices_from(within)] += 1e-9 * max(np.trace(within), 1e-300)
    direction = np.linalg.solve(within, mean_hit - mean_control)
    spread = float(np.sqrt(max(direction @ within @ direction, 1e-300)))
    return direction, (mean_hit + mean_control) / 2, spread


def _validated(x: np.ndarray, is_hit: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Score each cell by the axis of the other folds, shape (n,)."""
    fold = np.empty(len(x), dtype=int)
    for one in (is_hit, ~is_hit):
        fold[one] = rng.permutation(np.arange(one.sum()) % folds)
    scores = np.empty(len(x))
    for number in range(folds):
        test = fold == number
        direction, middle, spread = _fit(x[~test], is_hit[~test])
        scores[test] = (x[test] - middle) @ direction / spread
    return scores


def _null_area(x: np.ndarray, is_hit: np.ndarray, folds: int, rng: np.random.Generator) -> float:
    return auroc(_validated(x, is_hit, folds, rng), is_hit)


def _within(labels: np.ndarray, plates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute labels within each plate."""
    shuffled = np.empty_like(labels)
    # Both orders list the plates one after the other; the second in random order within each.
    shuffled[np.argsort(plates, kind="stable")] = labels[np.lexsort((rng.random(len(labels)), plates))]
    return shuffled


def _share(null: np.ndarray, found: float) -> float:
    return float((1 + (null >= found - 1e-12).sum()) / (1 + len(null))) if len(null) else np.nan
