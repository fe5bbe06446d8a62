"""Columns of cells as colours: few values are categories, many numbers a scale."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from morphobench.files.values import text
from morphobench.plot import layout, style
from morphobench.plot.context import Context, EmptyPanel

OTHER, UNKNOWN = "other", "unknown"
# The more frequent values have a colour of their own, up to so many.
_MAX_CATEGORIES = len(style.CATEGORIES)
_GREY = "0.75"


def values_of(cells: pd.DataFrame, ids: pd.Series, columns: Sequence[str]) -> pd.DataFrame:
    """Return CellId, column, name and number of each cell and column: number of scales, name of categories.

    A column is a scale when all that it holds are numbers, more of them than categories have colours.

    Raises
    ------
    EmptyPanel
        For a column that the cells do not have.
    """
    if lacking := [name for name in columns if name not in cells]:
        raise EmptyPanel(f"the cells have no column {', '.join(lacking)}")
    known = cells.drop_duplicates("CellId").set_index("CellId").reindex(ids)
    return pd.concat([_values(known[name], name) for name in columns], ignore_index=True)


def _values(values: pd.Series, column: str) -> pd.DataFrame:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    is_scale = numbers.notna().sum() == values.notna().sum() and numbers.nunique() > _MAX_CATEGORIES
    table = pd.DataFrame({"CellId": values.index, "column": column})
    if is_scale:
        return table.assign(name=None, number=numbers.to_numpy())
    names = text(values)
    frequent = names.value_counts().index[:_MAX_CATEGORIES]
    names = names.where(names.isin(frequent) | names.isna(), OTHER).fillna(UNKNOWN)
    return table.assign(name=names.to_numpy(), number=np.nan)


def draw(axes: Axes, xy: np.ndarray, values: pd.DataFrame, context: Context, *, size: float) -> None:
    """Draw a dot per cell at `xy` (n, 2), in a random order, with a legend or a scale on the right."""
    column = values["column"].iloc[0]
    axes.set_title(layout.readable(column), loc="left", pad=2, fontsize=6)
    order = np.random.default_rng(0).permutation(len(values))
    xy, values = xy[order], values.iloc[order]
    look = {"s": size, "linewidths": 0, "alpha": 0.75, "rasterized": len(xy) > style.MAX_VECTOR}
    if values["name"].isna().all():
        dots = axes.scatter(*xy.T, c=values["number"], cmap="viridis", plotnonfinite=True, **look)
        bar = axes.figure.colorbar(dots, cax=axes.inset_axes((1.03, 0.1, 0.05, 0.8)))
        bar.ax.tick_params(labelsize=style.SMALL, length=1.5, pad=1)
        bar.outline.set_linewidth(0.4)
        return
    names = _ordered(values["name"], context)
    colors = context.colors([name for name in names if name not in (OTHER, UNKNOWN)])
    for name in names:
        own = (values["name"] == name).to_numpy()
        color = _GREY if name in (OTHER, UNKNOWN) else colors[name]
        axes.scatter(*xy[own].T, color=color, label=context.name(name), **look)
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.03), "borderaxespad": 0.2}
    dots = {"handletextpad": 0.1, "labelspacing": 0.3, "fontsize": style.SMALL, "markerscale": 1.3}
    legend = axes.legend(frameon=False, **place, **dots)
    for handle in legend.legend_handles:
        handle.set_alpha(1)


def _ordered(names: pd.Series, context: Context) -> list[str]:
    """Return the names in drawing order: those of strata, others by their name, the grey ones last."""
    place = {name: number for number, name in enumerate(context.strata)}
    grey = {OTHER: 1, UNKNOWN: 2}
    return sorted(names.unique(), key=lambda name: (grey.get(name, 0), place.get(name, len(place)), name))
