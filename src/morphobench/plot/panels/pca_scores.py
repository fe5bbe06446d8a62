"""The first two principal components of all codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import ink
from morphobench.plot.context import Context, need
from morphobench.plot import scatter

_AXES = ("PC_1", "PC_2")


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the scores of every cell with its stratum."""
    return {"pca_scores": context.ordered(need(inputs, "pca_scores", ["CellId", "stratum", *_AXES]))}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw one dot per cell; the axes say how much of the variance they carry."""
    table = tables["pca_scores"]
    strata = list(dict.fromkeys(table["stratum"].astype(str)))
    colors = context.colors(strata)
    axes = part.subplots(gridspec_kw=ink.margins(part, left=9, right=24, head=6.5, foot=8))
    scatter.dots(axes, table, _AXES, colors)
    for label, name in zip((axes.set_xlabel, axes.set_ylabel), _AXES, strict=True):
        share = table.get(f"{name}_explained_variance")
        known = share is not None and share.notna().any()
        label(name.replace("_", " ") + (f" ({100 * share.iloc[0]:.0f} % of variance)" if known else ""))
    axes.locator_params(nbins=4)
    scatter.legend(axes, context, strata, colors)
