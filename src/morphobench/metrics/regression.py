"""Linear regression of measured quantities on embeddings."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench.metrics.classification import LEGACY_FOLD_SEED
from morphobench.metrics.covariance import blocks, mean_and_scatter, principal_axes, standard_scale
from morphobench.metrics.reasons import join, left_out

_FOLDS, _REPEATS = 5, 20
_LEAST_PIVOT = 1e-8
_INNER_FOLDS = 5
# Of ridge regression on standardised embeddings, times the number of cells: from hardly any to no slope left.
_PENALTIES = 10.0 ** np.arange(-6, 3.5, 0.5)
_FEW_CELLS = 3
_CONSTANT = "the target does not vary among the test cells"
# Published targets without a value for cells of one piece, whose table says 0 there.
_DISTANCES = ("avg_dists", "std_dists")


class Regression(NamedTuple):
    """Scores of one target on held-out cells.

    `r2` is the share of the variance explained, at most 1, `mae` the mean absolute error in the unit of the
    target; `rows` the rows of the input that were scored, `truth` and `predicted` their values, shape
    (n_test,) each; `reason` says why values are missing, or what was left out.
    """

    r2: float
    mae: float
    rows: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    reason: str


def regression_scores(
    z: np.ndarray, targets: pd.DataFrame, split: Sequence[str], *, units: np.ndarray | None = None
) -> dict[str, Regression]:
    """Fit every target on the cells of train and val, score it on the cells of test.

    StandardScaler, then least squares with an intercept: with `units`, shape (n,), ridge regression whose
    penalty is chosen for each target in inner folds of whole units of training cells; without them ordinary
    least squares, of several solutions the one of least norm, which overfits below three training cells per
    component (a reason). `targets` has a column per target, in any unit, NaN where a cell has none. Rows of
    `z`, shape (n, D), that are not finite are left out. NaN with the reason for fewer than two training
    cells, no test cell, or a target that does not vary among them (r2 only).

    Source: the regression task of Vasan et al. 2025, scored on cells that no training has seen.
    """
    finite, split = np.isfinite(z).all(axis=1), np.asarray(split)
    scores = {}
    for known, names in _targets_by_cells(targets):
        usable = finite & known
        train = np.flatnonzero(usable & np.isin(split, ("train", "val")))
        test = np.flatnonzero(usable & (split == "test"))
        missing = left_out(finite, "have an embedding that is not finite"), left_out(known, "have no value")
        if len(train) < 2 or not len(test):
            few = f"{len(train)} training cells"
            problem = few if len(train) < 2 else "no test cell with embedding and value"
            nothing, reason = np.empty(0), join(problem, *missing)
            scores |= {name: Regression(np.nan, np.nan, test[:0], nothing, nothing, reason) for name in names}
            continue
        few = f"{len(train)} training cells for {z.shape[1]} components: ordinary least squares overfits"
        is_few = units is None and len(train) < _FEW_CELLS * z.shape[1]
        reason = join(few if is_few else "", *missing)
        y = targets[names].to_numpy(np.float64)
        fitted = _least_squares(z, train, test, y) if units is None else _ridge(z, train, test, y, units)
        for name, truth, predicted in zip(names, y[test].T, fitted.T, strict=True):
            scores[name] = _regression(test, truth, predicted, reason)
    return {name: scores[name] for name in targets}


def pooled_regression(folds: Sequence[Regression]) -> Regression:
    """Score the predictions of one target in all folds together, each cell once."""
    reason = join(*dict.fromkeys(part for one in folds for part in one.reason.split("; ")))
    rows, truth, predicted = (np.concatenate([one[field] for one in folds]) for field in (2, 3, 4))
    if not len(rows):
        return folds[0]._replace(reason=reason)
    order = np.argsort(rows, kind="stable")
    return _regression(rows[order], truth[order], predicted[order], reason)


def _regression(rows: np.ndarray, truth: np.ndarray, predicted: np.ndarray, reason: str) -> Regression:
    r2 = float(r_squared(truth, predicted, np.ones((1, len(rows))))[0])
    constant = "" if np.isfinite(r2) else _CONSTANT
    reason = join(constant, reason) if constant not in reason.split("; ") else reason
    return Regression(r2, float(np.abs(truth - predicted).mean()), rows, truth, predicted, reason)


def regression_scores_legacy(z: np.ndarray, targets: pd.DataFrame) -> pd.DataFrame:
    """Cross-validate as published: all cells, 20 times 5 shuffled folds, scores rounded to 2 decimals.

    Columns target, cv (0 to 99), r2 and mse (unit of the target, squared; published as its negative); no rows
    for a target with fewer than 10 cells. Of the published columns avg_dists and std_dists, cells of one
    piece (avg_dists 0) are left out. Every target of a fold is solved from one factorisation of the
    embeddings' second moments, which are those of all cells less those of the fold: each cell is read once
    per repeat, not four times.

    Source: Vasan et al. 2025, fold seed included.
    """
    finite, targets = np.isfinite(z).all(axis=1), targets.copy()
    if "avg_dists" in targets:
        distances = [name for name in _DISTANCES if name in targets]
        targets[distances] = targets[distances].mask(targets["avg_dists"] == 0)
    parts = []
    for known, names in _targets_by_cells(targets):
        rows = np.flatnonzero(finite & known)
        if len(rows) < 2 * _FOLDS:
            continue
        y = targets[names].to_numpy(np.float64)[rows]
        for cv, (test, predictions) in enumerate(_fold_predictions(z, rows, y)):
            for name, truth, predicted in zip(names, y[test].T, predictions.T, strict=True):
                r2 = r_squared(truth, predicted, np.ones((1, len(test))))[0]
                mse = ((truth - predicted) ** 2).mean()
                parts.append((name, cv, round(float(r2), 2), round(float(mse), 2)))
    parts.sort(key=lambda part: (targets.columns.get_loc(part[0]), part[1]))
    return pd.DataFrame(parts, columns=["target", "cv", "r2", "mse"])


def r_squared(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """1 - residual over total sum of squares, for each row of weights, shape (resamples,).

    `truth` and `predicted` have shape (n,); `weights`, shape (resamples, n), say how often each cell counts.
    NaN where the truth does not vary.
    """
    shifted = truth - truth.mean()
    total, count = weights @ shifted**2, weights.sum(axis=1)
    spread = total - (weights @ shifted) ** 2 / count
    left = weights @ (truth - predicted) ** 2
    usable = spread > 1e-12 * np.abs(truth).max(initial=0) ** 2
    return 1 - np.divide(left, spread, out=np.full(len(weights), np.nan), where=usable)


def _targets_by_cells(targets: pd.DataFrame) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Group targets that are known for the same cells: one factorisation serves all of them."""
    groups: dict[bytes, list[str]] = {}
    for name in targets:
        groups.setdefault(np.isfinite(targets[name].to_numpy(np.float64)).tobytes(), []).append(name)
    for known, names in groups.items():
        yield np.frombuffer(known, bool), names


def _least_squares(z: np.ndarray, train: np.ndarray, test: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit y on z in rows `train`, predict rows `test`: shape (len(test), targets)."""
    mean, scatter = mean_and_scatter(z, train)
    scale = standard_scale(mean, scatter, len(train))
    centre = y[train].mean(axis=0)
    if len(train) <= z.shape[1] + 1:
        standard = (z[train] - mean) / scale
        slope = np.linalg.lstsq(standard, y[train] - centre, rcond=None)[0]
    else:
        slope = np.zeros((z.shape[1], y.shape[1]))
        # Directions without variance leave many solutions; without them it is the one of least norm.
        values, axes = principal_axes(scatter / np.outer(scale, scale))
        # Normal equations square the condition number; solving for what is left once more makes up for it.
        for _ in range(2):
            moments = np.zeros_like(slope)
            for part in blocks(len(train), z.shape[1]):
                standard = (z[train[part]] - mean) / scale
                moments += standard.T @ (y[train[part]] - centre - standard @ slope)
            slope += axes @ ((axes.T @ moments) / values[:, None])
    return ((z[test] - mean) / scale) @ slope + centre


def _ridge(
    z: np.ndarray, train: np.ndarray, test: np.ndarray, y: np.ndarray, units: np.ndarray
) -> np.ndarray:
    """Fit y on z in rows `train` by ridge regression, predict rows `test`: shape (len(test), targets)."""
    from sklearn.model_selection import GroupKFold

    n_units = len(np.unique(units[train]))
    error = np.zeros((len(_PENALTIES), y.shape[1]))
    if n_units > 1:
        for inner, held in GroupKFold(min(_INNER_FOLDS, n_units)).split(train, groups=units[train]):
            predicted = _ridge_path(z, train[inner], train[held], y)
            error += ((predicted - y[train[held]]) ** 2).sum(axis=1)
    # Of equal errors the largest penalty: without a second unit nothing speaks for a slope.
    best = len(_PENALTIES) - 1 - error[::-1].argmin(axis=0)
    return _ridge_path(z, train, test, y)[best, :, np.arange(y.shape[1])].T


def _ridge_path(z: np.ndarray, train: np.ndarray, test: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit y on z in rows `train` with every penalty, predict rows `test`: (penalties, test, targets)."""
    mean, scatter = mean_and_scatter(z, train)
    scale = standard_scale(mean, scatter, len(train))
    variances, axes = np.linalg.eigh(scatter / len(train) / np.outer(scale, scale))
    to_axes, centre = axes / scale[:, None], y[train].mean(axis=0)
    moments = np.zeros((z.shape[1], y.shape[1]))
    for part in blocks(len(train), z.shape[1]):
        moments += ((z[train[part]] - mean) @ to_axes).T @ (y[train[part]] - centre) / len(train)
    held = (z[test] - mean) @ to_axes
    slopes = moments / (variances.clip(min=0) + _PENALTIES[:, None])[..., None]
    return held @ slopes + centre


def _fold_predictions(z: np.ndarray, rows: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the test rows of every published fold, as places in `rows`, and their predictions."""
    from sklearn.model_selection import RepeatedKFold

    splitter = RepeatedKFold(n_splits=_FOLDS, n_repeats=_REPEATS, random_state=LEGACY_FOLD_SEED)
    folds = splitter.split(rows)
    if len(rows) * (_FOLDS - 1) // _FOLDS <= z.shape[1] + 1:
        own = z[rows]
        for train, test in folds:
            yield test, _least_squares(own, train, test, y)
        return
    white = _whitened(z, rows)
    whole, crossed = white.T @ white, white.T @ y
    for train, test in folds:
        held = white[test]
        slope = _solve_fold(whole - held.T @ held, crossed - held.T @ y[test])
        # What varies among the held-out cells alone has no slope in standardised embeddings of the others.
        yield test, _least_squares(z[rows], train, test, y) if slope is None else held @ slope


def _whitened(z: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return uncorrelated coordinates of unit variance and a column of ones, shape (len(rows), rank + 1).

    Least squares with an intercept predicts the same from any such coordinates; these are well conditioned.
    """
    mean, scatter = mean_and_scatter(z, rows)
    scale = standard_scale(mean, scatter, len(rows))
    values, axes = principal_axes(scatter / np.outer(scale, scale))
    to_axes = axes / scale[:, None] / np.sqrt(values / len(rows))
    white = np.ones((len(rows), to_axes.shape[1] + 1))
    for part in blocks(len(rows), z.shape[1]):
        white[part, :-1] = (z[rows[part]] - mean) @ to_axes
    return white


def _solve_fold(gram: np.ndarray, moments: np.ndarray) -> np.ndarray | None:
    """Solve the normal equations of one fold; None where some direction hardly varies in it."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(gram)
    except LinAlgError:
        return None
    pivots = np.diag(factor[0]) ** 2
    return None if pivots.min() < _LEAST_PIVOT * pivots.max() else cho_solve(factor, moments)
