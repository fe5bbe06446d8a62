"""Models x metrics: every value, on a field whose shade is its place between the controls."""

from collections.abc import Sequence

from matplotlib.figure import SubFigure

from morphobench.plot import heatmap, layout
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require
from morphobench.plot.pages import matrix
from morphobench.plot.titles import corrected

_COLUMNS = ["model", "seed", "metric", "variant", "better", "value", "ci_low", "ci_high", "scaled"]
# Of each label, and of all cells: metric -> title, in drawing order.
_OF_LABEL = {
    "classification_{}_balanced_accuracy": "{}: balanced accuracy",
    "classification_{}_auroc": "{}: AUROC",
    "classification_{}_auroc_rotated": "{}: AUROC, rotated cells",
}
_OF_CELLS = {
    "outlier_auroc": "Outliers: AUROC",
    "regression_r2": "Regression: r²",
    "reconstruction": "Reconstruction error",
    "evolution_energy": "Evolution energy",
    "rotation_distance_uniform": "Rotated, any angle",
    "rotation_distance_lattice": "Rotated, quarter turns",
    "rotation_rank_uniform": "Rotated: nearer cells",
    "invariance_order": "Points reordered",
    "invariance_sampling": "Sampled again",
    "invariance_resolution": "Half the resolution",
}
_ARROWS = {"high": " ↑", "low": " ↓", "none": ""}


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return value and scaled value, trainings averaged, of each model, baseline and control by metric."""
    scores = require(inputs, "scores", _COLUMNS, "no scores of these models")
    titles = metric_titles(context.labels)
    looks = {**context.models, **context.baselines, **context.controls}
    chosen = corrected(scores, list(looks), titles)
    columns = ["value", "ci_low", "ci_high", "scaled"]
    means = chosen.groupby(["model", "metric", "better"], sort=False)[columns].mean().reset_index()
    counts = chosen.groupby(["model", "metric"])["seed"].nunique().rename("n_trainings")
    table = means.join(counts, on=["model", "metric"]).dropna(subset=["value"])
    table = layout.sort_by(layout.sort_by(table, "metric", list(titles)), "model", list(looks))
    if table.empty:
        raise EmptyPanel("no scores of these models")
    title = table["metric"].map(titles) + table["better"].map(_ARROWS)
    return {"models_by_metrics": table.assign(title=title)}


def metric_titles(labels: Sequence[str]) -> dict[str, str]:
    """Return metric -> title for a data set with these labels, in drawing order."""
    names = {label: layout.readable(label).removesuffix(" label").capitalize() for label in labels}
    own = {
        metric.format(label): title.format(names[label])
        for label in labels
        for metric, title in _OF_LABEL.items()
    }
    return {**own, **_OF_CELLS}


def pages(tables: Tables, context: Context, title: str) -> dict[str, str]:
    """Return the same as a page that sorts by any column."""
    return {"models_by_metrics": matrix.page(tables["models_by_metrics"], context.looks(), title)}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a field for each model and metric: dark where a value is that of chance, light of the answers."""
    table = tables["models_by_metrics"]
    titles = layout.sort_by(table, "metric", list(metric_titles(context.labels)))["title"].unique()
    wide = table.set_index(["model", "title"])
    values, shades = (
        wide[name].astype(float).unstack().reindex(table["model"].unique(), columns=titles)
        for name in ("value", "scaled")
    )
    heatmap.draw(part, values.map(heatmap.number), shades, context.looks(), titles)
