"""Cross-validated AUROC of every treatment against the control, beside that of halves of the control."""

import numpy as np
import seaborn as sns
from matplotlib.figure import SubFigure

from morphobench.plot import layout, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require

_COLUMNS = ["condition", "drug", "cv_auroc", "q", "half_auroc_mean", "half_auroc_high"]
_ALPHA = 0.05
_COLORS = {f"q < {_ALPHA:g}": style.TREATED, f"q \u2265 {_ALPHA:g}": "#56B4E9"}


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the tests of all conditions, largest AUROC first."""
    tests = require(inputs, "lda_tests", _COLUMNS, "no treatment was tested")
    known = tests.dropna(subset=["cv_auroc"])
    if known.empty:
        raise EmptyPanel("no treatment has cells enough for a discriminant")
    return {"lda_tests": known.sort_values("cv_auroc", ascending=False, kind="stable")}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a dot per treatment over the range of random halves of the control."""
    table = tables["lda_tests"]
    axes = part.subplots(gridspec_kw=layout.margins(part, left=13, right=32, head=6.5, foot=15))
    low, high = table[["half_auroc_mean", "half_auroc_high"]].mean()
    if np.isfinite([low, high]).all():
        label = "halves of the control,\nmean to 95 % quantile"
        axes.axhspan(low, high, color="0.88", lw=0, zorder=0, label=label)
    q = np.where(table["q"] < _ALPHA, *_COLORS)
    look = {"hue_order": list(_COLORS), "palette": _COLORS, "s": 12, "linewidth": 0, "ax": axes}
    sns.scatterplot(x=np.arange(len(table)), y=table["cv_auroc"], hue=q, **look)
    axes.set_ylabel("AUROC")
    layout.slant_ticks(axes, table["drug"])
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), fontsize=style.SMALL)
