"""Cross-validated AUROC of every treatment against the control, beside that of like sets of controls."""

import numpy as np
import seaborn as sns
from matplotlib.figure import SubFigure

from morphobench.plot import layout, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require

_COLUMNS = ["condition", "drug", "cv_auroc", "q", "control_auroc_mean", "control_auroc_high"]
_ALPHA = 0.05
_FOUND, _NOT_FOUND, _NO_Q = f"q < {_ALPHA:g}", f"q \u2265 {_ALPHA:g}", "no q"
_COLORS = {_FOUND: style.TREATED, _NOT_FOUND: "#56B4E9", _NO_Q: "0.5"}


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the tests of all conditions, largest AUROC first."""
    tests = require(inputs, "lda_tests", _COLUMNS, "no treatment was tested")
    known = tests.dropna(subset=["cv_auroc"])
    if known.empty:
        raise EmptyPanel("no treatment has wells enough for a discriminant")
    return {"lda_tests": known.sort_values("cv_auroc", ascending=False, kind="stable")}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a dot per treatment over the range of sets of controls of its own size and structure."""
    table = tables["lda_tests"]
    axes = part.subplots(gridspec_kw=layout.margins(part, left=13, right=32, head=6.5, foot=15))
    low, high = (table[f"control_auroc_{end}"] for end in ("mean", "high"))
    if np.isfinite(high).any():
        label = "controls in like sets,\nmean to 95 % quantile"
        axes.bar(
            range(len(table)), high - low, bottom=low, width=1, color="0.88", lw=0, zorder=0, label=label
        )
    q = np.where(table["q"].isna(), _NO_Q, np.where(table["q"] < _ALPHA, _FOUND, _NOT_FOUND))
    shown = [name for name in _COLORS if name != _NO_Q or name in q]
    look = {"hue_order": shown, "palette": _COLORS, "s": 12, "linewidth": 0, "ax": axes}
    sns.scatterplot(x=np.arange(len(table)), y=table["cv_auroc"], hue=q, **look)
    axes.set_ylabel("AUROC")
    layout.slant_ticks(axes, table["drug"])
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), fontsize=style.SMALL)
