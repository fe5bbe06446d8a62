"""Mean weight of each archetype in each stratum, and the test of one archetype per stratum."""

import numpy as np
import seaborn as sns
from matplotlib.figure import SubFigure
from matplotlib.patches import Rectangle

from morphobench.plot import layout, style
from morphobench.plot.context import Context, Inputs, Tables, require


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the mean weight of each archetype in each stratum, and the q of its test."""
    table = require(inputs, "stratum_by_archetype", ["stratum", "archetype", "mean_weight", "q"])
    return {"stratum_by_archetype": context.sort_strata(table)}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a heat map, the q of each stratum to the right, a frame around the archetype assigned to it."""
    table = tables["stratum_by_archetype"]
    strata = list(dict.fromkeys(table["stratum"]))
    weights = table.pivot_table(index="stratum", columns="archetype", values="mean_weight").loc[strata]
    # The scale ends on a tick.
    top = max(np.ceil(10 * weights.max(axis=None)), 1) / 10
    axes = part.subplots(gridspec_kw=layout.margins(part, left=19, right=21, head=9.5, foot=7))
    wide = layout.width_mm(part)
    bar = part.add_axes((1 - 8 / wide, 0.2, 1.5 / wide, 0.45))
    numbers, names = [f"{number + 1:g}" for number in weights.columns], [*map(context.name, strata)]
    look = {"cmap": "Blues", "vmin": 0, "vmax": top, "rasterized": False, "ax": axes}
    look |= {"cbar_ax": bar, "cbar_kws": {"ticks": [0, top]}}
    sns.heatmap(weights, xticklabels=numbers, yticklabels=names, **look)
    axes.tick_params(length=0, rotation=0)
    if layout.height_mm(part) - 16.5 < 2.6 * len(strata):
        axes.tick_params(axis="y", labelsize=style.SMALL)
    axes.set_ylabel("")
    axes.set_xlabel("archetype", labelpad=1)
    bar.set_title("mean\nweight", fontsize=style.SMALL, pad=4)
    bar.tick_params(labelsize=style.SMALL, pad=1, width=0.5, length=2)
    q = table.drop_duplicates("stratum").set_index("stratum")["q"]
    right = weights.shape[1] + 0.2
    layout.annotate(axes, "q", (right, 0), (0, 3), style="italic", annotation_clip=False)
    for row, stratum in enumerate(strata):
        axes.text(right, row + 0.5, q_text(q[stratum]), va="center", fontsize=style.SMALL)
    if "assigned" in table:
        for row in table[table["assigned"].astype(bool)].itertuples():
            corner = weights.columns.get_loc(row.archetype), strata.index(row.stratum)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", lw=0.8, clip_on=False))


def q_text(q: float) -> str:
    """Format a q value in few digits: 0.034, <0.001, or a dash for none."""
    if np.isnan(q):
        return "\u2013"
    return "<0.001" if q < 0.001 else f"{q:.2g}" if q >= 0.1 else f"{q:.3f}"
