"""Archetypes: extreme shapes of which every cell is a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import gallery, layout
from morphobench.plot.clouds import central_slab, centred_clouds
from morphobench.plot.context import Context, need


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the archetypes: the real cells nearest to them where there are surfaces, else clouds."""
    if "surfaces" in inputs:
        return gallery.mesh_tables(inputs, "archetype", "archetypes")
    shapes = need(inputs, "archetypes", ["archetype", *gallery.COORDINATES], "no shapes to show")
    shapes = centred_clouds(shapes, ["archetype"])
    return {"archetypes": central_slab(shapes, ["archetype"], context.options.get("slab"))}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw them in `n_rows` rows, numbered from 1."""
    shapes = gallery.from_tables(tables, "archetypes", ["archetype"], context)
    n_rows = context.options.get("n_rows", 3)
    narrow = layout.width_mm(part) * n_rows < 17 * len(shapes.labels)
    word = "" if narrow else "archetype "
    titled = shapes.named(title=[f"{word}{number + 1:g}" for number in shapes.labels["archetype"]])
    gallery.wrap(part, layout.margins(part), titled, "title", n_rows=n_rows)
