"""The panels that figures are made of; each draws one table into axes that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import EngFormatter, Formatter, ScalarFormatter

from morphobench.plot.style import DEPTH_COLORS

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
    """Draw a horizontal bar of `length_um` in the lower left of a cloud panel."""
    start, low = -0.95 * half_um, -0.97 * half_um
    axes.plot([start, start + length_um], [low, low], color="black", linewidth=1, solid_capstyle="butt")
    axes.text(start, low + 0.06 * half_um, f"{length_um:g} µm", va="bottom", ha="left", fontsize=5.5)


def half_width(table: pd.DataFrame) -> float:
    """Return the half width in micrometres that shows nearly all of a table's points, a round number."""
    if table.empty:
        return 1.0
    reach = np.quantile(np.abs(table[["x_um", "y_um"]].to_numpy()), 0.995)
    return float(np.ceil(reach * 1.05))


def cloud_grid(
    figure: SubFigure, table: pd.DataFrame, rows: str, columns: Sequence[str], *, size: float, max_points: int
) -> None:
    """Draw a grid of clouds: one row per value of `rows`, one column per combination of `columns`.

    Parameters
    ----------
    table
        Columns x_um, y_um, z_um and those named.
    rows, columns
        Names of label columns; values keep their order of appearance. With two `columns`, the first is
        written once above each of its blocks.
    """
    if table.empty:
        empty(figure.subplots(), "no cells to show")
        return
    half_um = half_width(table)
    row_values, wide = (list(dict.fromkeys(table[name])) for name in (rows, columns[0]))
    narrow = list(dict.fromkeys(table[columns[-1]]))
    column_values = [(a, b) for a in wide for b in narrow] if len(columns) == 2 else [(a,) for a in wide]
    axes = figure.subplots(
        len(row_values), len(column_values), squeeze=False, gridspec_kw={"wspace": 0, "hspace": 0}
    )
    groups = dict(list(table.groupby([rows, *columns], sort=False)))
    for i, row in enumerate(row_values):
        for j, column in enumerate(column_values):
            part = groups.get((row, *column))
            if part is None:
                axes[i, j].set_axis_off()
                continue
            points_um = part[["x_um", "y_um", "z_um"]].to_numpy()
            cloud(axes[i, j], points_um, half_um=half_um, size=size, max_points=max_points)
        axes[i, 0].set_ylabel(pretty(row), rotation=0, ha="right", va="center")
    for j, column in enumerate(column_values):
        axes[0, j].set_title(pretty(column[-1]), pad=1)
        if len(column) == 2 and column[1] == narrow[0]:
            place = axes[0, j].get_subplotspec()
            across = axes[0, j + len(narrow) - 1].get_position().x1 + place.get_position(figure).x0
            figure.text(across / 2, 0.935, pretty(column[0]), ha="center", va="bottom", weight="bold")
    scale_bar(axes[-1, 0], half_um, 5)


def _ticks(unit: str, largest: float) -> Formatter:
    """Return 5 ms and 200 k for seconds and large counts, plain numbers otherwise."""
    if unit == "s" or largest >= 1e4:
        return EngFormatter(sep="\u2009", unit="s" if unit == "s" else "")
    return ScalarFormatter()


def polar(axes: Axes, table: pd.DataFrame, models: Models) -> None:
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
    for name, look in models.items():
        values = table[table["model"] == name].set_index("title")["z"].reindex(titles).to_numpy()
        closed = np.append(values, values[0])
        axes.plot(
            np.append(angles, angles[0]),
            closed,
            color=look["color"],
            linewidth=1.2,
            marker="o",
            markersize=2.5,
        )
    axes.set_xticks(angles, [title.replace(" ", "\n", 1) for title in titles], fontsize=5.5)
    axes.set_ylim(-2, 2)
    axes.set_yticks([-2, -1, 0, 1, 2], ["−2", "", "0", "", "2"], fontsize=5, color="0.4")
    axes.tick_params(axis="x", pad=4)
    axes.grid(linewidth=0.4, color="0.85")
    axes.spines["polar"].set_linewidth(0.4)


def bars(axes: Axes, table: pd.DataFrame, items: pd.DataFrame, models: Models) -> None:
    """Draw one metric: a bar per model with its confidence interval, single values as dots.

    Parameters
    ----------
    table
        One row per model and seed: columns model, title, unit, better, value, ci_low, ci_high, reason.
    items
        Columns model, value; may be empty.
    """
    for place, (name, look) in enumerate(models.items()):
        row = table[table["model"] == name]
        if row.empty or row["value"].isna().all():
            axes.text(0, place, " no value", va="center", color="0.5", fontsize=5.5)
            continue
        value, low, high = row[["value", "ci_low", "ci_high"]].mean()
        axes.barh(place, value, color=look["color"], height=0.72)
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [place, place], color="black", linewidth=0.8)
        single = items.loc[items["model"] == name, "value"].to_numpy()[:200]
        spread = np.linspace(-0.22, 0.22, len(single)) if len(single) > 1 else np.zeros(len(single))
        axes.plot(single, place + spread, ".", color="black", markersize=0.9, alpha=0.45, markeredgewidth=0)
    axes.set(yticks=[], ylim=(len(models) - 0.4, -0.6))
    axes.set_title(table["title"].iloc[0], pad=2)
    if table["value"].isna().all():
        axes.set(xticks=[], xlabel=str(table["reason"].iloc[0]).split(";")[0])
        return
    unit = table["unit"].iloc[0]
    unit = unit.replace("um", "µm") if isinstance(unit, str) else ""
    axes.xaxis.set_major_formatter(_ticks(unit, table["value"].max()))
    axes.locator_params(axis="x", nbins=3)
    arrow = f"{table['better'].iloc[0]}er is better"
    axes.set_xlabel(arrow if unit in ("", "s") else f"{unit}; {arrow}", labelpad=1, fontsize=5.5, color="0.3")
