"""Invariances one by one: how far changed cells are from themselves, by model."""

import numpy as np
from matplotlib.figure import SubFigure

from morphobench.plot import heatmap, layout
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require
from morphobench.plot.titles import corrected

_COLUMNS = ["model", "seed", "metric", "variant", "value", "ci_low", "ci_high"]
# Metric -> title and metric of its floor, in drawing order.
METRICS = {
    "rotation_distance_uniform": ("Rotated, any angle", "rotation_distance_uniform_floor"),
    "rotation_distance_lattice": ("Rotated, quarter turns", None),
    "invariance_reflection": ("Mirrored", "invariance_reflection_floor"),
    "invariance_order": ("Points reordered", None),
    "invariance_sampling": ("Sampled again", None),
    "invariance_resolution": ("Half the resolution", "invariance_resolution_floor"),
}


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the distance after each change and its floor, trainings averaged, by model and baseline."""
    scores = require(inputs, "scores", _COLUMNS, "no scores of these models")
    looks = {**context.models, **context.baselines, **context.controls}
    floors = {floor: metric for metric, (_, floor) in METRICS.items() if floor}
    known = corrected(scores, list(looks), {**METRICS, **floors})
    means = (
        known.groupby(["model", "metric"], sort=False)[["value", "ci_low", "ci_high"]].mean().reset_index()
    )
    floor = means[means["metric"].isin(floors)].assign(metric=lambda table: table["metric"].map(floors))
    floor = floor.set_index(["model", "metric"])["value"].rename("floor")
    table = means[means["metric"].isin(METRICS)].join(floor, on=["model", "metric"])
    if table["value"].isna().all():
        raise EmptyPanel("no embeddings of changed cells")
    table = layout.sort_by(layout.sort_by(table, "metric", list(METRICS)), "model", list(looks))
    return {"invariances": table.assign(title=[METRICS[metric][0] for metric in table["metric"]])}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a field for each model and change, light where nothing changes; floors stand in the table."""
    table = tables["invariances"]
    names, titles = (list(dict.fromkeys(table[column])) for column in ("model", "title"))
    titles = [title for title, _ in METRICS.values() if title in titles]
    wide = table.assign(text=table["value"].map(heatmap.number), shade=1 - table["value"]).set_index(
        ["model", "title"]
    )
    texts, shades = (wide[column].unstack().reindex(names, columns=titles) for column in ("text", "shade"))
    heatmap.draw(part, texts.fillna(heatmap.number(np.nan)), shades.astype(float), context.looks(), titles)
