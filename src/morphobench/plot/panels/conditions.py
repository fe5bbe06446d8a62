"""One cell of each treatment, with the number of cells that had it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import gallery, layout
from morphobench.plot.context import Context, need
from morphobench.plot.panels import examples


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return an example of each condition, and how many cells of it were embedded."""
    cells = need(inputs, "pca_scores", ["CellId", "stratum"])
    counts = cells.groupby("stratum", sort=False)["CellId"].nunique().rename("n").reset_index()
    return {**examples.tables(inputs, context), "counts": context.ordered(counts)}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw them in `n_rows` rows."""
    shapes = gallery.from_tables(tables, "examples", ["stratum"], context)
    counts = tables["counts"].set_index("stratum")["n"]
    titles = [f"{context.name(one)}\nn = {counts.get(one, 0):g}" for one in shapes.labels["stratum"]]
    margins, n_rows = layout.margins(part, head=11), context.options.get("n_rows", 2)
    gallery.wrap(part, margins, shapes.named(title=titles), "title", n_rows=n_rows)
