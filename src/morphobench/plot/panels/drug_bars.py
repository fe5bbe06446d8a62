"""Which treatments are told from the control: the q of every treatment and feature set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patches import Patch

from morphobench.plot import layout, style
from morphobench.plot.context import Context, Missing, need

_COLUMNS = ["model", "seed", "condition", "drug", "kind", "mean_average_precision", "q"]
_ALPHA = 0.05


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the retrieval of every condition, with the published p and q beside the headline."""
    table = need(inputs, "retrieval", _COLUMNS, "no treatment to retrieve")
    chosen = table[table["kind"] == "condition"]
    if chosen["q"].isna().all():
        raise Missing("no treatment has a q: too few cells")
    known = chosen["model"].isin(context.looks())
    # Of several trainings, the first.
    first = chosen["seed"] == chosen.groupby("model")["seed"].transform("min")
    return {"retrieval": chosen[known & first], "retrieval_all": table}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw 1/q as grouped bars on a logarithmic axis, treatments with the smallest mean q first."""
    table = tables["retrieval"].dropna(subset=["q"])
    drugs = list(table.groupby("drug")["q"].mean().sort_values(kind="stable").index)
    looks = {name: look for name, look in context.looks().items() if name in set(table["model"])}
    handles = [Patch(color=look["color"], label=look["label"]) for look in looks.values()]
    head = 7 + layout.legend(part, handles, top_mm=5.5)
    axes = part.subplots(gridspec_kw=layout.margins(part, left=13, right=2, head=head, foot=15))
    width = 0.82 / len(looks)
    for number, (name, look) in enumerate(looks.items()):
        q = table[table["model"] == name].set_index("drug")["q"].reindex(drugs).to_numpy()
        places = np.arange(len(drugs)) + (number - (len(looks) - 1) / 2) * width
        # From q = 1 upwards: a q of 1 has no bar, and a missing one neither.
        axes.bar(places, 1 / q - 1, width, bottom=1, color=look["color"])
    _axis(axes, table, drugs)


def _axis(axes: Axes, table: pd.DataFrame, drugs: list[str]) -> None:
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
    axes.set_xticks(range(len(drugs)), drugs, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, pad=1.5)
