"""Every model, descriptor and control beside each other: a row for each, a column of axes for each score.

The option `columns` names the scores. Marks are means over trainings with their 95 % interval; small dots are
single trainings. What others printed of the same cells are lines, whose source stands in the panel's table.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from morphobench.plot import layout, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require


class Mark(NamedTuple):
    """How a score is drawn: its name in the legend, sign, filled or not, whether for models alone."""

    label: str
    sign: str
    filled: bool = True
    models_alone: bool = False


class Column(NamedTuple):
    """Title of a column, its metric ({label}: the first label), and marks by the ending of its name."""

    title: str
    metric: str
    marks: Mapping[str, Mark]


_UPRIGHT = Mark("upright", "o")
_CLASSIFIED = {
    "": _UPRIGHT,
    "_rotated": Mark("rotated at random", "o", filled=False),
    "_sized": Mark("upright, with the cell's volume", "D", models_alone=True),
}
_FLOORS = {
    "": _UPRIGHT,
    "_noise_floor": Mark("floor of the grid", "|"),
    "_other_cell": Mark("another cell", "x"),
    "_mean_shape": Mark("mean shape", "+"),
}
COLUMNS = {
    "balanced_accuracy": Column("Balanced accuracy", "classification_{label}_balanced_accuracy", _CLASSIFIED),
    "auroc": Column("Area under the ROC curve", "classification_{label}_auroc", _CLASSIFIED),
    "reconstruction": Column("Reconstruction error", "reconstruction", _FLOORS),
    "evolution_energy": Column("Evolution energy", "evolution_energy", {"": _UPRIGHT}),
}
_FIELDS = ["model", "seed", "metric", "variant", "unit", "better", "value", "ci_low", "ci_high"]
_DASHES = ("--", ":", "-.", (0, (5, 1)))
# Of the names of methods on the left.
_NAMES_MM = 44


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the scores of the columns, and what others printed of them."""
    scores, looks = require(inputs, "scores", _FIELDS, "no scores of these models"), _looks(context)
    known = scores[(scores["variant"] == "corrected") & (scores["seed"] >= 0) & scores["model"].isin(looks)]
    parts, printed = [], []
    for name in context.options["columns"]:
        metric = COLUMNS[name].metric.format(label=context.labels[0])
        for ending, mark in COLUMNS[name].marks.items():
            own = known[known["metric"] == metric + ending].dropna(subset="value")
            own = own[own["model"].isin(context.models)] if mark.models_alone else own
            parts.append(own[_FIELDS].assign(column=name, ending=ending))
        printed += [{"column": name, **row} for row in context.published if row["metric"] == metric]
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        raise EmptyPanel("no scores of these models")
    fields = ["column", "metric", "method", "value", "source"]
    return {"scores": table, "published": pd.DataFrame(printed, columns=fields)}


def _looks(context: Context) -> dict[str, Mapping[str, str]]:
    return {**context.models, **context.baselines, **context.controls}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw a row per method that has a value, models first, and a legend at the foot."""
    scores = tables["scores"].assign(ending=tables["scores"]["ending"].fillna(""))
    looks = {name: look for name, look in _looks(context).items() if name in set(scores["model"])}
    columns = [name for name in context.options["columns"] if name in set(scores["column"])]
    printed = tables["published"]
    lines = dict(zip(dict.fromkeys(printed["method"]), _DASHES * 3, strict=False))
    foot = 2 + layout.draw_legend(part, _handles(scores, printed, lines))
    margins = layout.margins(part, left=_NAMES_MM, right=3, head=9.5, foot=foot + 6)
    spacing = {**margins, "wspace": 0.12}
    grid = part.subplots(1, len(columns), squeeze=False, sharey=True, gridspec_kw=spacing)
    for axes, name in zip(grid.flat, columns, strict=True):
        _draw_column(axes, scores[scores["column"] == name], COLUMNS[name], looks)
        for row in printed[printed["column"] == name].itertuples():
            axes.axvline(row.value, color="0.35", ls=lines[row.method], lw=0.8, zorder=1)
    first = grid.flat[0]
    first.set_yticks(range(len(looks)), [look["label"] for look in looks.values()], fontsize=style.SMALL)
    first.set_ylim(len(looks) - 0.4, -0.6)
    n_models = sum(name in looks for name in context.models)
    for axes in grid.flat:
        axes.axhline(n_models - 0.5, color="0.8", lw=0.5)


def _handles(scores: pd.DataFrame, printed: pd.DataFrame, lines: Mapping[str, Any]) -> list[Line2D]:
    used = {
        COLUMNS[column].marks[ending]: None
        for column, ending in scores[["column", "ending"]].drop_duplicates().itertuples(index=False)
    }
    handles = [Line2D([], [], ls="", color="0.2", label=mark.label, **_sign(mark, "0.2")) for mark in used]
    handles.append(style.training_handle(scores.groupby("model")["seed"].nunique().max() > 1))
    sources = printed.drop_duplicates("method").set_index("method")["source"]
    for method, dash in lines.items():
        label = f"{method} ({sources[method].split(' (')[0]})"
        handles.append(Line2D([], [], color="0.35", ls=dash, lw=0.8, label=label))
    return handles


def _sign(mark: Mark, color: str) -> dict[str, Any]:
    """Return the look of a mark in a colour."""
    face = color if mark.filled else "white"
    return {"marker": mark.sign, "ms": 3.2, "mec": color, "mfc": face, "mew": 0.8}


def _draw_column(
    axes: Axes, table: pd.DataFrame, column: Column, looks: Mapping[str, Mapping[str, str]]
) -> None:
    """Draw the scores of one column (ending, model, seed, value, ci_low, ci_high)."""
    endings = [ending for ending in column.marks if ending in set(table["ending"])]
    for number, ending in enumerate(endings):
        mark, own = column.marks[ending], table[table["ending"] == ending]
        for place, (model, look) in enumerate(looks.items()):
            shift = 0.24 * (number - (len(endings) - 1) / 2)
            _draw_mark(axes, own[own["model"] == model], place + shift, mark, look["color"])
    first = table.iloc[0]
    axes.set_title(_directed(column.title, first["better"]), pad=2, loc="left", fontsize=6)
    unit = first["unit"] if isinstance(first["unit"], str) else ""
    axes.set_xlabel(unit.replace("um", "µm"), labelpad=0.5, fontsize=style.SMALL, color="0.3")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", lw=0.3, color="0.92")
    axes.set_axisbelow(True)


def _directed(title: str, better: str) -> str:
    """Return a title with an arrow in the direction of better values."""
    return title + {"high": " \u2191", "low": " \u2193"}.get(better, "")


def _draw_mark(axes: Axes, rows: pd.DataFrame, place: float, mark: Mark, color: str) -> None:
    if rows.empty:
        return
    value, low, high = (float(rows[name].mean()) for name in ("value", "ci_low", "ci_high"))
    if np.isfinite(low) and mark.sign in "oD":
        axes.plot([low, high], [place, place], color=color, lw=0.7, zorder=2)
    if len(rows) > 1 and mark.sign in "oD":
        axes.plot(rows["value"], [place] * len(rows), ls="", zorder=4, **style.TRAINING)
    axes.plot([value], [place], ls="", zorder=3, **_sign(mark, color))
