"""What a linear classifier of embeddings says of cells that it was not trained on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench.metrics.logistic import MAX_ITERATIONS, fit_logistic
from morphobench.metrics.reasons import join, left_out


class Predictions(NamedTuple):
    """What one classifier says of held-out cells.

    Attributes
    ----------
    rows
        Rows of the input that are scored, shape (n_test,).
    truth
        Their labels, shape (n_test,).
    probability
        Of each label of its training cells, columns named after these, a row per scored cell.
    majority
        The most frequent label of its training cells.
    reason
        What was left out, or why there is no prediction.
    """

    rows: np.ndarray
    truth: np.ndarray
    probability: pd.DataFrame
    majority: str
    reason: str


def predictions(
    z: np.ndarray, labels: Sequence[object], split: Sequence[str], *, z_test: np.ndarray | None = None
) -> Predictions:
    """Train a linear classifier on the cells of train and val, and predict the cells of test.

    StandardScaler, then multinomial logistic regression (L2, C = 1, balanced class weights). None, with the
    reason, without test cells or with one label. Rows of `z`, shape (n, D), that are not finite, and cells
    without a label (None or NaN) are left out. `z_test`, shape (n_test, D), replaces the embeddings of the
    test rows, in their order: those of rotated cells, say.

    Source: the classification task of Vasan et al. 2025, scored on cells that no training has seen. The fit
    has one minimum (`fit_logistic`), so nothing is drawn at random.
    """
    split = np.asarray(split)
    names, usable, reason = usable_rows(z, labels)
    test_rows = np.flatnonzero(split == "test")
    scored = z[test_rows] if z_test is None else z_test
    fit_to_score = usable[test_rows] & np.isfinite(scored).all(axis=1)
    train, test = np.flatnonzero(usable & np.isin(split, ("train", "val"))), test_rows[fit_to_score]
    if z_test is not None:
        reason = join(reason, left_out(fit_to_score, "lack an embedding or label", "test cells"))
    classes, which, count = np.unique(names[train], return_inverse=True, return_counts=True)
    if len(classes) < 2 or not len(test):
        few = f"{len(classes)} label among training cells"
        problem = few if len(classes) < 2 else "no test cell with embedding and label"
        return Predictions(test[:0], names[:0], pd.DataFrame(), "", join(problem, reason))
    model = fit_logistic(z[train], which, len(train) / (len(classes) * count))
    probability = pd.DataFrame(model.probabilities(scored[fit_to_score]), columns=classes)
    stopped = "" if model.converged else f"solver stopped after {MAX_ITERATIONS} iterations"
    majority = classes[count.argmax()]
    return Predictions(test, names[test], probability, majority, join(reason, stopped))


def usable_rows(z: np.ndarray, labels: Sequence[object]) -> tuple[np.ndarray, np.ndarray, str]:
    """Return labels as strings, which rows have both embedding and label, and what is missing."""
    series = pd.Series(np.asarray(labels, dtype=object))
    finite, labelled = np.isfinite(z).all(axis=1), series.notna().to_numpy()
    missing = left_out(finite, "have an embedding that is not finite"), left_out(labelled, "have no label")
    return series.astype(str).to_numpy(dtype=str), finite & labelled, join(*missing)
