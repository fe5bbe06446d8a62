"""Which treatments are told from the control: the q of every treatment and feature set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patches import Patch

from morphobench.plot import ink, style
from morphobench.plot.context import Context, need

_COLUMNS = ["condition", "features", "mean_average_precision", "q"]
_ALPHA = 0.05


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the retrieval of every condition, with the published p and q beside the headline."""
    return {"retrieval": need(inputs, "retrieval", _COLUMNS, "no treatment to retrieve")}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw 1/q as grouped bars on a logarithmic axis, treatments with the smallest mean q first."""
    table = tables["retrieval"].dropna(subset=["q"])
    axes = part.subplots(gridspec_kw=ink.margins(part, left=9, right=2, head=10.5, foot=17))
    if table.empty:
        ink.empty(axes, "no treatment has a q")
        return
    drugs = list(table.groupby("condition")["q"].mean().sort_values(kind="stable").index)
    sets = list(dict.fromkeys(table["features"]))
    looks = _looks(context, sets)
    width = 0.82 / len(sets)
    for number, name in enumerate(sets):
        rows = table[table["features"] == name].set_index("condition")["q"].reindex(drugs)
        places = np.arange(len(drugs)) + (number - (len(sets) - 1) / 2) * width
        # From q = 1 upwards: a q of 1 has no bar, and a missing one neither.
        heights = 1 / rows.to_numpy() - 1
        axes.bar(places, heights, width, bottom=1, color=looks[name]["color"], label=looks[name]["label"])
    _axis(axes, table, drugs, context)
    handles = [Patch(color=look["color"], label=look["label"]) for look in looks.values()]
    part_height = ink.height_mm(part)
    ink.named_legend(part, handles, y=1 - 8.5 / part_height, ncols=min(4, len(handles)), columnspacing=1.2)


def _axis(axes: Axes, table: pd.DataFrame, drugs: list[str], context: Context) -> None:
    axes.set_yscale("log")
    top = max(40.0, 1.3 / table["q"].min())
    axes.set(ylim=(1, top), xlim=(-0.6, len(drugs) - 0.4), ylabel="1 / q")
    axes.axhline(1 / _ALPHA, color="black", lw=0.7, ls=(0, (4, 2)), zorder=0)
    axes.annotate(
        f"q = {_ALPHA:g}",
        (len(drugs) - 0.45, 1 / _ALPHA),
        xytext=(0, 1.5),
        textcoords="offset points",
        ha="right",
        fontsize=style.SMALL,
    )
    axes.yaxis.set_major_formatter("{x:g}")
    names = [context.name(drug) for drug in drugs]
    axes.set_xticks(range(len(drugs)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, pad=1.5)


def _looks(context: Context, sets: list[str]) -> dict[str, Mapping[str, str]]:
    """Return label and colour of each feature set; one that is no model gets a colour of its own."""
    known, spare = context.looks(), iter(("#91DB57", "#DB57D3", "#8C8C8C", "#B8860B"))
    return {
        name: known[name] if name in known else {"label": ink.pretty(name), "color": next(spare, "#444444")}
        for name in sets
    }
