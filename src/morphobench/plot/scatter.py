"""Cells as dots in the plane, coloured by stratum; shared by several kinds of panel."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.patheffects as outlines
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from morphobench.plot import layout, style
from morphobench.plot.context import Context

_MAX_VECTOR = 3000


def dots(axes: Axes, table: pd.DataFrame, columns: tuple[str, str], colors: Mapping[str, str]) -> None:
    """Draw one dot per cell, in an order that hides no stratum behind another.

    More dots than a vector file should hold become a picture within it.
    """
    # Neighbouring rows of a table often are of one stratum; a stride that shares no factor mixes them.
    mixed = table.iloc[[i * 7919 % len(table) for i in range(len(table))]] if len(table) % 7919 else table
    size = 5 if len(table) < 500 else 2 if len(table) < 5000 else 0.6
    axes.scatter(
        mixed[columns[0]],
        mixed[columns[1]],
        c=[colors[str(one)] for one in mixed["stratum"]],
        s=size,
        lw=0,
        alpha=0.75,
        rasterized=len(table) > _MAX_VECTOR,
    )


def legend_mm(part: SubFigure, n_strata: int) -> dict[str, float]:
    """Return the margins in millimetres that a legend needs: below in a narrow part, else on the right."""
    narrow = layout.height_mm(part) > 0.9 * layout.width_mm(part)
    return {"foot": 8 + 3.0 * -(-n_strata // 2)} if narrow else {"right": 27}


def legend(
    axes: Axes, context: Context, strata: list[str], colors: Mapping[str, str], *, below: bool
) -> None:
    """Name the colours to the right of the axes, or below them."""
    handles = [
        Line2D([], [], marker="o", ls="", ms=3, mew=0, color=colors[one], label=context.name(one))
        for one in strata
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -0.06) if below else (1.0, 1.02),
        frameon=False,
        handletextpad=0.1,
        labelspacing=0.3,
        borderaxespad=0.2,
        fontsize=style.SMALL if len(strata) > 9 else None,
        ncols=2 if below or len(strata) > 12 else 1,
    )


def numbered(axes: Axes, table: pd.DataFrame, columns: tuple[str, str]) -> None:
    """Mark the archetypes with a cross and their number from 1."""
    axes.plot(table[columns[0]], table[columns[1]], "x", color="black", ms=4, mew=1, zorder=4)
    halo = [outlines.withStroke(linewidth=1.2, foreground="white")]
    for number, x, y in table[["archetype", *columns]].itertuples(index=False):
        axes.annotate(
            f"{number + 1:g}",
            (x, y),
            xytext=(2.5, 2.5),
            textcoords="offset points",
            weight="bold",
            path_effects=halo,
            zorder=5,
        )
