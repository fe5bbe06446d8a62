"""The published scoring procedures, written plainly from their definition: what bench_score.py compares with.

Slow on purpose: nothing is shared between folds, targets, scores or fractions.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import RepeatedKFold, StratifiedKFold, cross_validate
from sklearn.neighbors import BallTree
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

FOLD_SEED, SOLVER_SEED = 2652124, 20
REGRESSION_SCORERS = (
    "r2",
    "neg_mean_squared_error",
    "neg_mean_absolute_error",
    "neg_root_mean_squared_error",
    "explained_variance",
    "neg_median_absolute_error",
)


def _top(k: int) -> object:
    def scorer(model: object, z: np.ndarray, truth: np.ndarray) -> float:
        best = np.argsort(-model.predict_proba(z), axis=1)[:, :k]
        return float((model.classes_[best] == truth[:, None]).any(axis=1).mean())

    return scorer


def classifier(weight: dict[int, float], *, tol: float = 1e-4, max_iter: int = 3000) -> Pipeline:
    """The published classifier, unfitted, with weights by label."""
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(C=1.0, tol=tol, max_iter=max_iter, random_state=SOLVER_SEED, class_weight=weight),
    )


def classification(z: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Three cross-validations of the same classifier, for top-1, top-2 and top-3: shape (5, 3)."""
    count = np.bincount(which)
    weight = dict(enumerate(len(z) / (len(count) * count)))
    columns = []
    for k in (1, 2, 3):
        model = classifier(weight)
        folds = StratifiedKFold(5, shuffle=True, random_state=FOLD_SEED)
        found = cross_validate(model, z, which, cv=folds, scoring=_top(k))
        columns.append(found["test_score"])
    return np.stack(columns, axis=1)


def regression(z: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """A cross-validation of 100 folds for each target, with train scores: r2, shape (targets, 100)."""
    rows = []
    for column in range(targets.shape[1]):
        model = make_pipeline(StandardScaler(), LinearRegression())
        folds = RepeatedKFold(n_splits=5, n_repeats=20, random_state=FOLD_SEED)
        found = cross_validate(
            model, z, targets[:, column], cv=folds, scoring=REGRESSION_SCORERS, return_train_score=True
        )
        rows.append(found["test_r2"])
    return np.stack(rows)


def compactness(z: np.ndarray) -> np.ndarray:
    """Levina and Bickel's estimate by a ball tree, averaged over cells: shape (5,).

    One query serves all five k; whether the published code asks five times is not known.
    """
    all_k = (len(z) * np.linspace(0.008, 0.016, 5)).astype(int)
    distance = BallTree(z).query(z, int(all_k[-1]) + 1)[0][:, 1:]
    values = []
    for k in all_k:
        own = np.log(distance[:, k - 1 : k] / distance[:, : k - 1]).sum(axis=1)
        values.append(((k - 2) / own).mean())
    return np.array(values)


def interpolation_distance(
    z_start: np.ndarray, z_end: np.ndarray, fractions: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """The distance to every cell for one interpolant after another: shape (pairs, fractions)."""
    result = np.empty((len(z_start), len(fractions)))
    for pair, (start, end) in enumerate(zip(z_start, z_end, strict=True)):
        for column, fraction in enumerate(fractions):
            point = start + fraction * (end - start)
            result[pair, column] = np.linalg.norm(z - point, axis=1).min()
    return result
