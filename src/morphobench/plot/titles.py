"""Names of the metrics in figures, their choice and how models stand to each other."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from morphobench.metrics.relative import relative_scores
from morphobench.plot import layout

# Metric of the score table -> its name, in drawing order.
TITLES = {
    "regression_r2": "Feature regression",
    "reconstruction": "Reconstruction error",
    "reconstruction_iou": "Reconstruction error",
    "evolution_energy": "Evolution energy",
    "interpolation_distance": "Interpolation distance",
    "rotation_invariance_error_uniform": "Rotation error, any angle",
    "rotation_invariance_error_lattice": "Rotation error, quarter turns",
    "compactness": "Compactness",
    "emissions": "Emissions",
    "encode_time": "Encoding time",
    "parameters": "Model size",
}
# Metrics that no cell bears on.
COSTS = ("emissions", "encode_time", "parameters")
RELATIVE = ["metric", "title", "model", "value", "relative"]
_LEAST_MODELS = 3


def metric_titles(labels: Sequence[str], top: Mapping[str, int] = MappingProxyType({})) -> dict[str, str]:
    """Return metric -> title of a dataset with these classification labels, in drawing order.

    `top` has the k of the top-k accuracy by label; 1 for others.
    """
    classes = {}
    for label in labels:
        k, name = top.get(label, 1), layout.readable(label).removesuffix(" label")
        title = f"Classification of {name}" if k == 1 else f"Top-{k} accuracy, {name}"
        classes[f"classification_{label}_top_{k}"] = title
    return {**classes, **TITLES}


def corrected(table: pd.DataFrame, models: Sequence[str], titles: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of these models and metrics, variant corrected."""
    chosen = table["metric"].isin(titles) & table["model"].isin(models)
    return table[chosen & (table["variant"] == "corrected")]


def headline(scores: pd.DataFrame, models: Sequence[str], titles: Mapping[str, str]) -> pd.DataFrame:
    """Return the corrected scores of these models and metrics with their titles, in the order of titles."""
    table = corrected(scores, models, titles).sort_values(["model", "seed"])
    return layout.sort_by(table.assign(title=table["metric"].map(titles)), "metric", list(titles))


def relative(scores: pd.DataFrame) -> pd.DataFrame:
    """Return how far models are behind the best by each metric, for the polar plot: columns `RELATIVE`.

    Costs and metrics without a value or interval of every model are left out, and so is all below three
    models, of which one is best and one worst whatever the difference.
    """
    rows: list[pd.DataFrame] = []
    n_models = scores["model"].nunique()
    for (metric, title, better), part in scores.groupby(["metric", "title", "better"], sort=False):
        means = part.groupby("model", sort=False)[["value", "ci_low", "ci_high"]].mean()
        if metric not in COSTS and len(means) == n_models >= _LEAST_MODELS and means.notna().all(axis=None):
            columns = {"value": means["value"], "relative": relative_scores(means, better)}
            rows.append(pd.DataFrame({"metric": metric, "title": title, **columns}).reset_index())
    table = pd.concat(rows, ignore_index=True)[RELATIVE] if rows else pd.DataFrame(columns=RELATIVE)
    return table.dropna(subset="relative", ignore_index=True)


def directed_title(scores: pd.DataFrame) -> str:
    """Return the title of a metric with an arrow in the direction of better values, if there is one."""
    arrow = {"high": " \u2191", "low": " \u2193", "none": ""}[scores["better"].iloc[0]]
    return f"{scores['title'].iloc[0]}{arrow}"
