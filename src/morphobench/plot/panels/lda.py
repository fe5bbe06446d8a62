"""From the control to a treatment: the discriminant, where cells lie on it, and the cells along it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from morphobench.plot import gallery, ink, style
from morphobench.plot.context import Context, Missing, need

_SCORES = ["condition", "CellId", "is_control", "score", "PC_1", "PC_2"]
_WALK = ["condition", "step", "CellId", "is_control", "PC_1", "PC_2"]
_CONTROL, _TREATED = "#8C8C8C", "#D55E00"
_COLUMNS = 2


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return scores, walk and tests of the treatments found, clearest first, and the cells along the walks."""
    scores = need(inputs, "lda_scores", _SCORES, "no treatment was found")
    walk = need(inputs, "lda_walk", _WALK, "no treatment was found")
    tests = need(inputs, "lda_tests", ["condition", "cv_auroc", "p", "q"], "no treatment was found")
    known = tests[tests["condition"].isin(walk["condition"])]
    hits = known.sort_values("cv_auroc", ascending=False, kind="stable")["condition"]
    hits = list(hits[: context.options.get("n_hits", 7)])
    if not hits:
        raise Missing("no treatment was found")
    chosen = {
        name: ink.in_order(table[table["condition"].isin(hits)], "condition", hits)
        for name, table in (("scores", scores), ("walk", walk), ("tests", tests))
    }
    shapes = gallery.mesh_tables(inputs, "lda", "cells") if "shown" in inputs else {}
    return {**chosen, **shapes}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw a block per treatment: scatter with the walk, histogram of scores, strip of closest cells."""
    hits = list(dict.fromkeys(tables["tests"]["condition"]))
    shapes = gallery.from_tables(tables, "cells", ["stratum", "step"], context) if "cells" in tables else None
    n_rows = -(-len(hits) // _COLUMNS)
    high = ink.height_mm(part)
    # The blocks stand below the caption and the legend.
    axes = part.add_gridspec(n_rows, _COLUMNS, left=0, right=1, top=1 - 8 / high, bottom=0, wspace=0, hspace=0)
    for number, hit in enumerate(hits):
        block = part.add_subfigure(axes[number // _COLUMNS, number % _COLUMNS])
        own = {name: tables[name][tables[name]["condition"] == hit] for name in ("scores", "walk", "tests")}
        _block(block, own, shapes, context.name(hit), hit)
    handles = [
        Line2D([], [], ls="", marker="o", ms=3, mew=0, color=_CONTROL, label="control"),
        Line2D([], [], ls="", marker="o", ms=3, mew=0, color=_TREATED, label="treated"),
        Line2D([], [], color="black", lw=0.8, marker="*", ms=4, label="walk and the cells nearest to it"),
    ]
    ink.named_legend(part, handles, y=1 - 7.5 / high, ncols=3)


def _block(
    part: SubFigure, tables: Mapping[str, pd.DataFrame], shapes: gallery.Gallery | None, name: str, hit: str
) -> None:
    wide, high = ink.width_mm(part), ink.height_mm(part)
    test = tables["tests"].iloc[0]
    title = f"{name}   AUROC {test['cv_auroc']:.2f}, q = {test['q']:.2g}"
    part.text(2 / wide, 1 - 2.2 / high, title, va="center", weight="bold")
    square = min(high - 9, 24)
    _scatter(part.add_axes((5 / wide, 5 / high, square / wide, square / high)), tables)
    left = square + 9
    strip_high = min((wide - left - 2) / 7, 0.45 * (high - 5)) if shapes is not None else 0
    bottom = strip_high + 6
    _histogram(part.add_axes((left / wide, bottom / high, (wide - left - 3) / wide, (high - bottom - 5) / high)), tables)
    if shapes is not None:
        _strip(part, tables["walk"], shapes, hit, left, strip_high)


def _scatter(axes: Axes, tables: Mapping[str, pd.DataFrame]) -> None:
    scores, walk = tables["scores"], tables["walk"].sort_values("step")
    for control, color in ((True, _CONTROL), (False, _TREATED)):
        rows = scores[scores["is_control"].astype(bool) == control]
        axes.plot(rows["PC_1"], rows["PC_2"], "o", ms=1.8, mew=0, color=color, alpha=0.7)
    axes.plot(walk["PC_1"], walk["PC_2"], color="black", lw=0.8, marker="*", ms=3.5, mew=0)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("PC 1", labelpad=1, fontsize=style.SMALL)
    axes.set_ylabel("PC 2", labelpad=1, fontsize=style.SMALL)


def _histogram(axes: Axes, tables: Mapping[str, pd.DataFrame]) -> None:
    scores = tables["scores"].dropna(subset=["score"])
    edges = np.linspace(scores["score"].min(), scores["score"].max() + 1e-9, 25)
    for control, color in ((True, _CONTROL), (False, _TREATED)):
        values = scores.loc[scores["is_control"].astype(bool) == control, "score"]
        axes.hist(values, edges, density=True, color=color, alpha=0.7)
    axes.set(yticks=[])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="x", pad=1, labelsize=style.SMALL)


def _strip(
    part: SubFigure, walk: pd.DataFrame, shapes: gallery.Gallery, hit: str, left: float, side: float
) -> None:
    wide, high = ink.width_mm(part), ink.height_mm(part)
    rows = walk.sort_values("step").reset_index(drop=True)
    each = (wide - left - 3) / max(len(rows), 1)
    labels = shapes.labels
    for place, row in rows.iterrows():
        here = labels.index[(labels["stratum"] == hit) & (labels["step"] == row["step"])]
        if not len(here):
            continue
        size = min(side, each)
        axes = part.add_axes(((left + place * each + (each - size) / 2) / wide, 1.2 / high, size / wide, size / high))
        shapes.paint(axes, int(here[0]))
        color = _CONTROL if bool(row["is_control"]) else _TREATED
        part.add_artist(
            Line2D(
                [(left + (place + 0.15) * each) / wide, (left + (place + 0.85) * each) / wide],
                [1 / high, 1 / high],
                color=color,
                lw=1.5,
                solid_capstyle="butt",
            )
        )
