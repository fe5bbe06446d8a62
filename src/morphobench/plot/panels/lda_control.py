"""How well a discriminant tells held-out cells of each treatment from the control, and the control from itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import ink, style
from morphobench.plot.context import Context, need

_COLUMNS = ["condition", "cv_auroc", "q", "null_low", "null_high", "halves_low", "halves_high"]
_FOUND, _OTHER = "#D55E00", "#56B4E9"
_ALPHA = 0.05


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the tests of all conditions, best told apart first."""
    tests = need(inputs, "lda_tests", _COLUMNS, "no treatment was tested")
    return {"lda_tests": tests.sort_values("cv_auroc", ascending=False, kind="stable")}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw a dot per treatment over its permutation null, and the band of random halves of the control."""
    table = tables["lda_tests"]
    axes = part.subplots(gridspec_kw=ink.margins(part, left=9, right=32, head=6.5, foot=14))
    places = np.arange(len(table))
    halves = table[["halves_low", "halves_high"]].mean()
    axes.axhspan(*halves, color="0.9", lw=0, zorder=0, label="control against itself,\nrandom halves, 95 %")
    axes.vlines(places, table["null_low"], table["null_high"], color="0.6", lw=3, label="labels permuted, 95 %")
    found = (table["q"] < _ALPHA).to_numpy()
    for chosen, color, label in ((found, _FOUND, f"q < {_ALPHA:g}"), (~found, _OTHER, f"q ≥ {_ALPHA:g}")):
        axes.plot(places[chosen], table["cv_auroc"][chosen], "o", ms=3.5, mew=0, color=color, label=label)
    names = [context.name(one) for one in table["condition"]]
    axes.set_xticks(places, names, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, pad=1.5)
    axes.set(ylabel="AUROC, cross-validated", xlim=(-0.6, len(table) - 0.4))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False, fontsize=style.SMALL)
