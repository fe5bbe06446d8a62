"""Accuracy of the number of pieces from embeddings and from shape features, by nuclear volume."""

import seaborn as sns
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from morphobench.plot import layout
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require

_COLUMNS = ["features", "bin", "variant", "metric", "cv", "value"]
_METRIC = "top_1"
_OTHER = "#0072B2"


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return accuracies in every volume bin, of the model of the analyses and of shape features."""
    table = require(inputs, "pieces", _COLUMNS, "no volume bin with enough cells")
    bins = require(inputs, "volume_bins", ["bin", "lo_um3", "hi_um3"], "no volume bins")
    # Features of models are called model/seed.
    features = table["features"].str.split("/").str[0]
    chosen = features.isin([context.analysis_model, "shape"]) & (table["metric"] == _METRIC)
    chosen_rows = table[chosen].assign(features=features)
    if chosen_rows["value"].isna().all():
        raise EmptyPanel("no volume bin with enough cells of several kinds")
    return {"pieces": chosen_rows.merge(bins[["bin", "lo_um3", "hi_um3"]], on="bin", how="left")}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a box of the folds and a diamond for the test cells, for each feature set in each bin."""
    table = tables["pieces"]
    known = table.dropna(subset=["value"])
    # The model of the analyses need not be one of the figure's.
    looks = {
        name: context.looks().get(name, {"label": layout.readable(name), "color": _OTHER})
        for name in dict.fromkeys(known["features"])
    }
    diamond = Line2D([], [], ls="", marker="D", ms=4, mfc="white", mec="black", mew=0.7, label="test cells")
    head = 7 + layout.draw_legend(part, [*layout.patches(looks), diamond], top_mm=5.5)
    axes = part.subplots(gridspec_kw=layout.margins(part, left=11, right=2, head=head, foot=8.5))
    bins = table.drop_duplicates("bin").sort_values("bin")
    by = {"x": "bin", "order": list(bins["bin"]), "y": "value", **layout.by_hue("features", looks, axes)}
    folds, test = (known[known["variant"] == variant] for variant in ("legacy", "corrected"))
    box = {"showfliers": False, "linewidth": 0.6, "linecolor": "black"}
    sns.boxplot(folds, saturation=1, **box, **by)
    dots = {"size": 1.2, "alpha": 0.7, "palette": dict.fromkeys(looks, "black")}
    sns.stripplot(folds, dodge=True, jitter=0.15, **{**by, **dots})
    test = test.groupby(["features", "bin"])["value"].mean().reset_index()
    diamonds = {"marker": "D", "size": 4, "edgecolor": "black", "linewidth": 0.7, "zorder": 4}
    sns.stripplot(test, dodge=True, jitter=False, **diamonds, **by)
    volumes = [f"{row.lo_um3:.0f}\u2013{row.hi_um3:.0f}" for row in bins.itertuples()]
    axes.set_xticks(range(len(bins)), volumes)
    axes.set_ylabel("accuracy")
    axes.set_xlabel("nuclear volume, µm³", labelpad=1)
