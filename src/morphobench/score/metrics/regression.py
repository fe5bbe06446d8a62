"""How well codes tell measured quantities: ordinary least squares on frozen codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench.score.metrics.classification import LEGACY_FOLD_SEED, join
from morphobench.score.metrics.moments import blocks, mean_and_scatter, scale_of

_FOLDS, _REPEATS = 5, 20
_LEAST_PIVOT = 1e-8
# Published targets without a value for cells of one piece, whose table says 0 there.
_DISTANCES = ("avg_dists", "std_dists")


class Regression(NamedTuple):
    """Scores of one target on held-out cells.

    Attributes
    ----------
    r2
        Share of the variance explained, at most 1; NaN where undefined.
    mae
        Mean absolute error, in the unit of the target.
    rows
        Rows of the input that were scored, shape (n_test,).
    truth, predicted
        Of the scored cells, shape (n_test,), unit of the target.
    reason
        Why values are missing, or what was left out; empty when all went well.
    """

    r2: float
    mae: float
    rows: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    reason: str


def regression_scores(z: np.ndarray, targets: pd.DataFrame, split: Sequence[str]) -> dict[str, Regression]:
    """Fit every target on the codes of train and val by least squares, score it on the cells of test.

    StandardScaler, then ordinary least squares with an intercept; of several solutions the one of least norm.

    Parameters
    ----------
    z
        Codes, shape (n, D). Rows that are not finite are left out.
    targets
        One column per target, n rows, any unit; NaN where a cell has none.
    split
        "train", "val" or "test" for each row, shape (n,).

    Returns
    -------
    dict
        By target. NaN and the reason for fewer than two training cells, no test cell, or a target that does
        not vary among them (r2 only).

    Notes
    -----
    Source: the regression task of Vasan et al. 2025, scored on cells that no training has seen.
    """
    finite, split = np.isfinite(z).all(axis=1), np.asarray(split)
    found = {}
    for known, names in _groups(targets):
        usable = finite & known
        train = np.flatnonzero(usable & np.isin(split, ("train", "val")))
        test = np.flatnonzero(usable & (split == "test"))
        reason = join(
            f"{(~finite).sum()} of {len(z)} cells have a code that is not finite" if (~finite).any() else "",
            f"{(~known).sum()} of {len(z)} cells have no value" if (~known).any() else "",
        )
        if len(train) < 2 or not len(test):
            problem = "no test cell with code and value" if len(train) > 1 else f"{len(train)} training cells"
            nothing = np.empty(0)
            for name in names:
                found[name] = Regression(np.nan, np.nan, test[:0], nothing, nothing, join(problem, reason))
            continue
        if len(train) <= z.shape[1]:
            reason = join(
                f"{len(train)} training cells for {z.shape[1]} components: many fits are exact", reason
            )
        y = targets[names].to_numpy(np.float64)
        predicted = _least_squares(z, train, test, y)
        for column, name in enumerate(names):
            truth, guess = y[test, column], predicted[:, column]
            r2 = float(r_squared(truth, guess, np.ones((1, len(test))))[0])
            note = "" if np.isfinite(r2) else "the target does not vary among the test cells"
            mae = float(np.abs(truth - guess).mean())
            found[name] = Regression(r2, mae, test, truth, guess, join(note, reason))
    return {name: found[name] for name in targets}


def regression_scores_legacy(z: np.ndarray, targets: pd.DataFrame) -> pd.DataFrame:
    """Cross-validate as published: all cells, 20 times 5 shuffled folds, scores rounded to 2 decimals.

    Every target of a fold is solved from one factorisation of the codes' second moments, which are those of
    all cells less those of the fold: each cell is read once per repeat, not four times.

    Parameters
    ----------
    z
        Codes, shape (n, D). Rows that are not finite are left out.
    targets
        One column per target, n rows, any unit; NaN where a cell has none. Of the published columns avg_dists
        and std_dists, cells of one piece (avg_dists 0) are left out.

    Returns
    -------
    pd.DataFrame
        Columns target, cv (0 to 99), r2 and mse (unit of the target, squared); published as its negative. No
        rows for a target with fewer than 10 cells.

    Notes
    -----
    Source: Vasan et al. 2025, fold seed included.
    """
    finite, targets = np.isfinite(z).all(axis=1), targets.copy()
    if "avg_dists" in targets:
        one_piece = targets["avg_dists"] == 0
        targets[[name for name in _DISTANCES if name in targets]] = targets[
            [name for name in _DISTANCES if name in targets]
        ].mask(one_piece)
    parts = []
    for known, names in _groups(targets):
        rows = np.flatnonzero(finite & known)
        if len(rows) < 2 * _FOLDS:
            continue
        y = targets[names].to_numpy(np.float64)[rows]
        for cv, (test, predicted) in enumerate(_fold_predictions(z, rows, y)):
            once = np.ones((1, len(test)))
            for column, name in enumerate(names):
                r2 = r_squared(y[test, column], predicted[:, column], once)[0]
                mse = ((y[test, column] - predicted[:, column]) ** 2).mean()
                parts.append((name, cv, round(float(r2), 2), round(float(mse), 2)))
    table = pd.DataFrame(parts, columns=["target", "cv", "r2", "mse"])
    order = {name: place for place, name in enumerate(targets)}
    return table.sort_values(["target", "cv"], key=lambda c: c.map(order) if c.name == "target" else c)


def r_squared(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return 1 - residual over total sum of squares for each row of weights.

    Parameters
    ----------
    truth, predicted
        Shape (n,).
    weights
        How often each cell counts, shape (resamples, n).

    Returns
    -------
    np.ndarray
        Shape (resamples,), NaN where the truth does not vary.
    """
    shifted = truth - truth.mean()
    total, count = weights @ shifted**2, weights.sum(axis=1)
    spread = total - (weights @ shifted) ** 2 / count
    left = weights @ (truth - predicted) ** 2
    usable = spread > 1e-12 * np.abs(truth).max(initial=0) ** 2
    return 1 - np.divide(left, spread, out=np.full(len(weights), np.nan), where=usable)


def _groups(targets: pd.DataFrame) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Group targets that are known for the same cells: one factorisation serves all of them."""
    known = {name: np.isfinite(targets[name].to_numpy(np.float64)) for name in targets}
    groups: dict[bytes, list[str]] = {}
    for name, rows in known.items():
        groups.setdefault(rows.tobytes(), []).append(name)
    for names in groups.values():
        yield known[names[0]], names


def _least_squares(z: np.ndarray, train: np.ndarray, test: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit y on z in rows `train`, predict rows `test`: shape (len(test), targets)."""
    mean, scatter = mean_and_scatter(z, train)
    scale = scale_of(mean, scatter, len(train))
    centre = y[train].mean(axis=0)
    if len(train) <= z.shape[1] + 1:
        standard = (z[train] - mean) / scale
        slope = np.linalg.lstsq(standard, y[train] - centre, rcond=None)[0]
    else:
        slope = np.zeros((z.shape[1], y.shape[1]))
        # Normal equations square the condition number; solving for what is left once more makes up for it.
        for _ in range(2):
            moments = np.zeros_like(slope)
            for part in blocks(len(train), z.shape[1]):
                standard = (z[train[part]] - mean) / scale
                moments += standard.T @ (y[train[part]] - centre - standard @ slope)
            slope += _solve(scatter / np.outer(scale, scale), moments)
    return ((z[test] - mean) / scale) @ slope + centre


def _solve(scatter: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Solve the normal equations; the solution of least norm where directions without variance leave many."""
    values, axes = np.linalg.eigh(scatter)
    # Squares of singular values: below this they are rounding.
    kept = values > values.max(initial=0) * len(values) * np.finfo(np.float64).eps * 8
    return axes[:, kept] @ ((axes[:, kept].T @ moments) / values[kept, None])


def _fold_predictions(
    z: np.ndarray, rows: np.ndarray, y: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the test rows of every published fold, as places in `rows`, and their predictions."""
    from sklearn.model_selection import RepeatedKFold

    splitter = RepeatedKFold(n_splits=_FOLDS, n_repeats=_REPEATS, random_state=LEGACY_FOLD_SEED)
    folds = splitter.split(np.zeros(len(rows)))
    if len(rows) * (_FOLDS - 1) // _FOLDS <= z.shape[1] + 1:
        own = z[rows]
        for train, test in folds:
            yield test, _least_squares(own, train, test, y)
        return
    mean, scatter = mean_and_scatter(z, rows)
    to_axes = _whitening(scatter, mean, len(rows))
    white = np.empty((len(rows), to_axes.shape[1] + 1), dtype=np.float64)
    for part in blocks(len(rows), z.shape[1]):
        white[part, :-1] = (z[rows[part]] - mean) @ to_axes
    white[:, -1] = 1
    whole, crossed = white.T @ white, white.T @ y
    for train, test in folds:
        held = white[test]
        slope = _fit(whole - held.T @ held, crossed - held.T @ y[test])
        # What varies among the held-out cells alone has no slope in standardised codes of the others.
        yield test, _least_squares(z[rows], train, test, y) if slope is None else held @ slope


def _fit(gram: np.ndarray, moments: np.ndarray) -> np.ndarray | None:
    """Solve the normal equations of one fold; None where some direction hardly varies in it."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(gram)
    except LinAlgError:
        return None
    pivots = np.diag(factor[0]) ** 2
    return None if pivots.min() < _LEAST_PIVOT * pivots.max() else cho_solve(factor, moments)


def _whitening(scatter: np.ndarray, mean: np.ndarray, n: int) -> np.ndarray:
    """Return the map from centred codes to uncorrelated ones of unit variance, shape (D, rank).

    Least squares with an intercept predicts the same from any such coordinates; these are well conditioned.
    """
    scale = scale_of(mean, scatter, n)
    values, axes = np.linalg.eigh(scatter / np.outer(scale, scale))
    kept = values > values.max(initial=0) * len(values) * np.finfo(np.float64).eps * 8
    return axes[:, kept] / scale[:, None] / np.sqrt(values[kept] / n)
