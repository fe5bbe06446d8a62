"""Linear classification of labels from embeddings."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.metrics.logistic import fit_logistic
from morphobench.metrics.predictions import Predictions, predictions, usable_rows
from morphobench.metrics.reasons import join

SCORES = ("top_1", "top_2", "top_3", "balanced_accuracy", "auroc", "majority", "majority_balanced")
LEGACY_FOLD_SEED = 2652124
_TOP = (1, 2, 3)


class Classification(NamedTuple):
    """Scores of one classifier on held-out cells.

    Attributes
    ----------
    scores
        One value per name in `SCORES`, NaN where undefined.
    rows
        Rows of the input that were scored, shape (n_test,).
    per_cell
        For the top-k scores and the majority an array of shape (n_test,) whose mean is the score.
    statistics
        For the others a function of weights, how often each scored cell counts, shape (resamples, n_test),
        that returns the score of each resample.
    recalls
        Hits weighted so that their mean is the balanced accuracy, shape (n_test,).
    ranks
        Rank of each cell by the probability of each label, highest last, columns named after the labels.
    truth
        Labels of the scored cells, shape (n_test,).
    reason
        Why values are missing, or what was left out; empty when neither.
    """

    scores: dict[str, float]
    rows: np.ndarray
    per_cell: dict[str, np.ndarray]
    statistics: dict[str, Callable[[np.ndarray], np.ndarray]]
    recalls: np.ndarray
    ranks: pd.DataFrame
    truth: np.ndarray
    reason: str


class FoldScores(NamedTuple):
    """Scores of a cross-validation, `values` of shape (folds, ...), NaN with a `reason` where impossible."""

    values: np.ndarray
    reason: str


def classification_scores(
    z: np.ndarray, labels: Sequence[object], split: Sequence[str], *, z_test: np.ndarray | None = None
) -> Classification:
    """Score the `predictions` of one classifier (`scores_of`)."""
    return scores_of([predictions(z, labels, split, z_test=z_test)])


def scores_of(folds: Sequence[Predictions]) -> Classification:
    """Score the predictions of the classifiers of all folds together, each cell once.

    Scores: top-k accuracy for k = 1, 2, 3 (undefined where k labels are all there are), balanced accuracy
    (mean recall over the labels of the test cells), area under the ROC curve (macro mean of one label against
    the rest) and, as baselines, the accuracy and the balanced accuracy of always answering the most frequent
    training label. A test cell whose label does not occur in training counts as wrong. NaN with the reason
    without predictions.

    Probabilities of two classifiers do not compare: areas rest on the ranks of cells within their fold.
    """
    reason = join(*dict.fromkeys(part for one in folds for part in one.reason.split("; ")))
    scored = [one for one in folds if len(one.rows)]
    if not scored:
        nothing = np.empty(0), pd.DataFrame(), np.empty(0, dtype=str)
        return Classification(dict.fromkeys(SCORES, np.nan), np.empty(0, int), {}, {}, *nothing, reason)
    rows, truth = (np.concatenate([one[field] for one in scored]) for field in (0, 1))
    order = np.argsort(rows, kind="stable")
    rows, truth = rows[order], truth[order]
    # A label that a classifier has not met gets no probability from it.
    together = pd.concat([one.probability for one in scored], ignore_index=True)
    together = together.sort_index(axis=1).fillna(0.0).iloc[order]
    classes, probability = together.columns.to_numpy(dtype=str), together.to_numpy()
    fold = np.repeat(np.arange(len(scored)), [len(one.rows) for one in scored])[order]
    ranks = together.groupby(fold).rank() * (len(rows) / np.bincount(fold)[fold])[:, None]
    majority = np.array([one.majority for one in scored])[fold]
    per_cell = {f"top_{k}": _top_hits(probability, classes, truth, k) for k in _TOP if k < len(classes)}
    per_cell["majority"] = (truth == majority).astype(float)
    statistics = {
        "balanced_accuracy": partial(balanced_accuracy, per_cell["top_1"], truth),
        "auroc": partial(auroc, ranks.to_numpy(), classes, truth),
        "majority_balanced": partial(balanced_accuracy, per_cell["majority"], truth),
    }
    scores = dict.fromkeys(SCORES, np.nan) | {name: float(one.mean()) for name, one in per_cell.items()}
    scores |= {name: float(one(np.ones((1, len(rows))))[0]) for name, one in statistics.items()}
    _, place, count = np.unique(truth, return_inverse=True, return_counts=True)
    recalls = per_cell["top_1"] * len(truth) / (len(count) * count[place])
    ranks = ranks.reset_index(drop=True)
    return Classification(scores, rows, per_cell, statistics, recalls, ranks, truth, reason)


def classification_scores_legacy(z: np.ndarray, labels: Sequence[object], *, folds: int = 5) -> FoldScores:
    """Top-1, -2 and -3 accuracy as published, shape (folds, 3): cross-validated over all cells.

    Differs from `classification_scores` in that the cells which trained the autoencoder are scored too and
    class weights ``n / (labels n_label)`` come from all cells. With two labels top-2 and top-3 are 1.

    Source: Vasan et al. 2025, fold seed included. Theirs fits three times, and stops farther from the same
    minimum.
    """

    def accuracies(probability: np.ndarray, which: np.ndarray) -> list[float]:
        classes = np.arange(probability.shape[1])
        return [float(_top_hits(probability, classes, which, k).mean()) for k in _TOP]

    values, reason = cross_validate_legacy(z, labels, folds, accuracies, weight_by_fold=False)
    return FoldScores(np.full((folds, len(_TOP)), np.nan) if values is None else values, reason)


def cross_validate_legacy(
    z: np.ndarray, labels: Sequence[object], folds: int, score: Callable[..., Any], *, weight_by_fold: bool
) -> tuple[np.ndarray | None, str]:
    """Score a linear classifier on the published stratified folds of all cells, one fit per fold.

    `score` takes the probabilities and the numbers of the labels of a fold's cells. None, with the reason,
    for a single label or a label with fewer cells than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    names, usable, reason = usable_rows(z, labels)
    rows = np.flatnonzero(usable)
    label, which, count = np.unique(names[rows], return_inverse=True, return_counts=True)
    if len(label) < 2:
        return None, join(f"{len(label)} label", reason)
    if count.min() < folds:
        rare = f"label {label[count.argmin()]} has {count.min()} cells, {folds} folds need as many"
        return None, join(rare, reason)
    values, model = [], None
    splitter = StratifiedKFold(folds, shuffle=True, random_state=LEGACY_FOLD_SEED)
    for train, test in splitter.split(np.zeros(len(which)), which):
        weighted = which[train] if weight_by_fold else which
        weight = len(weighted) / (len(label) * np.bincount(weighted))
        model = fit_logistic(z[rows[train]], which[train], weight, start=model)
        values.append(score(model.probabilities(z[rows[test]]), which[test]))
    return np.array(values), reason


def balanced_accuracy(hits: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean recall over the labels that occur, for each row of weights, shape (resamples,).

    `hits`, shape (n,), is 1 where a cell is classified correctly; `truth`, shape (n,), its label; `weights`,
    shape (resamples, n), how often each cell counts. NaN where no cell counts.
    """
    member = (truth[:, None] == np.unique(truth)).astype(float)
    count = weights @ member
    return _nan_mean(_ratio(weights @ (member * hits[:, None]), count))


def auroc(probability: np.ndarray, classes: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean area under the one-against-rest ROC curves, for each row of weights, shape (resamples,).

    `probability` has shape (n, labels), `classes` (labels,), `truth` (n,); `weights`, shape (resamples, n),
    say how often each cell counts. Labels that all cells have, or none, do not enter; NaN without any other.

    Equals scikit-learn's roc_auc_score with sample_weight, which takes 60 times as long for 1000 resamples of
    2000 cells, because it sorts the scores anew for each.
    """
    areas = [_area(probability[:, column], truth == label, weights) for column, label in enumerate(classes)]
    return _nan_mean(np.stack(areas, axis=1))


def _area(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the chance that a positive scores above a negative, ties count half, shape (resamples,)."""
    _, level = np.unique(score, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    sorted_weights = weights[:, order]
    kinds = positive[order], ~positive[order]
    above, below = (np.add.reduceat(sorted_weights * kind, starts, axis=1) for kind in kinds)
    lower = np.cumsum(below, axis=1) - below / 2
    return _ratio((above * lower).sum(axis=1), above.sum(axis=1) * below.sum(axis=1))


def _nan_mean(values: np.ndarray) -> np.ndarray:
    """Average rows over their finite entries, shape (n, m) to (n,); NaN, without a warning, where none is."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0).sum(axis=1), known.sum(axis=1))


def _ratio(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide; NaN, without a warning, where the divisor is not positive."""
    return np.divide(top, below, out=np.full(below.shape, np.nan), where=below > 0)


def _top_hits(probability: np.ndarray, classes: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Return 1 for each cell whose label is among the k most probable, else 0, shape (n,)."""
    best = np.argsort(-probability, axis=1, kind="stable")[:, :k]
    return (classes[best] == truth[:, None]).any(axis=1).astype(float)
