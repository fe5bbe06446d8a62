"""One cell of each stratum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import gallery, layout
from morphobench.plot.clouds import central_slab
from morphobench.plot.context import Context, need


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the example cells in the order of strata: surfaces where the dataset has them, else clouds."""
    if "surfaces" in inputs:
        found = gallery.mesh_tables(inputs, "example", "examples")
        return {**found, "examples": context.ordered(found["examples"])}
    cells = need(inputs, "examples", ["stratum", *gallery.COORDINATES])
    return {"examples": central_slab(context.ordered(cells), ["stratum"], context.options.get("slab"))}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw them in `n_rows` rows."""
    shapes = gallery.from_tables(tables, "examples", ["stratum"], context, size=1.5, max_points=512)
    titled = shapes.named(title=[context.name(stratum) for stratum in shapes.labels["stratum"]])
    gallery.wrap(part, layout.margins(part), titled, "title", n_rows=context.options.get("n_rows", 1))
