"""Discriminants of treatments: cells in the plane with the walk, their scores, and cells along the walk."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from morphobench.plot import gallery, layout, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require

_SCORES = ["condition", "CellId", "class", "score", "PC_1", "PC_2"]
_WALK = ["condition", "step", "CellId", "class", "PC_1", "PC_2"]
_CLASSES = {"control": style.CONTROL, "condition": style.TREATED}
_TABLES = ("scores", "walk", "tests")
_N_COLUMNS, _N_STEPS = 2, 7


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return scores, walk and tests of the best separated treatments, and the cells along the walks."""
    scores = require(inputs, "lda_scores", _SCORES, "no treatment was tested")
    walk = require(inputs, "lda_walk", _WALK, "no treatment was tested")
    columns = ["condition", "drug", "cv_auroc", "p", "q"]
    tests = require(inputs, "lda_tests", columns, "no treatment was tested")
    known = tests[tests["condition"].isin(walk["condition"])].dropna(subset=["cv_auroc"])
    best = known.sort_values(["q", "cv_auroc"], ascending=[True, False], kind="stable")
    conditions = list(best["condition"][: context.options.get("n_hits", 7)])
    if not conditions:
        raise EmptyPanel("no treatment has wells enough for a discriminant")
    chosen = {
        name: layout.sort_by(table[table["condition"].isin(conditions)], "condition", conditions)
        for name, table in zip(_TABLES, (scores, walk, tests), strict=True)
    }
    return {**chosen, **gallery.mesh_tables(inputs, "lda", "cells", conditions)}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a block per treatment: scatter with the walk, distribution of scores, nearest cells."""
    conditions = list(dict.fromkeys(tables["tests"]["condition"]))
    shapes = gallery.from_tables(tables, "cells", ["stratum", "step"], context)
    # The blocks stand below the caption and the legend.
    _, body = part.subfigures(2, 1, height_ratios=[9, layout.height_mm(part) - 9])
    blocks = body.subfigures(-(-len(conditions) // _N_COLUMNS), _N_COLUMNS, squeeze=False)
    for block, condition in zip(blocks.flat, conditions, strict=False):
        own = {name: tables[name][tables[name]["condition"] == condition] for name in _TABLES}
        _draw_block(block, own, shapes)
    dot = {"ls": "", "marker": "o", "ms": 3, "mew": 0}
    names = zip(_CLASSES.values(), ("control", "treated"), strict=True)
    dots = [Line2D([], [], **dot, color=color, label=name) for color, name in names]
    walk = Line2D([], [], color="black", lw=0.8, marker="*", ms=4, label="walk and the cells nearest to it")
    layout.draw_legend(part, [*dots, walk], top_mm=5.5)


def _draw_block(part: SubFigure, tables: Tables, shapes: gallery.Gallery) -> None:
    wide, high = layout.width_mm(part), layout.height_mm(part)
    test = tables["tests"].iloc[0]
    q = "no q" if pd.isna(test["q"]) else f"q = {test['q']:.2g}"
    title = f"{test['drug']}   AUROC {test['cv_auroc']:.2f}, {q}"
    part.text(2 / wide, 1 - 2.2 / high, title, va="center", weight="bold")

    def axes_mm(left: float, bottom: float, width: float, height: float) -> Axes:
        return part.add_axes((left / wide, bottom / high, width / wide, height / high))

    walk = tables["walk"].sort_values("step")
    square = min(high - 9, 24)
    _draw_plane(axes_mm(4.5, 4, square, square), tables["scores"], walk)
    left, right = square + 8, wide - 3
    side = min((right - left) / _N_STEPS, 0.45 * (high - 5))
    _draw_scores(axes_mm(left, side + 6, right - left, high - side - 10.5), tables["scores"])
    each = (right - left) / max(len(walk), 1)
    for number, row in enumerate(walk.to_dict("records")):
        axes = axes_mm(left + number * each + (each - side) / 2, 1.2, side, side)
        _draw_cell(axes, shapes, row["condition"], row["step"], _CLASSES[row["class"]])


def _draw_plane(axes: Axes, scores: pd.DataFrame, walk: pd.DataFrame) -> None:
    look = {"palette": _CLASSES, "s": 3.5, "lw": 0, "alpha": 0.7, "legend": False}
    sns.scatterplot(scores, x="PC_1", y="PC_2", hue="class", ax=axes, **look)
    axes.plot(walk["PC_1"], walk["PC_2"], color="black", lw=0.8, marker="*", ms=3.5, mew=0)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("PC 1", labelpad=1, fontsize=style.SMALL)
    axes.set_ylabel("PC 2", labelpad=1, fontsize=style.SMALL)


def _draw_scores(axes: Axes, scores: pd.DataFrame) -> None:
    known = scores.dropna(subset=["score"])
    look = {"palette": _CLASSES, "alpha": 0.7, "linewidth": 0, "legend": False, "ax": axes}
    density = {"bins": 24, "stat": "density", "common_norm": False}
    sns.histplot(known, x="score", hue="class", hue_order=list(_CLASSES), **density, **look)
    axes.set(yticks=[], xlabel="", ylabel="")
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="x", pad=1, labelsize=style.SMALL)


def _draw_cell(axes: Axes, shapes: gallery.Gallery, condition: str, step: int, color: str) -> None:
    """Draw the cell of one step over a line in the colour of its class."""
    labels = shapes.labels
    here = labels.index[(labels["stratum"] == condition) & (labels["step"] == step)]
    if len(here):
        shapes.draw(axes, int(here[0]))
    else:
        layout.shape_axes(axes, shapes.half_um)
    line = {"color": color, "lw": 1.5, "solid_capstyle": "butt", "clip_on": False}
    axes.plot([0.15, 0.85], [0, 0], transform=axes.transAxes, **line)
