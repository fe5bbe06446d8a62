"""All cells in a plane that keeps neighbours together, and where the archetypes lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import ink
from morphobench.plot.context import Context, need
from morphobench.plot import scatter

_AXES = ("map_1", "map_2")


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the place of every cell and of every archetype."""
    cells = need(inputs, "map", ["CellId", "stratum", *_AXES])
    places = need(inputs, "map_archetypes", ["archetype", *_AXES], "no archetypes in the map")
    return {"map": context.ordered(cells), "map_archetypes": places}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw one dot per cell and a numbered cross per archetype; the axes have no unit."""
    table = tables["map"]
    strata = list(dict.fromkeys(table["stratum"].astype(str)))
    colors = context.colors(strata)
    axes = part.subplots(gridspec_kw=ink.margins(part, left=6, right=27, head=6.5, foot=6))
    scatter.dots(axes, table, _AXES, colors)
    scatter.numbered(axes, tables["map_archetypes"], _AXES)
    axes.set(xticks=[], yticks=[], xlabel="PaCMAP 1", ylabel="PaCMAP 2")
    scatter.legend(axes, context, strata, colors)
