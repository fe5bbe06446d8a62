"""Retrieval of every treatment against the control from every feature set: 1/q."""

import seaborn as sns
from matplotlib.figure import SubFigure

from morphobench.plot import layout, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require

_COLUMNS = ["model", "seed", "condition", "drug", "kind", "mean_average_precision", "q"]
_ALPHA = 0.05


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the retrieval of conditions by known feature sets, first training each, and the whole table."""
    table = require(inputs, "retrieval", _COLUMNS, "no treatment to retrieve")
    conditions = table[table["kind"] == "condition"]
    if conditions["q"].isna().all():
        raise EmptyPanel("no treatment has a q: too few wells, or not known which")
    known = conditions["model"].isin(context.looks())
    first = conditions["seed"] == conditions.groupby("model")["seed"].transform("min")
    return {"retrieval": conditions[known & first], "retrieval_all": table}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw 1/q as grouped bars on a logarithmic axis, treatments with the smallest mean q first."""
    table = tables["retrieval"].dropna(subset=["q"])
    drugs = list(table.groupby("drug")["q"].mean().sort_values(kind="stable").index)
    looks = {name: look for name, look in context.looks().items() if name in set(table["model"])}
    head = 7 + layout.draw_legend(part, layout.patches(looks), top_mm=5.5)
    axes = part.subplots(gridspec_kw=layout.margins(part, left=13, right=2, head=head, foot=15))
    inverse = table.assign(inverse=1 / table["q"])
    by = {"x": "drug", "order": drugs, **layout.by_hue("model", looks, axes)}
    sns.barplot(inverse, y="inverse", saturation=1, errorbar=None, width=0.82, **by)
    axes.set_yscale("log")
    axes.set(ylim=(1, max(40.0, 1.3 / table["q"].min())), ylabel="1 / q")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.axhline(1 / _ALPHA, color="black", lw=0.7, ls=(0, (4, 2)), zorder=0)
    layout.slant_ticks(axes, drugs)
    place = (len(drugs) - 0.45, 1 / _ALPHA)
    layout.annotate(axes, f"q = {_ALPHA:g}", place, (0, 1.5), ha="right", fontsize=style.SMALL)
