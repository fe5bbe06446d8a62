"""What panels and contact sheets share: words, empty panels, clouds, scale bars, captions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.textpath import TextPath

from morphobench.plot import style
from morphobench.plot.style import DEPTH_COLORS

_TITLE_WIDTH = 110  # characters
_REASON_WIDTH = 60
MINUS = "\u2212"


def empty(axes: Axes, reason: str, *, width: int = _REASON_WIDTH, size: float | None = None) -> None:
    """Say in an empty panel why it is empty, in lines of at most `width` characters."""
    axes.set_axis_off()
    text = "\n".join(textwrap.wrap(reason, width))
    look = {"ha": "center", "va": "center", "color": "0.4", "fontsize": size}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, **look)


def wrapped(identifier: str, width: int = 20) -> str:
    """Break an identifier, such as a UUID, into lines that fit beside a row of pictures.

    Examples
    --------
    >>> wrapped("7624cd5b-715a-478e-9648-3bac4a73abe8").split()
    ['7624cd5b-715a-478e-', '9648-3bac4a73abe8']
    """
    return "\n".join(textwrap.wrap(identifier, width))


def pretty(name: Any) -> str:
    """Turn a column or stratum name into words: planar_gradient_45deg -> planar 45°.

    Examples
    --------
    >>> pretty("planar_gradient_45deg"), pretty("surface_gradient"), pretty("2.0")
    ('planar 45°', 'surface', '2')
    """
    if isinstance(name, float):
        return f"{name:g}"
    words = str(name).removesuffix(".0").replace("_gradient", "").replace("deg", "°")
    return words.replace("_", " ")


def steps(sigma: Sequence[float]) -> list[str]:
    """Name the steps of a latent walk: -2.0 -> −2 sd, 0 -> mean."""
    return [f"{one:+g} sd".replace("-", MINUS) if one else "mean" for one in sigma]


def height_mm(part: Figure | SubFigure) -> float:
    """Return the height of a part of a figure in millimetres."""
    return part.bbox.height / part.figure.dpi / style.MM


def width_mm(part: Figure | SubFigure) -> float:
    """Return the width of a part of a figure in millimetres."""
    return part.bbox.width / part.figure.dpi / style.MM


def headed(part: SubFigure, letter: str, caption: str) -> None:
    """Write a panel's letter and caption at its upper left corner."""
    top, wide = 1 - 1 / height_mm(part), width_mm(part)
    part.text(1 / wide, top, letter, fontsize=9, weight="bold", va="center_baseline")
    part.text(5.5 / wide, top, caption, va="center_baseline", color="0.25")


def margins(
    part: SubFigure, *, left: float = 2, right: float = 1, head: float = 8.5, foot: float = 4
) -> dict[str, float]:
    """Turn margins in millimetres into shares of a part; the head holds its caption, the foot a scale bar."""
    high, wide = height_mm(part), width_mm(part)
    return {"left": left / wide, "right": 1 - right / wide, "top": 1 - head / high, "bottom": foot / high}


def bare(axes: Axes, half_um: float) -> None:
    """Prepare axes for shapes: micrometres, +-half_um, no frame."""
    axes.set(xlim=(-half_um, half_um), ylim=(-half_um, half_um), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def cloud(axes: Axes, points_um: np.ndarray, *, half_um: float, size: float, max_points: int) -> None:
    """Draw a cloud (n, 3) as seen along the optical axis; darker is nearer. Axes span +-half_um.

    More than `max_points` points are thinned evenly.
    """
    points_um = points_um[:: max(1, len(points_um) // max_points)]
    order = np.argsort(points_um[:, 2], kind="stable")
    for color, part in zip(DEPTH_COLORS, np.array_split(order, len(DEPTH_COLORS)), strict=True):
        x, y, _ = points_um[part].T
        axes.plot(x, y, ".", color=color, markersize=size, markeredgewidth=0)
    bare(axes, half_um)


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
        fontsize=style.SMALL,
        annotation_clip=False,
    )


def round_length(reach_um: float) -> float:
    """Return a length of one digit, a quarter of a picture of +-reach_um or a little less."""
    quarter = reach_um / 2
    power = 10.0 ** np.floor(np.log10(quarter))
    return float(np.floor(quarter / power) * power)


def half_width(table: pd.DataFrame) -> float:
    """Return the half width in micrometres that shows nearly all of a table's points, a round number.

    Whole micrometres, or one digit below one: the shapes of a model that has hardly learnt are that small.
    """
    if table.empty:
        return 1.0
    reach = 1.05 * np.quantile(np.abs(table[["x_um", "y_um"]].to_numpy()), 0.995)
    if reach <= 0:
        return 1.0
    step = min(1.0, 10.0 ** np.floor(np.log10(reach)))
    return float(np.ceil(reach / step) * step)


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


def in_order(table: pd.DataFrame, column: str, order: Sequence[Any]) -> pd.DataFrame:
    """Sort a table by the place of its values in `order`, otherwise as it was; unknown values go last."""
    place = {value: number for number, value in enumerate(order)}
    return table.sort_values(column, key=lambda values: values.map(place).fillna(len(place)), kind="stable")


def text_mm(text: str) -> float:
    """Return the width of a line of text at the size of legends; hinted letters are a little wider."""
    size = plt.rcParams["legend.fontsize"]
    return 1.07 * TextPath((0, 0), text, size=size).get_extents().width / 72 / style.MM


def legend_columns(part: SubFigure, handles: Sequence[Any]) -> int:
    """Return how many entries of a legend stand side by side in this part."""
    # Handle, its distance from the text, and the space between columns.
    around_mm = 3.3 * plt.rcParams["legend.fontsize"] / 72 / style.MM
    widths = [text_mm(handle.get_label()) + around_mm for handle in handles]
    for ncols in range(len(handles), 1, -1):
        # Columns are filled downwards, the first ones with an entry more.
        if sum(max(column) for column in np.array_split(widths, ncols)) <= width_mm(part):
            return ncols
    return 1


def legend(part: SubFigure, handles: Sequence[Any], *, top_mm: float | None = None) -> float:
    """Draw a frameless legend at the foot of a part, or so far below its top; return its height in mm."""
    ncols, high = legend_columns(part, handles), height_mm(part)
    look: Mapping[str, Any] = {
        "frameon": False,
        "handlelength": 1.2,
        "handletextpad": 0.5,
        "borderaxespad": 0,
        "borderpad": 0,
        "labelspacing": 0.25,
        "columnspacing": 1.5,
    }
    loc, y = ("lower center", 1 / high) if top_mm is None else ("upper center", 1 - top_mm / high)
    part.legend(handles=handles, loc=loc, ncols=ncols, bbox_to_anchor=(0.5, y), **look)
    return -(-len(handles) // ncols) * 3.0
