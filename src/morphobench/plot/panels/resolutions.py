"""Scores of the same models on grids of two resolutions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from morphobench.plot import layout, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Models, Tables, require
from morphobench.plot.titles import COSTS, directed_title, headline, metric_titles

_COLUMNS = ["dataset", "model", "metric", "variant", "unit", "better", "value"]
_N_METRICS, _N_COLUMNS = 6, 3
# Costs, which follow from the resolution, and the second of two rotation errors.
_LEFT_OUT = (*COSTS, "rotation_invariance_error_lattice")


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the headline scores of the figure's models on every dataset of the combined table."""
    scores = require(inputs, "combined", _COLUMNS, "no scores of several resolutions")
    titles = metric_titles(context.labels, context.options.get("top", {}))
    titles = {metric: title for metric, title in titles.items() if metric not in _LEFT_OUT}
    # In the combined table a model's name carries that of its dataset.
    names = [_base(name, list(context.models)) for name in scores["model"]]
    table = headline(scores.assign(model=names), list(context.models), titles)
    if table["dataset"].nunique() < 2:
        raise EmptyPanel("scores of one resolution alone")
    return {"resolutions": table}


def _base(name: str, models: list[str]) -> str:
    """Return the longest model name that `name` begins with, else `name`."""
    return max((model for model in models if name.startswith(model)), key=len, default=name)


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a line per model from its value in the first dataset (dot) to that in the second (ring)."""
    table = tables["resolutions"].dropna(subset=["value"])
    datasets = list(dict.fromkeys(tables["resolutions"]["dataset"]))[:2]
    counts = table.groupby("metric", sort=False)["dataset"].nunique()
    metrics = list(counts.index[counts > 1])[:_N_METRICS]
    if not metrics:
        layout.write_reason(part.subplots(), "no metric has values at two resolutions")
        return
    spacing = {"hspace": 1.6, "wspace": 0.18, **layout.margins(part, left=3, right=3, head=12, foot=5)}
    grid = part.subplots(-(-len(metrics) // _N_COLUMNS), _N_COLUMNS, squeeze=False, gridspec_kw=spacing)
    for axes in grid.flat[len(metrics) :]:
        axes.set_axis_off()
    for axes, metric in zip(grid.flat, metrics, strict=False):
        _draw_metric(axes, table[table["metric"] == metric], datasets, context.models)
    handles = [
        Line2D([], [], ls="", marker="o", ms=3, mfc=fill, mec="0.3", mew=0.8, label=layout.readable(name))
        for name, fill in zip(datasets, ("0.3", "white"), strict=False)
    ]
    layout.draw_legend(part, handles, top_mm=5.5)


def _draw_metric(axes: Axes, table: pd.DataFrame, datasets: Sequence[str], models: Models) -> None:
    axes.set_title(directed_title(table), pad=2, loc="left", fontsize=6)
    means = table.groupby(["model", "dataset"])["value"].mean()
    for place, (name, look) in enumerate(models.items()):
        values = np.array([means.get((name, dataset), np.nan) for dataset in datasets])
        axes.plot(values, [place, place], color=look["color"], lw=1)
        for value, fill in zip(values, (look["color"], "white"), strict=True):
            axes.plot(value, place, "o", ms=3, mfc=fill, mec=look["color"], mew=0.8)
    axes.set(yticks=[], ylim=(len(models) - 0.5, -0.5))
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(axis="x", pad=1.5, labelsize=style.SMALL)
