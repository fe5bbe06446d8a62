"""Can the number of pieces be told from codes better than from shape features, at one nuclear volume?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure
from matplotlib.patches import Patch

from morphobench.plot import ink
from morphobench.plot.context import Context, need

_COLUMNS = ["bin", "features", "fold", "accuracy"]
_GREY = "#8C8C8C"


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the accuracy of every fold in every volume bin, for every feature set."""
    return {"pieces": need(inputs, "pieces", _COLUMNS, "no volume bin with enough cells")}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw a box for each feature set in each bin, and the single folds."""
    table = tables["pieces"].dropna(subset=["accuracy"])
    axes = part.subplots(gridspec_kw=ink.margins(part, left=9, right=2, head=10.5, foot=8))
    sets, bins = list(dict.fromkeys(table["features"])), sorted(table["bin"].unique())
    looks = {name: context.looks().get(name, {"label": ink.pretty(name), "color": _GREY}) for name in sets}
    width = 0.8 / max(len(sets), 1)
    for number, name in enumerate(sets):
        offset = (number - (len(sets) - 1) / 2) * width
        for place, one in enumerate(bins):
            values = table.loc[(table["features"] == name) & (table["bin"] == one), "accuracy"].to_numpy()
            if len(values):
                _box(axes, place + offset, values, width, looks[name]["color"])
    labels = [_limits(table, one) for one in bins]
    axes.set_xticks(range(len(bins)), labels)
    axes.set(ylabel="accuracy, number of pieces", xlabel="nuclear volume, µm³")
    axes.xaxis.labelpad = 1
    handles = [Patch(color=look["color"], label=look["label"]) for look in looks.values()]
    ink.named_legend(part, handles, y=1 - 9 / ink.height_mm(part), ncols=len(handles), columnspacing=1.2)


def _box(axes: Any, place: float, values: np.ndarray, width: float, color: str) -> None:
    lines = {"linewidth": 0.6, "color": "black"}
    axes.boxplot(
        values,
        positions=[place],
        widths=0.85 * width,
        patch_artist=True,
        showfliers=False,
        manage_ticks=False,
        boxprops={"facecolor": color, "linewidth": 0.6},
        medianprops=lines,
        whiskerprops=lines,
        capprops=lines,
    )
    spread = np.linspace(-0.2, 0.2, len(values)) * width
    axes.plot(place + spread, values, ".", color="black", ms=1.8, mew=0, alpha=0.6)


def _limits(table: pd.DataFrame, one: float) -> str:
    row = table[table["bin"] == one].iloc[0]
    return f"{row['lo_um3']:.0f}\u2013{row['hi_um3']:.0f}" if "lo_um3" in table else f"bin {one + 1:g}"
