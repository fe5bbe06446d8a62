"""Areas under the ROC curve of models whose outputs are exchanged in pairs."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd


def auroc_contributions(
    outputs: pd.DataFrame, pairs: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Contribution of cells to the difference of two models' areas, shape (n, pairs), and their units (n,).

    Where the ranks of a cell are exchanged between the models of a pair, its contribution changes sign; where
    this happens to some units, the difference of the areas is the sum that results, exactly. `outputs` has
    model, seed, item, group, label (one against the rest), positive, and value (a rank). Each label has a row
    of its own for each cell, NaN where a model of the pair has no rank or the label is that of all or none.

    Formula: for a positive, half the share of both models' negatives below its rank in a, less that in b,
    over the number of positives; for negatives the same with positives above. Mean over labels, and over all
    pairs of trainings.

    Source: Bandos, Rockette and Gur 2005.
    """
    parts, units = [], []
    for _, part in outputs.groupby("label", sort=True):
        ranks = part.pivot(index="item", columns=["model", "seed"], values="value").sort_index()
        cells = part.drop_duplicates("item").set_index("item").reindex(ranks.index)
        positive, of_model = cells["positive"].to_numpy(bool), ranks.columns.get_level_values("model")
        trainings = {model: ranks.to_numpy()[:, of_model == model].T for model in set(of_model)}
        parts.append(np.stack([_of_pair(trainings[a], trainings[b], positive) for a, b in pairs], axis=1))
        units.append(cells["group"].to_numpy())
    n_labels = sum(np.isfinite(part).any(axis=0) for part in parts)
    return np.concatenate(parts) / np.maximum(n_labels, 1), np.concatenate(units)


def _of_pair(a: np.ndarray, b: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the contributions of all cells, shape (n,), from ranks of shape (trainings, n); see above."""
    known = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    moved = np.full(len(known), np.nan)
    if len(set(positive[known])) == 2:
        both = [_contributions(one[known], other[known], positive[known]) for one, other in product(a, b)]
        moved[known] = np.mean(both, axis=0)
    return moved


def _contributions(a: np.ndarray, b: np.ndarray, positive: np.ndarray) -> np.ndarray:
    moved = np.empty(len(a))
    for kind, sign in ((positive, 1), (~positive, -1)):
        others = np.sort(np.concatenate([a[~kind], b[~kind]]))
        moved[kind] = sign * (_share_below(a[kind], others) - _share_below(b[kind], others)) / kind.sum()
    return moved


def _share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of sorted others below each value; those alike count half."""
    sides = [np.searchsorted(others, values, side) for side in ("left", "right")]
    return (sides[0] + sides[1]) / 2 / len(others)
