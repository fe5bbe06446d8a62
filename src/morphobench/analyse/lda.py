"""Linear discriminant between a condition and its controls: cross-validated scores, nulls, walks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from morphobench.metrics import exchange

N_FOLDS = 5


class Axis(NamedTuple):
    """A line through `middle` (d,), half-way between the class means, along the unit vector `direction` (d,).

    It points from the controls to the condition.
    """

    direction: np.ndarray
    middle: np.ndarray

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return the signed distance of each row of x along the line from the middle, shape (n,)."""
        return (x - self.middle) @ self.direction


class Separation(NamedTuple):
    """Result of `separate`.

    Attributes
    ----------
    scores
        Cross-validated score of each cell: its position along the axis of the other folds, over the standard
        deviation within classes there; shape (n,).
    cv_auroc
        Area under the ROC curve of these scores.
    p
        Share of the exchanges of units with at least this area.
    smallest_p
        What `p` could be at least.
    control_auroc_mean, control_auroc_high
        Mean and 95 % quantile of the area of sets of controls of the condition's own size and structure.
    n_units
        Of the condition.
    reason
        Why values are missing.
    """

    scores: np.ndarray
    cv_auroc: float
    p: float
    smallest_p: float
    control_auroc_mean: float
    control_auroc_high: float
    n_units: int
    reason: str


def fit_axis(x: np.ndarray, is_condition: np.ndarray) -> Axis:
    """Fit the axis of a linear discriminant analysis to principal scores (n, d) of two non-empty classes.

    Formula: direction ~ W^+ (m_1 - m_0), with W the covariance within the classes and m their means.
    """
    (direction,), (middle,), _ = _fit(x, is_condition, np.ones((1, len(x))))
    length = np.linalg.norm(direction)
    return Axis(direction / length if length > 0 else direction, middle)


def separate(
    x: np.ndarray,
    is_condition: np.ndarray,
    unit: Sequence[object] | None,
    plate: Sequence[object] | None = None,
    *,
    n_permutations: int,
    n_sets: int,
    rng: np.random.Generator,
) -> Separation:
    """Score cells (n, d) by axes fitted without their unit, and test the separation.

    `unit` and `plate` are those of `exchange.nested`; cells without a unit are left out.

    Folds are made of whole units (such as wells), by class, at most five. The null exchanges units between
    condition and controls within plates (`exchange.design`) and repeats the cross-validation. Beside it,
    `n_sets` sets of controls with as many units on each plate as the condition, of as many cells, are
    separated from the others in the same way: what no effect looks like. Values are NaN with a reason where
    units are too few.

    Notes
    -----
    The published axis is fitted and displayed on the same cells, without a null.
    """
    unit, plate = exchange.nested(unit, plate, len(x))
    known, scores = unit >= 0, np.full(len(x), np.nan)
    x, is_condition = x[known], is_condition[known]
    design = exchange.design(unit[known], is_condition, plate[known])
    found = {"smallest_p": design.smallest_p(n_permutations), "n_units": int(design.treated.sum())}
    found |= {"reason": design.reason} | dict.fromkeys(
        ("p", "control_auroc_mean", "control_auroc_high"), np.nan
    )
    n_smaller = min(design.treated.sum(), (~design.treated).sum())
    if n_smaller < 2 or (is_condition != design.inside).any():
        return Separation(scores=scores, cv_auroc=np.nan, **found)

    def area_of(inside: np.ndarray) -> float:
        return auroc(_cross_validate(x, inside, design.unit, rng), inside)

    scores[known] = _cross_validate(x, is_condition, design.unit, rng)
    area = auroc(scores[known], is_condition)
    if not design.reason:
        chosen = exchange.exchanges(design, n_permutations, rng)
        found["p"] = exchange.share_reached((area_of(units[design.unit]) for units in chosen), area)
    band = _control_areas(x, design, n_sets, rng)
    if len(band):
        found |= {"control_auroc_mean": band.mean(), "control_auroc_high": np.quantile(band, 0.95)}
    return Separation(scores=scores, cv_auroc=area, **found)


def auroc(scores: np.ndarray, is_condition: np.ndarray) -> float:
    """Return the area under the ROC curve; ties count half.

    Examples
    --------
    >>> auroc(np.array([0.0, 1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    0.875
    """
    treated, controls = scores[is_condition], np.sort(scores[~is_condition])
    below, not_above = (np.searchsorted(controls, treated, side).sum() for side in ("left", "right"))
    return float((below + not_above) / (2 * len(treated) * len(controls)))


def walk_cells(x: np.ndarray, axis: Axis, n_steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Walk along the axis over the range of the scores of x (n, d), in at most n equal steps.

    Returns
    -------
    positions, rows, distances
        Position on the axis, row of the nearest cell not taken before, its distance; shape (n_steps,).
    """
    scores = axis.scores(x)
    positions = np.linspace(scores.min(), scores.max(), min(n_steps, len(x)))
    rows, distances = [], []
    for position in positions:
        distance = np.linalg.norm(x - (axis.middle + position * axis.direction), axis=1)
        distance[rows] = np.inf
        rows.append(int(distance.argmin()))
        distances.append(float(distance[rows[-1]]))
    return positions, np.array(rows, dtype=int), np.array(distances)


def _fit(
    x: np.ndarray, is_condition: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit an axis to each choice of cells, `counts` (m, n) of 1 and 0.

    Returns directions (m, d), middles (m, d), and the standard deviations of scores within classes (m,).
    """
    # The sums of squares below lose fewer digits.
    origin = x.mean(axis=0)
    x = x - origin
    of_classes = np.stack([counts * is_condition, counts * ~is_condition], axis=1)
    n_cells = of_classes.sum(axis=2, keepdims=True)
    means = of_classes @ x / n_cells
    within = (counts[:, None] * x.T) @ x - means.swapaxes(1, 2) @ (n_cells * means)
    within /= np.maximum(counts.sum(axis=1) - 2, 1)[:, None, None]
    # As a pseudo-inverse: classes of few cells do not span all directions.
    least = 1e-9 * np.maximum(np.trace(within, axis1=1, axis2=2), 1e-300)
    within += least[:, None, None] * np.eye(x.shape[1])
    apart = means[:, 0] - means[:, 1]
    direction = np.linalg.solve(within, apart[..., None])[..., 0]
    sd = np.sqrt(np.maximum((direction * apart).sum(axis=1), 1e-300))
    return direction, means.mean(axis=1) + origin, sd


def _cross_validate(
    x: np.ndarray, is_condition: np.ndarray, unit: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Score each cell by the axis of the folds without its unit, shape (n,)."""
    treated = np.zeros(unit.max() + 1, dtype=bool)
    treated[unit[is_condition]] = True
    n_folds = min(N_FOLDS, int(treated.sum()), int((~treated).sum()))
    fold = np.empty(len(treated), dtype=int)
    for members in (treated, ~treated):
        fold[members] = rng.permutation(np.arange(members.sum()) % n_folds)
    test = fold[unit] == np.arange(n_folds)[:, None]
    direction, middle, sd = _fit(x, is_condition, 1.0 - test)
    scores = (x @ direction.T - (middle * direction).sum(axis=1)) / sd
    return scores[np.arange(len(x)), fold[unit]]


def _control_areas(
    x: np.ndarray, design: exchange.Design, n_sets: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the areas between sets of controls, as `separate` says, and the other controls, shape (n_sets,).

    Empty where some plate has no more units of controls than of the condition, or two units are not left.
    """
    n_cells = np.bincount(design.unit)
    own = [np.flatnonzero(design.treated & (design.plate == one)) for one in np.unique(design.plate)]
    pools = [np.flatnonzero(~design.treated & (design.plate == one)) for one in np.unique(design.plate)]
    needed = [(units, pool) for units, pool in zip(own, pools, strict=True) if len(units)]
    n_left = sum(map(len, pools)) - sum(len(units) for units, _ in needed)
    if any(len(pool) < len(units) for units, pool in needed) or n_left < 2:
        return np.empty(0)
    areas = []
    for _ in range(n_sets):
        inside, left_out = np.zeros(len(x), dtype=bool), design.inside.copy()
        for units, pool in needed:
            for like, taken in zip(units, rng.permutation(pool), strict=False):
                cells = rng.permutation(np.flatnonzero(design.unit == taken))
                inside[cells[: n_cells[like]]] = True
                left_out[cells[n_cells[like] :]] = True
        kept = ~left_out
        units = np.unique(design.unit[kept], return_inverse=True)[1]
        areas.append(auroc(_cross_validate(x[kept], inside[kept], units, rng), inside[kept]))
    return np.array(areas)
