"""From the control to a treatment: the discriminant, where cells lie on it, and the cells along it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from morphobench.plot import gallery, layout, style
from morphobench.plot.context import Context, Missing, need

_SCORES = ["condition", "CellId", "class", "score", "PC_1", "PC_2"]
_WALK = ["condition", "step", "CellId", "class", "PC_1", "PC_2"]
_CLASSES = {"control": style.CONTROL, "condition": style.TREATED}
_COLUMNS, _N_CELLS = 2, 7


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return scores, walk and tests of the treatments told apart best, and the cells along the walks."""
    scores = need(inputs, "lda_scores", _SCORES, "no treatment was tested")
    walk = need(inputs, "lda_walk", _WALK, "no treatment was tested")
    tests = need(inputs, "lda_tests", ["condition", "drug", "cv_auroc", "p", "q"], "no treatment was tested")
    known = tests[tests["condition"].isin(walk["condition"])].dropna(subset=["cv_auroc"])
    best = known.sort_values(["q", "cv_auroc"], ascending=[True, False], kind="stable")
    hits = list(best["condition"][: context.options.get("n_hits", 7)])
    if not hits:
        raise Missing("no treatment has cells enough for a discriminant")
    chosen = {
        name: layout.in_order(table[table["condition"].isin(hits)], "condition", hits)
        for name, table in (("scores", scores), ("walk", walk), ("tests", tests))
    }
    return {**chosen, **gallery.mesh_tables(inputs, "lda", "cells", hits)}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw a block per treatment: scatter with the walk, histogram of scores, strip of closest cells."""
    hits = list(dict.fromkeys(tables["tests"]["condition"]))
    shapes = gallery.from_tables(tables, "cells", ["stratum", "step"], context)
    # The blocks stand below the caption and the legend.
    _, body = part.subfigures(2, 1, height_ratios=[9, layout.height_mm(part) - 9])
    blocks = body.subfigures(-(-len(hits) // _COLUMNS), _COLUMNS, squeeze=False)
    for block, hit in zip(blocks.flat, hits, strict=False):
        own = {name: tables[name][tables[name]["condition"] == hit] for name in ("scores", "walk", "tests")}
        _block(block, own, shapes)
    handles = [
        Line2D([], [], ls="", marker="o", ms=3, mew=0, color=style.CONTROL, label="control"),
        Line2D([], [], ls="", marker="o", ms=3, mew=0, color=style.TREATED, label="treated"),
        Line2D([], [], color="black", lw=0.8, marker="*", ms=4, label="walk and the cells nearest to it"),
    ]
    layout.legend(part, handles, top_mm=5.5)


def _block(part: SubFigure, tables: Mapping[str, pd.DataFrame], shapes: gallery.Gallery) -> None:
    wide, high = layout.width_mm(part), layout.height_mm(part)
    test = tables["tests"].iloc[0]
    title = f"{test['drug']}   AUROC {test['cv_auroc']:.2f}, q = {test['q']:.2g}"
    part.text(2 / wide, 1 - 2.2 / high, title, va="center", weight="bold")

    def place(left: float, bottom: float, width: float, height: float) -> Axes:
        return part.add_axes((left / wide, bottom / high, width / wide, height / high))

    square = min(high - 9, 24)
    _scatter(place(4.5, 4, square, square), tables)
    left, right = square + 8, wide - 3
    side = min((right - left) / _N_CELLS, 0.45 * (high - 5))
    _histogram(place(left, side + 6, right - left, high - side - 10.5), tables["scores"])
    rows = tables["walk"].sort_values("step")
    each = (right - left) / max(len(rows), 1)
    for number, row in enumerate(rows.itertuples()):
        axes = place(left + number * each + (each - side) / 2, 1.2, side, side)
        _cell(axes, shapes, row.condition, row.step, _CLASSES[rows["class"].iloc[number]])


def _scatter(axes: Axes, tables: Mapping[str, pd.DataFrame]) -> None:
    scores, walk = tables["scores"], tables["walk"].sort_values("step")
    for name, color in _CLASSES.items():
        rows = scores[scores["class"] == name]
        axes.plot(rows["PC_1"], rows["PC_2"], "o", ms=1.8, mew=0, color=color, alpha=0.7)
    axes.plot(walk["PC_1"], walk["PC_2"], color="black", lw=0.8, marker="*", ms=3.5, mew=0)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("PC 1", labelpad=1, fontsize=style.SMALL)
    axes.set_ylabel("PC 2", labelpad=1, fontsize=style.SMALL)


def _histogram(axes: Axes, table: pd.DataFrame) -> None:
    known = table.dropna(subset=["score"])
    edges = np.linspace(known["score"].min(), known["score"].max() + 1e-9, 25)
    for name, color in _CLASSES.items():
        axes.hist(known.loc[known["class"] == name, "score"], edges, density=True, color=color, alpha=0.7)
    axes.set(yticks=[])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="x", pad=1, labelsize=style.SMALL)


def _cell(axes: Axes, shapes: gallery.Gallery, hit: str, step: int, color: str) -> None:
    """Draw the cell of one step over a line in the colour of its class."""
    labels = shapes.labels
    here = labels.index[(labels["stratum"] == hit) & (labels["step"] == step)]
    if len(here):
        shapes.paint(axes, int(here[0]))
    else:
        layout.bare(axes, shapes.half_um)
    line = {"color": color, "lw": 1.5, "solid_capstyle": "butt", "clip_on": False}
    axes.plot([0.15, 0.85], [0, 0], transform=axes.transAxes, **line)
