"""Elements of panels: captions, legends, empty axes, clouds, scale bars, order and names of strata."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.textpath import text_to_path

from morphobench.plot import style

UM = "µm"


def write_reason(axes: Axes, reason: str, *, width: int = 60, size: float | None = None) -> None:
    """Write into empty axes why they are empty, in lines of at most `width` characters."""
    axes.set_axis_off()
    text = "\n".join(textwrap.wrap(reason, width))
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.4", fontsize=size)


def readable(name: Any) -> str:
    """Convert a column or stratum name into words.

    Examples
    --------
    >>> readable("planar_gradient_45deg"), readable("surface_gradient"), readable("2.0")
    ('planar 45°', 'surface', '2')
    """
    if isinstance(name, float):
        return f"{name:g}"
    words = str(name).removesuffix(".0").replace("_gradient", "").replace("deg", "°")
    return words.replace("_", " ")


def step_names(sigmas: Sequence[float]) -> list[str]:
    """Name the steps of a latent walk: -2.0 -> −2 sd, 0 -> mean."""
    return [f"{sigma:+g} sd".replace("-", "\u2212") if sigma else "mean" for sigma in sigmas]


def sort_by(table: pd.DataFrame, column: str, order: Sequence[Any]) -> pd.DataFrame:
    """Sort a table stably by the place of its values in `order`; other values go last."""
    place = {value: number for number, value in enumerate(order)}
    return table.sort_values(column, key=lambda values: values.map(place).fillna(len(place)), kind="stable")


def height_mm(part: Figure | SubFigure) -> float:
    """Return the height of a part of a figure in millimetres."""
    return part.bbox.height / part.figure.dpi / style.MM


def width_mm(part: Figure | SubFigure) -> float:
    """Return the width of a part of a figure in millimetres."""
    return part.bbox.width / part.figure.dpi / style.MM


def margins(
    part: SubFigure, *, left: float = 2, right: float = 1, head: float = 8.5, foot: float = 4
) -> dict[str, float]:
    """Convert margins in millimetres into shares of a part."""
    high, wide = height_mm(part), width_mm(part)
    return {"left": left / wide, "right": 1 - right / wide, "top": 1 - head / high, "bottom": foot / high}


def write_caption(part: SubFigure, letter: str, caption: str) -> None:
    """Write a panel's letter and caption, in several lines where it is long, at its upper left corner."""
    high, wide = height_mm(part), width_mm(part)
    part.text(1 / wide, 1 - 1 / high, letter, fontsize=9, weight="bold", va="center_baseline")
    for number, line in enumerate(lines(caption, wide - 6)):
        place = 5.5 / wide, 1 - (1 + 2.6 * number) / high
        part.text(*place, line, va="center_baseline", color="0.25")


def shape_axes(axes: Axes, half_um: float) -> None:
    """Prepare axes for a shape: micrometres, +-half_um, no frame."""
    axes.set(xlim=(-half_um, half_um), ylim=(-half_um, half_um), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def draw_cloud(axes: Axes, points_um: np.ndarray, *, half_um: float, size: float, max_points: int) -> None:
    """Draw about `max_points` of a cloud (n, 3) in projection along the optical axis; darker is nearer."""
    points_um = points_um[:: max(1, len(points_um) // max_points)]
    order = np.argsort(points_um[:, 2], kind="stable")
    for color, part in zip(style.DEPTH_COLORS, np.array_split(order, len(style.DEPTH_COLORS)), strict=True):
        x, y, _ = points_um[part].T
        axes.plot(x, y, ".", color=color, markersize=size, markeredgewidth=0)
    shape_axes(axes, half_um)


def draw_scale_bar(axes: Axes, half_um: float, length_um: float, unit: str) -> None:
    """Draw a horizontal bar of `length_um` just below the axes of a shape, its length beside it."""
    ends, low = [-half_um, -half_um + length_um], -1.06 * half_um
    axes.plot(ends, [low, low], color="black", lw=1, solid_capstyle="butt", clip_on=False)
    look = {"va": "center", "fontsize": style.SMALL, "annotation_clip": False}
    unit = unit.removesuffix("s") if length_um == 1 else unit
    annotate(axes, f"{length_um:g} {unit}", (ends[1], low), (2, 0), **look)


def annotate(axes: Axes, text: str, place: Sequence[float], offset: Sequence[float], **look: Any) -> None:
    """Write text at a place in data, moved by an offset in points."""
    axes.annotate(text, place, xytext=offset, textcoords="offset points", **look)


def scale_bar_length(half_um: float) -> float:
    """Return a length of one digit, at most a quarter of a picture of +-half_um."""
    quarter = half_um / 2
    step = 10.0 ** np.floor(np.log10(quarter))
    return float(np.floor(quarter / step) * step)


def half_width(table: pd.DataFrame) -> float:
    """Return the half width that holds nearly all points of a table, in micrometres.

    A whole number, or one digit below 1.
    """
    reach = 1.05 * np.quantile(np.abs(table[["x_um", "y_um"]].to_numpy()), 0.995) if len(table) else 0
    if reach <= 0:
        return 1.0
    step = min(1.0, 10.0 ** np.floor(np.log10(reach)))
    return float(np.ceil(reach / step) * step)


def patches(looks: Mapping[str, Mapping[str, str]]) -> list[Patch]:
    """Return a legend entry per model or feature set: its label and colour."""
    return [Patch(color=look["color"], label=look["label"]) for look in looks.values()]


def by_hue(column: str, looks: Mapping[str, Mapping[str, str]], axes: Axes) -> dict[str, Any]:
    """Return arguments of seaborn that colour a column by the looks of its values, without legend."""
    palette = {name: look["color"] for name, look in looks.items()}
    return {"hue": column, "hue_order": list(looks), "palette": palette, "legend": False, "ax": axes}


def draw_legend(part: SubFigure, handles: Sequence[Any], *, top_mm: float | None = None) -> float:
    """Draw a frameless legend at the foot of a part, or `top_mm` below its top; return its height in mm."""
    n_columns, high = _legend_columns(part, handles), height_mm(part)
    loc, y = ("lower center", 1 / high) if top_mm is None else ("upper center", 1 - top_mm / high)
    look = {"handlelength": 1.2, "handletextpad": 0.5, "borderaxespad": 0, "borderpad": 0}
    look |= {"labelspacing": 0.25, "columnspacing": 1.5, "ncols": n_columns}
    part.legend(handles=handles, loc=loc, bbox_to_anchor=(0.5, y), **look)
    return -(-len(handles) // n_columns) * 3.0


def lines(text: str, most_mm: float) -> list[str]:
    """Return a text in lines of at most this width, in the size of all text."""
    shares = text_mm([text], plt.rcParams["font.size"]) / most_mm
    return textwrap.wrap(text, int(len(text) / shares)) if shares > 1 else [text]


def text_mm(texts: Sequence[str], size: float) -> float:
    """Return the width of the widest of some texts, in millimetres at a size in points."""
    font = FontProperties(size=size)
    parts = [line for text in texts for line in text.split("\n")]
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in parts]
    # Hinted letters are a little wider.
    return 1.07 * max(widths) / 72 / style.MM


def _legend_columns(part: SubFigure, handles: Sequence[Any]) -> int:
    """Return how many entries of a legend fit side by side."""
    size = plt.rcParams["legend.fontsize"]
    # 3.3 for the handle, its distance from the text and the next column.
    widths = [text_mm([handle.get_label()], size) + 3.3 * size / 72 / style.MM for handle in handles]
    for n_columns in range(len(handles), 1, -1):
        # Columns are filled downwards, the first ones with an entry more.
        if sum(max(column) for column in np.array_split(widths, n_columns)) <= width_mm(part):
            return n_columns
    return 1


def slant_ticks(axes: Axes, names: Sequence[str]) -> None:
    """Label the x axis at 0, 1, ... with slanted names, half a step of room at both ends."""
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, pad=1.5)
    axes.set(xlabel="", xlim=(-0.6, len(names) - 0.4))
