"""Areas under the ROC curve of two models whose outputs are exchanged."""

from itertools import product

import numpy as np
import pandas as pd


def auroc_contributions(outputs: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Contribution of every cell to the difference of two models' areas: columns group and value.

    Where the ranks of a cell are exchanged between models `a` and `b`, its contribution changes sign; where
    this happens to some units, the difference of the areas is the sum that results, exactly. `outputs` has
    model, seed, item, group, label (one against the rest), positive, and value (a rank).

    Formula: for a positive, half the share of both models' negatives below its rank in a, less that in b,
    over the number of positives; for negatives the same with positives above. Mean over labels, and over all
    pairs of trainings.

    Source: Bandos, Rockette and Gur 2005.
    """
    labels = [part for _, part in outputs.groupby("label", sort=True) if part["positive"].nunique() == 2]
    parts = []
    for part in labels:
        ranks = part.pivot(index="item", columns=["model", "seed"], values="value").sort_index()
        cells = part.drop_duplicates("item").set_index("item").reindex(ranks.index)
        positive = cells["positive"].to_numpy(bool)
        trainings = list(product(ranks[a], ranks[b]))
        moved = np.zeros(len(ranks))
        for one, other in trainings:
            moved += _contributions(ranks[a][one].to_numpy(), ranks[b][other].to_numpy(), positive)
        parts.append(cells[["group"]].assign(value=moved / len(trainings) / len(labels)))
    return pd.concat(parts) if parts else pd.DataFrame({"group": [], "value": []})


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
