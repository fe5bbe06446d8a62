"""How well a discriminant tells held-out cells of each treatment from the control, and halves of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import layout, style
from morphobench.plot.context import Context, Missing, need

_COLUMNS = ["condition", "drug", "cv_auroc", "q", "half_auroc_mean", "half_auroc_high"]
_OTHER = "#56B4E9"
_ALPHA = 0.05


def tables(inputs: Mapping[str, Any], context: Context) -> dict[str, pd.DataFrame]:
    """Return the tests of all conditions, best told apart first."""
    tests = need(inputs, "lda_tests", _COLUMNS, "no treatment was tested")
    known = tests.dropna(subset=["cv_auroc"])
    if known.empty:
        raise Missing("no treatment has cells enough for a discriminant")
    return {"lda_tests": known.sort_values("cv_auroc", ascending=False, kind="stable")}


def draw(part: SubFigure, tables: Mapping[str, pd.DataFrame], context: Context) -> None:
    """Draw a dot per treatment, over what random halves of the control reach against each other."""
    table = tables["lda_tests"]
    axes = part.subplots(gridspec_kw=layout.margins(part, left=13, right=32, head=6.5, foot=15))
    places = np.arange(len(table))
    low, high = table[["half_auroc_mean", "half_auroc_high"]].mean()
    if np.isfinite([low, high]).all():
        label = "halves of the control,\nmean to 95 % quantile"
        axes.axhspan(low, high, color="0.88", lw=0, zorder=0, label=label)
    found = (table["q"] < _ALPHA).to_numpy()
    for chosen, color, label in (
        (found, style.TREATED, f"q < {_ALPHA:g}"),
        (~found, _OTHER, f"q \u2265 {_ALPHA:g}"),
    ):
        axes.plot(places[chosen], table["cv_auroc"][chosen], "o", ms=3.5, mew=0, color=color, label=label)
    axes.set_xticks(places, table["drug"], rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, pad=1.5)
    axes.set(ylabel="AUROC", xlim=(-0.6, len(table) - 0.4))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False, fontsize=style.SMALL)
