"""How readers call the metrics of the score table, and which of them a figure shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from morphobench.plot import layout
from morphobench.score.metrics.relative import relative_scores

# Metric of the score table -> its name; in the order of bars and polar axis.
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
RELATIVE = ["metric", "title", "model", "value", "z"]


def titles_of(labels: Sequence[str], top: Mapping[str, int] = MappingProxyType({})) -> dict[str, str]:
    """Return metric -> name for a dataset with these classification labels, in drawing order.

    Parameters
    ----------
    labels
        Columns that are classified.
    top
        For some of them, among how many best guesses the right one counts; 1 for others.
    """
    classes = {}
    for label in labels:
        best, name = top.get(label, 1), layout.pretty(label).removesuffix(" label")
        title = f"Classification of {name}" if best == 1 else f"Top-{best} accuracy, {name}"
        classes[f"classification_{label}_top_{best}"] = title
    return {**classes, **TITLES}


def headline(scores: pd.DataFrame, models: Sequence[str], titles: Mapping[str, str]) -> pd.DataFrame:
    """Choose a figure's headline scores: corrected variant, one row per model, metric and seed."""
    chosen = scores["metric"].isin(titles) & scores["model"].isin(models) & (scores["variant"] == "corrected")
    table = scores[chosen].assign(title=lambda rows: rows["metric"].map(titles))
    order = {metric: place for place, metric in enumerate(titles)}
    return table.sort_values(
        ["metric", "model", "seed"], key=lambda c: c.map(order) if c.name == "metric" else c
    )


def relative(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the z-scores behind the polar plot: columns metric, title, model, value, z.

    They compare the models of this figure with each other and say nothing about size (`scores` does); metrics
    that a model lacks are left out, and so is everything when there is one model alone.
    """
    rows: list[pd.DataFrame] = []
    if scores["model"].nunique() < 2:
        return pd.DataFrame(columns=RELATIVE)
    for (metric, title, better), part in scores.groupby(["metric", "title", "better"], sort=False):
        values = part.groupby("model", sort=False)["value"].mean()
        if values.notna().all() and len(values) == scores["model"].nunique():
            z = relative_scores(values, better)
            rows.append(
                pd.DataFrame(
                    {"metric": metric, "title": title, "model": values.index, "value": values, "z": z}
                )
            )
    return pd.concat(rows, ignore_index=True)[RELATIVE] if rows else pd.DataFrame(columns=RELATIVE)
