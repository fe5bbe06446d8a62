"""Cells in the plane: the map with its archetypes, or two principal components.

They are coloured by stratum; with the option `colors`, by each of these columns beside each other.
"""

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from morphobench.plot import columns, layout, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require

_MAP, _PCA = ["dim_0", "dim_1"], ["PC_1", "PC_2"]
# Strata, of which more have small names; the width of a dot and of what is around a name.
_MANY, _HANDLE_MM = 9, 4.5
# Height of the name of an axis, with its distance.
_AXIS_MM = 4
_SHARES = ["explained_variance_1", "explained_variance_2"]


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the coordinates of cells, and of archetypes in the map, and the columns that colour them."""
    if "pca_scores" in inputs:
        cells = require(inputs, "pca_scores", ["CellId", "stratum", *_PCA, *_SHARES])
        return {"pca_scores": context.sort_strata(cells), **_colors(inputs, cells, context)}
    cells = require(inputs, "map", ["CellId", "stratum", *_MAP])
    if cells[_MAP].isna().all(axis=None):
        raise EmptyPanel("too few cells for a map, or embeddings that are all equal")
    archetypes = require(inputs, "map_archetypes", ["archetype", *_MAP], "no archetypes in the map")
    return {
        "map": context.sort_strata(cells),
        "map_archetypes": archetypes,
        **_colors(inputs, cells, context),
    }


def _colors(inputs: Inputs, cells: pd.DataFrame, context: Context) -> Tables:
    if "colors" not in context.options:
        return {}
    known = require(inputs, "cells", ["CellId"])
    return {"colors": columns.values_of(known, cells["CellId"], context.options["colors"])}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a dot per cell, a numbered cross per archetype; label components by their variance."""
    if "colors" in tables:
        _draw_columns(part, tables, context)
    else:
        _draw_strata(part, tables, context)


def _draw_columns(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw axes for each column, its legend on their right."""
    is_map = "map" in tables
    cells, xy = tables["map" if is_map else "pca_scores"], _MAP if is_map else _PCA
    names = list(dict.fromkeys(tables["colors"]["column"]))
    room = {"left": 7 if is_map else 10, "right": 20, "head": 9, "foot": 7 if is_map else 9.5}
    spacing = {**layout.margins(part, **room), "wspace": 0.75}
    grid = part.subplots(1, len(names), squeeze=False, gridspec_kw=spacing)
    for axes, name in zip(grid.flat, names, strict=True):
        own = tables["colors"][tables["colors"]["column"] == name].set_index("CellId")
        own = own.reindex(cells["CellId"]).reset_index()
        columns.draw(axes, cells[xy].to_numpy(), own, context, size=_size(cells))
        _finish(axes, tables, cells)


def _finish(axes: Axes, tables: Tables, cells: pd.DataFrame) -> None:
    """Add the archetypes of a map, and the names of the axes."""
    if "map" in tables:
        _draw_archetypes(axes, tables["map_archetypes"])
        axes.set(xticks=[], yticks=[], xlabel="PaCMAP 1", ylabel="PaCMAP 2")
    else:
        shares = [f"PC {i + 1} ({100 * cells[share].iloc[0]:.0f} %)" for i, share in enumerate(_SHARES)]
        axes.set(xlabel=shares[0], ylabel=shares[1])
        axes.locator_params(nbins=4)


def _draw_strata(part: SubFigure, tables: Tables, context: Context) -> None:
    is_map = "map" in tables
    cells = tables["map" if is_map else "pca_scores"]
    names = cells["stratum"].map(context.name)
    n_strata = names.nunique()
    # The legend stands below in a narrow part, else on the right.
    below = layout.height_mm(part) > 0.9 * layout.width_mm(part)
    size = style.SMALL if n_strata > _MANY else plt.rcParams["legend.fontsize"]
    each_mm = layout.text_mm(list(names.unique()), size) + _HANDLE_MM
    # Beside the axes as many columns as the entries take that do not fit below each other.
    n_columns = 2 if below else -(-n_strata // max(1, int((layout.height_mm(part) - 8) / (0.47 * size))))
    room = {"foot": 8 + 3.0 * -(-n_strata // 2), "right": 2} if below else {"foot": 8}
    room = {"right": max(27, n_columns * each_mm + 2), **room}
    axes = part.subplots(gridspec_kw=layout.margins(part, left=6 if is_map else 9, head=6.5, **room))
    _draw_dots(axes, cells, names, _MAP if is_map else _PCA, context)
    _finish(axes, tables, cells)
    look = {"title": None, "handletextpad": 0.1, "labelspacing": 0.3, "borderaxespad": 0.2}
    look |= {"fontsize": size, "ncols": n_columns, "columnspacing": 0.8}
    place = (0, -_AXIS_MM * axes.figure.dpi * style.MM / axes.bbox.height) if below else (1.0, 1.02)
    sns.move_legend(axes, "upper left", bbox_to_anchor=place, **look)


def _draw_dots(axes: Axes, cells: pd.DataFrame, names: pd.Series, xy: list[str], context: Context) -> None:
    """Draw the cells in a random order, which hides no stratum behind another."""
    colors = context.colors(cells["stratum"])
    palette = dict(zip(names, cells["stratum"].astype(str).map(colors), strict=True))
    order = cells.sample(frac=1, random_state=0).index
    hue = {"hue": names[order], "hue_order": list(dict.fromkeys(names)), "palette": palette}
    rasterized = len(cells) > style.MAX_VECTOR
    look = {"s": _size(cells), "linewidth": 0, "alpha": 0.75, "rasterized": rasterized, "ax": axes}
    sns.scatterplot(cells.loc[order], x=xy[0], y=xy[1], **hue, **look)


def _size(cells: pd.DataFrame) -> float:
    return 5 if len(cells) < 500 else 2 if len(cells) < 5000 else 0.6


def _draw_archetypes(axes: Axes, table: pd.DataFrame) -> None:
    """Mark archetypes by a cross and their number from 1; those at one place share a label."""
    axes.plot(table["dim_0"], table["dim_1"], "x", color="black", ms=4, mew=1, zorder=4)
    halo = [effects.withStroke(linewidth=1.2, foreground="white")]
    look = {"weight": "bold", "path_effects": halo, "zorder": 5}
    axes.autoscale_view()
    xy = table[_MAP].to_numpy()
    xy_pt = axes.transData.transform(xy) * 72 / axes.figure.dpi
    labels: dict[int, list[str]] = {}
    for row, number in enumerate(table["archetype"]):
        near = [first for first in labels if np.abs(xy_pt[row] - xy_pt[first]).max() < style.SMALL]
        labels.setdefault(near[0] if near else row, []).append(f"{number + 1:g}")
    for first, numbers in labels.items():
        layout.annotate(axes, ", ".join(numbers), tuple(xy[first]), (2.5, 2.5), **look)
