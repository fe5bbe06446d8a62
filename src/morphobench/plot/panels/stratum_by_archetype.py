"""How much of each archetype is in each stratum, and whether strata have archetypes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import layout, style
from morphobench.plot.context import Context, need


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the mean weight of each archetype in each stratum, and the p of its test."""
    table = need(inputs, "stratum_by_archetype", ["stratum", "archetype", "mean_weight", "p"])
    return {"stratum_by_archetype": context.ordered(table)}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw a heat map, the p of each stratum to the right, a frame around the archetype assigned to it."""
    table = tables["stratum_by_archetype"]
    strata, numbers = list(dict.fromkeys(table["stratum"])), sorted(table["archetype"].unique())
    weights = table.pivot_table(index="stratum", columns="archetype", values="mean_weight").loc[
        strata, numbers
    ]
    axes = part.subplots(gridspec_kw=layout.margins(part, left=19, right=21, head=9.5, foot=7))
    picture = axes.imshow(
        weights, cmap="Blues", vmin=0, vmax=max(weights.max(axis=None), 1e-9), aspect="auto"
    )
    axes.set_xticks(range(len(numbers)), [f"{number + 1:g}" for number in numbers])
    axes.set_yticks(range(len(strata)), [context.name(one) for one in strata])
    axes.tick_params(length=0)
    axes.set_xlabel("archetype", labelpad=1)
    p = table.drop_duplicates("stratum").set_index("stratum")["p"]
    axes.text(len(numbers) - 0.3, -1, "p", style="italic", va="center")
    for row, stratum in enumerate(strata):
        axes.text(len(numbers) - 0.3, row, p_text(p[stratum]), va="center", fontsize=style.SMALL)
    for row, column in _assigned(table, strata, numbers):
        axes.add_patch(style.frame(column - 0.5, row - 0.5))
    wide = layout.width_mm(part)
    bar = part.add_axes((1 - 8 / wide, 0.2, 1.5 / wide, 0.45))
    part.colorbar(picture, cax=bar, ticks=[0, round(float(weights.max(axis=None)), 1)])
    bar.set_title("mean\nweight", fontsize=style.SMALL, pad=2)
    bar.tick_params(labelsize=style.SMALL, pad=1)


def p_text(p: float) -> str:
    """Write a p value in few digits: 0.034, <0.001, or a dash for none."""
    if np.isnan(p):
        return "\u2013"
    return "<0.001" if p < 0.001 else f"{p:.2g}" if p >= 0.1 else f"{p:.3f}"


def _assigned(table: pd.DataFrame, strata: list, numbers: list) -> list[tuple[int, int]]:
    """Return row and column of the archetype that each stratum was assigned, where the table says so."""
    if "assigned" not in table:
        return []
    chosen = table[table["assigned"].astype(bool)]
    return [
        (strata.index(s), numbers.index(a))
        for s, a in zip(chosen["stratum"], chosen["archetype"], strict=True)
    ]
