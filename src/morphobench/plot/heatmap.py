"""Tables of numbers in coloured fields, a row for each model and a column for each question."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import SubFigure

from morphobench.plot import layout, style

# Rising lightness that colour-blind readers see as well; shades from 0 to 1.
COLORMAP = "cividis"
EMPTY = "#eeeeee"
# Fields of this shade and above are light: black on them, white on others.
_LIGHT = 0.45
# Below, a number is zero to the rounding of sums in 32 bit.
_ZERO = 1e-6


def color(shade: float) -> str:
    """Return the colour of a shade from 0 to 1 as hex; grey for none."""
    return to_hex(mpl.colormaps[COLORMAP](np.clip(shade, 0, 1))) if np.isfinite(shade) else EMPTY


def text_color(shade: float) -> str:
    """Return the colour in which a text on a shade is legible."""
    return "black" if not np.isfinite(shade) or shade > _LIGHT else "white"


def number(value: float) -> str:
    """Return a number in at most five letters; 0 to the rounding of 32-bit sums, a dash for none.

    Examples
    --------
    >>> number(0.0312), number(-1.25), number(0.0004), number(2e-7), number(float("nan"))
    ('0.03', '−1.25', '4e-4', '0', '–')
    """
    if not np.isfinite(value):
        return "–"
    if abs(value) < _ZERO:
        return "0"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    text = f"{value:.{digits}f}"
    return f"{value:.0e}".replace("e-0", "e-") if float(text) == 0 else text.replace("-", "−", 1)


def draw(
    part: SubFigure,
    texts: pd.DataFrame,
    shades: pd.DataFrame,
    looks: Mapping[str, Mapping[str, str]],
    titles: Sequence[str],
    *,
    label_mm: float = 44,
    head_mm: float = 22,
) -> None:
    """Draw texts on fields of `shades`, 0 to 1 or NaN for none; rows are models, columns have `titles`."""
    axes = part.subplots(gridspec_kw=layout.margins(part, left=label_mm, right=12, head=head_mm, foot=2))
    n_rows, n_columns = texts.shape
    for row, name in enumerate(texts.index):
        for column in range(n_columns):
            shade = float(shades.iloc[row, column])
            axes.add_patch(mpl.patches.Rectangle((column, row), 1, 1, fc=color(shade), ec="white", lw=0.6))
            look = {"ha": "center", "va": "center", "fontsize": style.SMALL, "color": text_color(shade)}
            axes.text(column + 0.5, row + 0.5, texts.iloc[row, column], **look)
        _draw_row_label(axes, row, looks[name])
    axes.set(xlim=(0, n_columns), ylim=(n_rows, 0))
    axes.xaxis.tick_top()
    look = {"rotation": 35, "ha": "left", "rotation_mode": "anchor", "fontsize": style.SMALL}
    axes.set_xticks(np.arange(n_columns) + 0.5, titles, **look)
    axes.set_yticks([])
    axes.tick_params(length=0, pad=1.5)
    axes.spines[:].set_visible(False)


def _draw_row_label(axes: Axes, row: int, look: Mapping[str, str]) -> None:
    """Write a model's label at the left of its row, beside a spot of its colour."""
    kept = {"annotation_clip": False, "va": "center", "fontsize": style.SMALL}
    axes.annotate(look["label"], (0, row + 0.5), (-9, 0), textcoords="offset points", ha="right", **kept)
    spot = {"marker": "s", "ms": 3, "color": look["color"], "clip_on": False, "ls": ""}
    offset = mpl.transforms.ScaledTranslation(-4 / 72, 0, axes.figure.dpi_scale_trans)
    axes.plot([0], [row + 0.5], transform=axes.transData + offset, **spot)
