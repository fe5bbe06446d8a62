"""All cells in a plane that keeps neighbours together, and where the archetypes lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import layout, scatter
from morphobench.plot.context import Context, Missing, need

_AXES = ("dim_0", "dim_1")


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the place of every cell and of every archetype."""
    cells = need(inputs, "map", ["CellId", "stratum", *_AXES])
    if cells[list(_AXES)].isna().all(axis=None):
        raise Missing("too few cells for a map, or codes that are all equal")
    places = need(inputs, "map_archetypes", ["archetype", *_AXES], "no archetypes in the map")
    return {"map": context.ordered(cells), "map_archetypes": places}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw one dot per cell and a numbered cross per archetype; the axes have no unit."""
    table = tables["map"]
    strata = list(dict.fromkeys(table["stratum"].astype(str)))
    colors = context.colors(strata)
    room = scatter.legend_mm(part, len(strata))
    axes = part.subplots(
        gridspec_kw=layout.margins(part, **{"left": 6, "right": 2, "head": 6.5, "foot": 6, **room})
    )
    scatter.dots(axes, table, _AXES, colors)
    scatter.numbered(axes, tables["map_archetypes"], _AXES)
    axes.set(xticks=[], yticks=[], xlabel="PaCMAP 1", ylabel="PaCMAP 2")
    scatter.legend(axes, context, strata, colors, below="foot" in room)
