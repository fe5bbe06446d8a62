"""The panels that figures are made of; each draws one table into axes that it is given."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import EngFormatter, Formatter, ScalarFormatter
from matplotlib.transforms import Bbox

from morphobench.plot import style
from morphobench.plot.style import DEPTH_COLORS

_TITLE_WIDTH = 110  # characters
_BAR_WIDTH = 28

Models = Mapping[str, Mapping[str, str]]


def empty(axes: Axes, reason: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color="0.4", wrap=True)


def pretty(name: Any) -> str:
    """Turn a column or stratum name into words: planar_gradient_45deg -> planar 45°.

    Examples
    --------
    >>> pretty("planar_gradient_45deg"), pretty("surface_gradient")
    ('planar 45°', 'surface')
    """
    if isinstance(name, float):
        return f"{name:g}"
    words = str(name).replace("_gradient", "").replace("deg", "°")
    return words.replace("_", " ")


def cloud(axes: Axes, points_um: np.ndarray, *, half_um: float, size: float, max_points: int) -> None:
    """Draw a cloud (n, 3) as seen along the optical axis; darker is nearer. Axes span +-half_um.

    More than `max_points` points are thinned evenly.
    """
    points_um = points_um[:: max(1, len(points_um) // max_points)]
    order = np.argsort(points_um[:, 2], kind="stable")
    for color, part in zip(DEPTH_COLORS, np.array_split(order, len(DEPTH_COLORS)), strict=True):
        x, y, _ = points_um[part].T
        axes.plot(x, y, ".", color=color, markersize=size, markeredgewidth=0)
    axes.set(xlim=(-half_um, half_um), ylim=(-half_um, half_um), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def scale_bar(axes: Axes, half_um: float, length_um: float) -> None:
    """Draw a horizontal bar of `length_um` just below a cloud panel, its length written beside it."""
    start, low = -half_um, -1.06 * half_um
    look = {"color": "black", "linewidth": 1, "solid_capstyle": "butt", "clip_on": False}
    axes.plot([start, start + length_um], [low, low], **look)
    axes.annotate(
        f"{length_um:g} µm",
        (start + length_um, low),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        fontsize=5.5,
        annotation_clip=False,
    )


def sheet(n_rows: int, columns: Sequence[str], title: str) -> tuple[Figure, np.ndarray]:
    """Return a contact sheet without content: a row per cell, a named column per stage, no frames."""
    style.apply()
    size = (180 * style.MM, (36 * n_rows + 14) * style.MM)
    figure, grid = plt.subplots(n_rows, len(columns), figsize=size, layout="constrained", squeeze=False)
    figure.suptitle("\n".join(textwrap.wrap(title, _TITLE_WIDTH)), fontsize=7.5)
    for axes in grid.flat:
        axes.spines[:].set_visible(False)
        axes.set(xticks=[], yticks=[])
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name)
    return figure, grid


def half_width(table: pd.DataFrame) -> float:
    """Return the half width in micrometres that shows nearly all of a table's points, a round number."""
    if table.empty:
        return 1.0
    reach = np.quantile(np.abs(table[["x_um", "y_um"]].to_numpy()), 0.995)
    return float(np.ceil(reach * 1.05))


def _points(table: pd.DataFrame) -> np.ndarray:
    return table[["x_um", "y_um", "z_um"]].to_numpy()


def cloud_grid(
    figure: SubFigure,
    margins: Mapping[str, float],
    table: pd.DataFrame,
    rows: str,
    columns: Sequence[str],
    *,
    size: float,
    max_points: int,
) -> None:
    """Draw a grid of clouds: one row per value of `rows`, one column per combination of `columns`.

    Parameters
    ----------
    margins
        Left, right, top and bottom of the grid, as shares of the figure.
    table
        Columns x_um, y_um, z_um and those named; a combination without rows stays blank.
    rows, columns
        Names of label columns; values keep their order. The first of two `columns` makes named blocks.
    """
    if table.empty:
        empty(figure.subplots(), "no cells to show")
        return
    half_um = half_width(table)
    row_values, narrow = (list(dict.fromkeys(table[name])) for name in (rows, columns[-1]))
    blocks = dict(list(table.groupby(columns[0], sort=False))) if len(columns) == 2 else {"": table}
    outer = figure.add_gridspec(1, len(blocks), wspace=0.04, **margins)
    for place, (block, part) in zip(outer, blocks.items(), strict=True):
        axes = place.subgridspec(len(row_values), len(narrow), wspace=0, hspace=0).subplots(squeeze=False)
        clouds = dict(list(part.groupby([rows, columns[-1]], sort=False)))
        for axis, key in zip(axes.flat, product(row_values, narrow), strict=True):
            points_um = _points(clouds.get(key, table[:0]))
            cloud(axis, points_um, half_um=half_um, size=size, max_points=max_points)
        _name(axes[0], narrow)
        _above(figure, place.get_position(figure), pretty(block))
        if place.colspan.start == 0:
            scale_bar(axes[-1, 0], half_um, 5)
            for axis, row in zip(axes[:, 0], row_values, strict=True):
                axis.set_ylabel(pretty(row), rotation=0, ha="right", va="center")


def _name(axes: Sequence[Axes], values: Sequence[Any]) -> None:
    for axis, value in zip(axes, values, strict=True):
        axis.set_title(pretty(value), pad=1.5)


def _above(figure: SubFigure, box: Bbox, text: str) -> None:
    """Write the name of a block of panels above their titles."""
    axes = figure.add_axes(box.bounds, frameon=False, xticks=[], yticks=[])
    axes.set_title(text, pad=10, weight="bold")


def cloud_wrap(
    figure: SubFigure,
    margins: Mapping[str, float],
    table: pd.DataFrame,
    label: str,
    *,
    n_rows: int,
    size: float,
    max_points: int,
) -> None:
    """Draw one cloud per value of the column `label`, row after row, the value above each.

    Parameters
    ----------
    margins
        Left, right, top and bottom of the grid, as shares of the figure.
    table
        Columns x_um, y_um, z_um and `label`; values keep their order of appearance.
    n_rows
        Rows to spread them over.
    """
    if table.empty:
        empty(figure.subplots(), "no shapes to show")
        return
    half_um = half_width(table)
    parts = dict(list(table.groupby(label, sort=False)))
    grid = {"wspace": 0, "hspace": 0.2, **margins}
    axes = figure.subplots(n_rows, -(-len(parts) // n_rows), squeeze=False, gridspec_kw=grid)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, part) in zip(axes.flat, parts.items(), strict=False):
        cloud(axis, _points(part), half_um=half_um, size=size, max_points=max_points)
        axis.set_title(pretty(name), pad=1.5)
    cloud(axes[-1, 0], np.empty((0, 3)), half_um=half_um, size=size, max_points=max_points)
    scale_bar(axes[-1, 0], half_um, 5)


def _ticks(unit: str, largest: float) -> Formatter:
    """Return 5 ms and 200 k for seconds and large counts, plain numbers otherwise."""
    if unit == "s" or largest >= 1e4:
        return EngFormatter(sep="\u2009", unit="s" if unit == "s" else "")
    return ScalarFormatter()


def polar(axes: PolarAxes, table: pd.DataFrame, models: Models) -> None:
    """Draw the relative scores (z-scores over the models; larger is better) on a polar axis.

    Parameters
    ----------
    table
        Columns model, title, z.
    """
    titles = list(dict.fromkeys(table["title"]))
    if len(titles) < 3:
        empty(axes, "fewer than three metrics to compare")
        return
    angles = np.linspace(0, 2 * np.pi, len(titles), endpoint=False)
    around = np.append(angles, angles[0])
    for name, look in models.items():
        z = table[table["model"] == name].set_index("title")["z"].reindex(titles).to_numpy()
        axes.plot(around, np.append(z, z[0]), color=look["color"], linewidth=1, marker="o", markersize=2)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_xticks(angles, [_two_lines(title) for title in titles], fontsize=5.5)
    for label, angle in zip(axes.get_xticklabels(), angles, strict=True):
        # Labels grow away from the circle, so that long ones never cross it.
        side = round(float(np.sin(angle)), 6)
        label.set_horizontalalignment("center" if side == 0 else "left" if side > 0 else "right")
    axes.tick_params(axis="x", pad=-1)
    reach = max(2, int(np.ceil(table["z"].abs().max())))
    axes.set_ylim(-reach, reach)
    axes.set_yticks([-1, 0, 1], ["", "0", "1"], fontsize=5.5, color="0.4")
    axes.set_rlabel_position(180 / len(titles))
    axes.grid(linewidth=0.4, color="0.85")
    axes.spines["polar"].set(linewidth=0.4, color="0.6")


def _two_lines(title: str) -> str:
    """Break a title after its comma, else at its first space."""
    return title.replace(", ", ",\n", 1) if ", " in title else title.replace(" ", "\n", 1)


def bars(axes: Axes, table: pd.DataFrame, items: pd.DataFrame, models: Models) -> None:
    """Draw one metric: a bar per model with its confidence interval, single values as dots.

    Parameters
    ----------
    table
        One row per model and seed: columns model, title, unit, better, value, ci_low, ci_high, reason.
    items
        Columns model, value; may be empty. At most about 200 are drawn, evenly chosen.
    """
    arrow = {"high": "\u2191", "low": "\u2193"}[table["better"].iloc[0]]
    axes.set_title(f"{table['title'].iloc[0]} {arrow}", pad=2, loc="left", fontsize=6)
    if table["value"].isna().all():
        reasons = table["reason"].dropna()
        reason = str(reasons.iloc[0]).split(";")[0] if len(reasons) else "no value"
        empty(axes, textwrap.fill(reason, _BAR_WIDTH))
        return
    for place, (name, look) in enumerate(models.items()):
        row = table[table["model"] == name]
        if row["value"].isna().all():
            axes.text(0, place, " no value", va="center", color="0.5", fontsize=5.5)
            continue
        value, low, high = row[["value", "ci_low", "ci_high"]].mean()
        axes.barh(place, value, color=look["color"], height=0.78)
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [place, place], color="black", linewidth=0.8)
        single = items.loc[items["model"] == name, "value"].to_numpy()
        single = single[:: max(1, len(single) // 200)]
        spread = np.linspace(-0.22, 0.22, len(single)) if len(single) > 1 else np.zeros(len(single))
        axes.plot(single, place + spread, ".", color="black", markersize=0.9, alpha=0.45, markeredgewidth=0)
    axes.set(yticks=[], ylim=(len(models) - 0.4, -0.6))
    unit = table["unit"].iloc[0]
    unit = unit.replace("um", "µm") if isinstance(unit, str) else ""
    axes.xaxis.set_major_formatter(_ticks(unit, table["value"].max()))
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(axis="x", pad=1.5)
    # Seconds stand at the ticks themselves.
    axes.set_xlabel("" if unit == "s" else unit, labelpad=0.5, fontsize=5.5, color="0.3")
