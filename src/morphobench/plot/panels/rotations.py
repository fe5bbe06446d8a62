"""Cells turned about the optical axis: what the model saw, its canonical shape, its reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import gallery, layout
from morphobench.plot.context import Context, need

_TURN = ["stratum", "degrees", "kind"]
_KINDS = ["input", "canonical", "reconstruction"]


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the turned cells."""
    turned = need(inputs, "rotations", [*_TURN, *gallery.COORDINATES])
    return {"rotations": context.ordered(turned)}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw one row per stratum, one block per kind and one column per angle."""
    table = layout.in_order(tables["rotations"], "kind", _KINDS)
    shapes = gallery.clouds(table, _TURN, size=0.8, max_points=256)
    strata = list(dict.fromkeys(tables["rotations"]["stratum"]))
    names = [context.name(one) for one in shapes.labels["stratum"]]
    shapes = shapes.named(
        name=pd.Categorical(names, [context.name(one) for one in strata]),
        angle=[f"{degrees:g}°" for degrees in shapes.labels["degrees"]],
    )
    gallery.grid(part, layout.margins(part, left=16, head=11), shapes, "name", ["kind", "angle"])
