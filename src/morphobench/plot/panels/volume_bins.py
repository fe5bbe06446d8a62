"""The mean shape of cells whose nuclei are of about one volume, bin after bin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import gallery, layout
from morphobench.plot.clouds import central_slab, centred_clouds
from morphobench.plot.context import Context, need

_BIN = ["bin", "lo_um3", "hi_um3", "n"]


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the bins, and their shapes: the real cells nearest to the mean, or clouds decoded from it."""
    bins = need(inputs, "volume_bins", _BIN, "no volume bins")
    if "surfaces" in inputs:
        found = gallery.mesh_tables(inputs, "volume_bin", "shapes")
    else:
        shapes = need(inputs, "volume_bin_shapes", ["bin", *gallery.COORDINATES], "no shapes to show")
        shapes = centred_clouds(shapes, ["bin"])
        found = {"shapes": central_slab(shapes, ["bin"], context.options.get("slab"))}
    return {"volume_bins": bins, **found}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw them in one row, the limits and the number of cells above each."""
    shapes = gallery.from_tables(tables, "shapes", ["bin"], context)
    bins = tables["volume_bins"].set_index("bin").loc[shapes.labels["bin"]]
    titles = [f"{row.lo_um3:.0f}\u2013{row.hi_um3:.0f} µm³\nn = {row.n:.0f}" for row in bins.itertuples()]
    margins = layout.margins(part, head=11)
    gallery.wrap(part, margins, shapes.named(title=titles), "title", n_rows=context.options.get("n_rows", 1))
