"""How well codes and shape features tell the number of pieces, at one nuclear volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from morphobench.plot import layout
from morphobench.plot.context import Context, Missing, need

_COLUMNS = ["features", "bin", "variant", "metric", "cv", "value"]
_METRIC = "top_1"
_OTHER = "#0072B2"


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return accuracies in every volume bin, of the model of the analyses and of shape features."""
    table = need(inputs, "pieces", _COLUMNS, "no volume bin with enough cells")
    bins = need(inputs, "volume_bins", ["bin", "lo_um3", "hi_um3"], "no volume bins")
    # Features of models are called model/seed.
    features = table["features"].str.split("/").str[0]
    shown = features.isin([context.analysis_model, "shape"]) & (table["metric"] == _METRIC)
    chosen = table[shown].assign(features=features)
    if chosen["value"].isna().all():
        raise Missing("no volume bin with enough cells of several kinds")
    return {"pieces": chosen.merge(bins[["bin", "lo_um3", "hi_um3"]], on="bin", how="left")}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw a box of the folds and a diamond for the test cells, for each feature set in each bin."""
    table = tables["pieces"].dropna(subset=["value"])
    sets, bins = list(dict.fromkeys(table["features"])), sorted(tables["pieces"]["bin"].unique())
    looks = context.looks()
    # The model of the analyses need not be one of the figure's.
    looks = {name: looks.get(name, {"label": layout.pretty(name), "color": _OTHER}) for name in sets}
    handles: list[Any] = [Patch(color=look["color"], label=look["label"]) for look in looks.values()]
    handles.append(
        Line2D([], [], ls="", marker="D", ms=4, mfc="white", mec="black", mew=0.7, label="test cells")
    )
    head = 7 + layout.legend(part, handles, top_mm=5.5)
    axes = part.subplots(gridspec_kw=layout.margins(part, left=11, right=2, head=head, foot=8.5))
    width = 0.8 / len(sets)
    for (name, one), rows in table.groupby(["features", "bin"]):
        place = bins.index(one) + (sets.index(name) - (len(sets) - 1) / 2) * width
        _box(
            axes,
            place,
            rows.loc[rows["variant"] == "legacy", "value"].to_numpy(),
            width,
            looks[name]["color"],
        )
        test = rows.loc[rows["variant"] == "corrected", "value"].mean()
        axes.plot(place, test, "D", ms=4, mfc=looks[name]["color"], mec="black", mew=0.7, zorder=4)
    limits = tables["pieces"].drop_duplicates("bin").set_index("bin").loc[bins]
    names = [f"{row.lo_um3:.0f}\u2013{row.hi_um3:.0f}" for row in limits.itertuples()]
    axes.set_xticks(range(len(bins)), names)
    axes.set_ylabel("accuracy")
    axes.set_xlabel("nuclear volume, µm³", labelpad=1)


def _box(axes: Axes, place: float, values: np.ndarray, width: float, color: str) -> None:
    if not len(values):
        return
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
    spread = np.linspace(-0.25, 0.25, len(values)) * width
    axes.plot(place + spread, values, ".", color="black", ms=2, mew=0, alpha=0.7, zorder=3)
