"""How well codes tell labels apart: multinomial logistic regression on frozen codes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SCORES = ("top_1", "top_2", "top_3", "balanced_accuracy", "auroc", "majority")
_TOP = (1, 2, 3)
_MAX_ITERATIONS = 3000
_LEGACY_FOLD_SEED = 2652124
_LEGACY_SOLVER_SEED = 20


class Classification(NamedTuple):
    """Scores of one classifier on held-out cells.

    Attributes
    ----------
    scores
        One value per name in `SCORES`, NaN where undefined.
    rows
        Rows of the input that were scored, shape (n_test,).
    per_cell
        For every defined score but auroc an array of shape (n_test,) whose mean is the score.
    reason
        Why values are missing, or what was left out; empty when all went well.
    """

    scores: dict[str, float]
    rows: np.ndarray
    per_cell: dict[str, np.ndarray]
    reason: str


class FoldScores(NamedTuple):
    """Accuracies of a cross-validation: `top`, shape (folds, 3) for top-1, -2 and -3; `reason` if NaN."""

    top: np.ndarray
    reason: str


def classification_scores(
    z: np.ndarray, labels: Sequence[object], split: Sequence[str], *, seed: int
) -> Classification:
    """Train a linear classifier on the cells of train and val, score it on the cells of test.

    StandardScaler, then multinomial logistic regression (L2, C = 1, lbfgs, balanced class weights). Scores:
    top-k accuracy for k = 1, 2, 3 (undefined where k labels are all there are), balanced accuracy (mean
    recall over the labels of the test cells), area under the ROC curve (macro mean of one label against the
    rest) and, as the baseline, the accuracy of always answering the most frequent training label. A test cell
    whose label does not occur in training counts as wrong.

    Parameters
    ----------
    z
        Codes, shape (n, D). Rows that are not finite, and cells without a label, are left out.
    labels
        Label of each row, shape (n,); None or NaN for none.
    split
        "train", "val" or "test" for each row, shape (n,).
    seed
        Seed of the solver.

    Returns
    -------
    Classification
        NaN scores and the reason when there is no test cell or only one training label.

    Notes
    -----
    Source: the classification task of Vasan et al. 2025, scored on cells that no training has seen.
    """
    names, usable, reason = _usable(z, labels)
    split = np.asarray(split)
    train = np.flatnonzero(usable & np.isin(split, ("train", "val")))
    test = np.flatnonzero(usable & (split == "test"))
    n_labels = len(np.unique(names[train]))
    if n_labels < 2 or not len(test):
        problem = (
            "no test cell with code and label" if n_labels > 1 else f"{n_labels} label among training cells"
        )
        return Classification(dict.fromkeys(SCORES, np.nan), test[:0], {}, _join(problem, reason))
    model, note = _fit(z[train], names[train], "balanced", seed)
    probability, truth = model.predict_proba(z[test]), names[test]
    majority = pd.Series(names[train]).value_counts().sort_index().idxmax()
    per_cell = {f"top_{k}": _top_hits(probability, model.classes_, truth, k) for k in _TOP if k < n_labels}
    per_cell["balanced_accuracy"] = per_cell["top_1"] * _balance(truth)
    per_cell["majority"] = (truth == majority).astype(float)
    means = {name: float(values.mean()) for name, values in per_cell.items()}
    scores = dict.fromkeys(SCORES, np.nan) | means | {"auroc": _auroc(probability, model.classes_, truth)}
    return Classification(scores, test, per_cell, _join(reason, note))


def classification_scores_legacy(z: np.ndarray, labels: Sequence[object], *, folds: int = 5) -> FoldScores:
    """Cross-validate as published: all cells, stratified shuffled folds, one fit per fold scored three times.

    Differs from `classification_scores` in that the cells which trained the autoencoder are scored too and
    class weights ``n / (labels n_label)`` come from all cells. With two labels top-2 and top-3 are 1.

    Parameters
    ----------
    z
        Codes, shape (n, D). Rows that are not finite, and cells without a label, are left out.
    labels
        Label of each row, shape (n,); None or NaN for none.
    folds
        Number of folds.

    Returns
    -------
    FoldScores
        NaN and the reason for a single label or a label with fewer cells than folds.

    Notes
    -----
    Source: Vasan et al. 2025, fold seed and solver seed included.
    """
    from sklearn.model_selection import StratifiedKFold

    names, usable, reason = _usable(z, labels)
    z = z[usable]
    label, which, count = np.unique(names[usable], return_inverse=True, return_counts=True)
    top = np.full((folds, len(_TOP)), np.nan)
    if len(label) < 2:
        return FoldScores(top, _join(f"{len(label)} label", reason))
    if count.min() < folds:
        rare = f"label {label[count.argmin()]} has {count.min()} cells, {folds} folds need as many"
        return FoldScores(top, _join(rare, reason))
    weight = dict(enumerate(len(z) / (len(label) * count)))
    splitter = StratifiedKFold(folds, shuffle=True, random_state=_LEGACY_FOLD_SEED)
    for row, (train, test) in enumerate(splitter.split(z, which)):
        model, _ = _fit(z[train], which[train], weight, _LEGACY_SOLVER_SEED)
        probability = model.predict_proba(z[test])
        top[row] = [_top_hits(probability, model.classes_, which[test], k).mean() for k in _TOP]
    return FoldScores(top, reason)


def _usable(z: np.ndarray, labels: Sequence[object]) -> tuple[np.ndarray, np.ndarray, str]:
    """Return labels as strings, which rows have both code and label, and what is missing."""
    series = pd.Series(np.asarray(labels, dtype=object))
    finite, labelled = np.isfinite(z).all(axis=1), series.notna().to_numpy()
    missing = [
        f"{count} of {len(z)} cells {what}"
        for count, what in (
            ((~finite).sum(), "have a code that is not finite"),
            ((~labelled).sum(), "have no label"),
        )
        if count
    ]
    return series.astype(str).to_numpy(dtype=str), finite & labelled, "; ".join(missing)


def _join(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _fit(
    z: np.ndarray, names: np.ndarray, weight: str | Mapping[int, float], seed: int
) -> tuple[Pipeline, str]:
    """Return the fitted pipeline and a note if the solver ran out of iterations."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=1.0, max_iter=_MAX_ITERATIONS, class_weight=weight, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make_pipeline(StandardScaler(), regression).fit(z, names)
    stopped = (regression.n_iter_ >= _MAX_ITERATIONS).any()
    return model, f"solver stopped after {_MAX_ITERATIONS} iterations" if stopped else ""


def _top_hits(probability: np.ndarray, classes: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Say of each cell whether its label is among the k most probable, shape (n,)."""
    best = np.argsort(-probability, axis=1, kind="stable")[:, :k]
    return (classes[best] == truth[:, None]).any(axis=1).astype(float)


def _balance(truth: np.ndarray) -> np.ndarray:
    """Weight each cell so that a mean over cells becomes the mean of the labels' own means, shape (n,)."""
    _, which, count = np.unique(truth, return_inverse=True, return_counts=True)
    return len(truth) / (len(count) * count[which])


def _auroc(probability: np.ndarray, classes: np.ndarray, truth: np.ndarray) -> float:
    """Average the one-against-rest areas over the labels for which the test cells have both kinds."""
    from sklearn.metrics import roc_auc_score

    areas = [
        roc_auc_score(truth == label, probability[:, column])
        for column, label in enumerate(classes)
        if 0 < (truth == label).sum() < len(truth)
    ]
    return float(np.mean(areas)) if areas else np.nan
