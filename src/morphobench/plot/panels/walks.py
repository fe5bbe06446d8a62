"""Latent walks: what changes along the principal components of every stratum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import gallery, layout
from morphobench.plot.clouds import central_slab, centred_clouds
from morphobench.plot.context import Context, Missing, need

_STEP = ["stratum", "component", "sigma"]


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the first components of every walk: closest real cells where there are surfaces, else clouds."""
    if "surfaces" in inputs:
        found = gallery.mesh_tables(inputs, "walk", "walks")
    else:
        found = {"walks": need(inputs, "walks", [*_STEP, *gallery.COORDINATES])}
    wanted = found["walks"]["component"] < context.options.get("components", 1)
    walks = context.ordered(found["walks"][wanted])
    if walks.empty:
        raise Missing("no cells to show")
    if "surfaces" not in inputs:
        walks = central_slab(centred_clouds(walks, _STEP), _STEP, context.options.get("slab"))
    return {**found, "walks": walks}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw one column per stratum and one row per step; the means stand once, not in every component."""
    shapes = gallery.from_tables(tables, "walks", _STEP, context)
    labels = shapes.labels
    several = labels["component"].nunique() > 1
    step = layout.steps(labels["sigma"])
    if several:
        step = [
            name if sigma == 0 else f"PC {component + 1:g}, {name}"
            for name, component, sigma in zip(step, labels["component"], labels["sigma"], strict=True)
        ]
    names = [context.name(one) for one in labels["stratum"]]
    table = labels.assign(step=step, name=names).sort_values(["component", "sigma"], kind="stable")
    order = table.index[~table.duplicated(["name", "step"])]
    # Strata keep their own order, which sorting the steps must not change.
    columns = pd.Categorical(table.loc[order, "name"], list(dict.fromkeys(names)))
    shown = shapes.named(step=step).take(order).named(name=columns)
    left = 17 if several else 14
    gallery.grid(part, layout.margins(part, left=left), shown, "step", ["name"])
