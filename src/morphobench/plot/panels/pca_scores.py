"""The first two principal components of all codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import layout, scatter
from morphobench.plot.context import Context, need

_AXES = ("PC_1", "PC_2")
_SHARES = ("explained_variance_1", "explained_variance_2")


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the scores of every cell with its stratum."""
    return {
        "pca_scores": context.ordered(need(inputs, "pca_scores", ["CellId", "stratum", *_AXES, *_SHARES]))
    }


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw one dot per cell; the axes say how much of the variance they carry."""
    table = tables["pca_scores"]
    strata = list(dict.fromkeys(table["stratum"].astype(str)))
    colors = context.colors(strata)
    axes = part.subplots(gridspec_kw=layout.margins(part, left=9, right=27, head=6.5, foot=8))
    scatter.dots(axes, table, _AXES, colors)
    for label, number in ((axes.set_xlabel, 1), (axes.set_ylabel, 2)):
        share = table[f"explained_variance_{number}"].iloc[0]
        label(f"PC {number} ({100 * share:.0f} %)")
    axes.locator_params(nbins=4)
    scatter.legend(axes, context, strata, colors, below=False)
