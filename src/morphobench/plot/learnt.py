"""Models that have not learnt: they decode nothing nearer to a cell than what knows nothing of it."""

from collections.abc import Sequence

import pandas as pd

# Metric -> those of what knows nothing of the cell: another cell, the mean shape.
_KNOWS_NOTHING = {"reconstruction": ("reconstruction_other_cell", "reconstruction_mean_shape")}
NOT_LEARNT = "has not learnt: no nearer than another cell"


def not_learnt(scores: pd.DataFrame, metric: str, models: Sequence[str]) -> list[str]:
    """Return the models whose mean error is no smaller than that of another cell or of the mean shape.

    `scores` has model, metric, variant and value of all metrics; models without these are left out.
    """
    known = scores[(scores["variant"] == "corrected") & scores["model"].isin(models)]
    means = known.pivot_table(index="model", columns="metric", values="value")
    floors = [name for name in _KNOWS_NOTHING.get(metric, ()) if name in means]
    if metric not in means or not floors:
        return []
    failed = means[metric] >= means[floors].min(axis=1)
    return [name for name in models if failed.get(name, False)]
