"""Scores: the models relative to each other on a polar axis, and every metric as measured."""

import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import EngFormatter, ScalarFormatter

from morphobench.plot import layout, learnt, style
from morphobench.plot.context import Context, Inputs, Models, Tables, require
from morphobench.plot.pages import scores as score_page
from morphobench.plot.titles import corrected, directed_title, headline, metric_titles, relative

_COLUMNS = ["model", "seed", "metric", "variant", "unit", "better", "value", "ci_low", "ci_high", "reason"]
_MAX_DOTS = 200
# Models that are so many half widths of an interval behind the best lie in the middle of the polar plot.
_REACH = 5
_DASHES = ("-", (0, (3, 1.2)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (6, 2)))
_N_COLUMNS = 3
# Narrower panels have no polar plot, and a column less.
_NARROW_MM = 120
# Metric -> what its bars are read against: the metric of it, its name and its line.
_SAMPLED, _GRID = ("sampled again", ":"), ("resampling alone", (0, (1, 0.6)))
_READ_AGAINST = {
    "reconstruction": {
        "reconstruction_sampling_distance": _SAMPLED,
        "reconstruction_noise_floor": _GRID,
        "reconstruction_other_cell": ("another cell", "--"),
        "reconstruction_mean_shape": ("mean shape", "-"),
    },
    "rotation_invariance_error_uniform": {"rotation_invariance_error_uniform_floor": _GRID},
}
# Axes of scores of which more is better begin no lower.
_WORST = -1.0
# Of models that have not learnt.
_NOT_LEARNT = {"marker": "X", "ms": 3.5, "mfc": style.WARNING, "mec": "white", "mew": 0.4}
# Height of title, ticks and unit of a chart.
_AROUND_MM = 8.6
# Letters of two lines, which fit a chart.
_MOST_REASON = 58


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the headline scores, the values behind them, models beside the best, and all scores."""
    scores = require(inputs, "scores", _COLUMNS, "no scores of these models")
    titles = metric_titles(context.labels, context.options.get("top", {}))
    chosen = headline(scores, list(context.models), titles)
    return {
        "scores": chosen,
        "scores_all": scores,
        "items": corrected(inputs["item_values"], list(context.models), titles),
        "polar": relative(chosen[~chosen["model"].isin(context.own)]),
        "baselines": headline(scores, list(context.baselines), titles),
    }


def pages(tables: Tables, context: Context, title: str) -> dict[str, str]:
    """Return the whole score table as a page that sorts by any column."""
    return {"scores": score_page.page(tables["scores_all"], context.looks(), title)}


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw the polar plot on the left, where there is room, and a small bar chart per metric on the right."""
    scores, baselines = tables["scores"], tables["baselines"]
    if scores.empty:
        layout.write_reason(part.subplots(), "no scores of these models")
        return
    models, high = context.models, layout.height_mm(part)
    scored = {name: look for name, look in context.baselines.items() if name in set(baselines["model"])}
    is_narrow = layout.width_mm(part) < _NARROW_MM
    left, right = (None, part) if is_narrow else part.subfigures(1, 2, width_ratios=[1, 1.7])
    lines = [
        Line2D([], [], color=look["color"], ls=dash, lw=1, label=look["label"])
        for look, dash in zip(scored.values(), _DASHES * 3, strict=False)
    ]
    lines += [
        Line2D([], [], color="black", ls=dash, lw=0.8, label=label)
        for label, dash in _labels_of(tables["scores_all"])
    ]
    if learnt.not_learnt(tables["scores_all"], "reconstruction", list(models)):
        lines.append(Line2D([], [], ls="", label=learnt.NOT_LEARNT, **_NOT_LEARNT))
    several = scores["seed"].nunique() > 1
    lines.append(style.training_handle(several))
    foot = 1 + layout.draw_legend(part, [*layout.patches(models), *lines])
    if left:
        _draw_polar_part(left, tables["polar"], models, foot)
    metrics = list(dict.fromkeys(scores["metric"]))
    margins = {
        "left": 0.03 if is_narrow else 0.02,
        "right": 0.97,
        "top": 1 - 8.4 / high,
        "bottom": (foot + 6) / high,
    }
    n_columns = _N_COLUMNS - is_narrow
    n_rows = -(-len(metrics) // n_columns)
    each = (high - foot - 14.4 + _AROUND_MM) / n_rows - _AROUND_MM
    spacing = {"hspace": _AROUND_MM / max(each, 1), "wspace": 0.15}
    grid = right.subplots(n_rows, n_columns, squeeze=False, gridspec_kw={**spacing, **margins})
    for axes in grid.flat[len(metrics) :]:
        axes.set_axis_off()
    for axes, metric in zip(grid.flat, metrics, strict=False):
        own = [table[table["metric"] == metric] for table in (scores, tables["items"], baselines)]
        draw_bars(axes, *own[:2], models)
        if several:
            draw_trainings(axes, own[0], models)
        draw_references(axes, own[2], scored)
        draw_read_against(axes, tables["scores_all"], metric, models)
        draw_not_learnt(axes, tables["scores_all"], metric, models)


def _draw_polar_part(part: SubFigure, table: pd.DataFrame, models: Models, foot: float) -> None:
    wide, high = layout.width_mm(part), layout.height_mm(part)
    # Labels of two lines stand around the circle, a note below it.
    room = high - foot - 5.5
    side = min(0.46 * wide, room - 22)
    bounds = ((1 - side / wide) / 2, (foot + 4 + (room - 4 - side) / 2) / high, side / wide, side / high)
    if table["title"].nunique() < 3:
        layout.write_reason(part.add_axes(bounds), "fewer than three models or metrics to compare")
        return
    draw_polar(part.add_axes(bounds, projection="polar"), table, models)
    note = f"behind the best, in half widths of the interval; middle: {_REACH} or more"
    part.text(0.5, (foot + 1.5) / high, note, ha="center", fontsize=style.SMALL, color="0.3")


def draw_polar(axes: PolarAxes, table: pd.DataFrame, models: Models) -> None:
    """Draw how far models (columns model, title, relative) are behind the best, by three metrics or more."""
    titles = list(dict.fromkeys(table["title"]))
    angles = np.linspace(0, 2 * np.pi, len(titles), endpoint=False)
    around = np.append(angles, angles[0])
    for name, look in models.items():
        own = table[table["model"] == name].set_index("title")["relative"].reindex(titles)
        behind = own.clip(lower=-_REACH).to_numpy()
        axes.plot(
            around, np.append(behind, behind[0]), color=look["color"], linewidth=1, marker="o", markersize=2
        )
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    # A title breaks after its comma, else at its first space.
    breaks = [(", ", ",\n") if ", " in title else (" ", "\n") for title in titles]
    broken = [title.replace(*gap, 1) for title, gap in zip(titles, breaks, strict=True)]
    axes.set_xticks(angles, broken, fontsize=style.SMALL)
    for label, angle in zip(axes.get_xticklabels(), angles, strict=True):
        # Labels grow away from the circle, so that long ones never cross it.
        side = round(float(np.sin(angle)), 6)
        label.set_horizontalalignment("center" if side == 0 else "left" if side > 0 else "right")
    axes.tick_params(axis="x", pad=-1)
    axes.set_ylim(-_REACH, 0.3)
    axes.set_yticks([-3, -1, 0], ["3", "1", "0"], fontsize=style.SMALL, color="0.4")
    axes.set_rlabel_position(180 / len(titles))
    axes.grid(linewidth=0.4, color="0.85")
    axes.spines["polar"].set(linewidth=0.4, color="0.6")


def _brief(reason: str) -> str:
    """Return a reason, or of a long one what stands before its first bracket; the whole is in the table."""
    head = reason if len(reason) <= _MOST_REASON else reason.split(" (")[0]
    return textwrap.shorten(head, _MOST_REASON, placeholder=" \u2026")


def draw_bars(axes: Axes, table: pd.DataFrame, items: pd.DataFrame, models: Models) -> None:
    """Draw one metric: a bar per model, the mean over seeds, with its interval, and single values as dots.

    `table` has model, title, unit, better, value, ci_low, ci_high, reason; `items` has model and value, of
    which at most about 200 per model are drawn.
    """
    title, wide_mm = directed_title(table), axes.bbox.width / axes.figure.dpi / style.MM
    size = 6 if layout.text_mm([title], 6) < wide_mm else style.SMALL
    axes.set_title(title, pad=2, loc="left", fontsize=size)
    if table["value"].isna().all():
        reasons = table["reason"].dropna()
        # The cause stands last, behind how many values are missing.
        reason = str(reasons.iloc[0]).split("; ")[-1] if len(reasons) else ""
        layout.write_reason(axes, _brief(reason or "no value"), width=30, size=style.SMALL)
        return
    by = {"x": "value", "y": "model", "order": list(models), "orient": "h"}
    hue = layout.by_hue("model", models, axes)
    sns.barplot(table, saturation=1, errorbar=None, width=0.78, **hue, **by)
    dots = [part.iloc[:: max(1, len(part) // _MAX_DOTS)] for _, part in items.groupby("model")]
    if dots:
        look = {"size": 0.7, "linewidth": 0, "alpha": 0.45, "color": "black"}
        sns.stripplot(pd.concat(dots), jitter=0.22, legend=False, ax=axes, **look, **by)
    missing = items["value"].isna().groupby(items["model"]).agg(["sum", "size"])
    _draw_intervals(axes, table, missing, models)
    axes.set(yticks=[], ylabel="", ylim=(len(models) - 0.4, -0.6))
    _format_values(axes, table)


def draw_trainings(axes: Axes, table: pd.DataFrame, models: Models) -> None:
    """Draw the values of single trainings, in the lower half of their model's bar."""
    own = table.dropna(subset="value")
    places = own["model"].map({name: place for place, name in enumerate(models)})
    axes.plot(own["value"], places + 0.25, ls="", zorder=5, **style.TRAINING)


def _draw_intervals(axes: Axes, table: pd.DataFrame, missing: pd.DataFrame, models: Models) -> None:
    """Draw intervals across bars, cut where they would hide these, and what their means leave out."""
    left, right = axes.get_xlim()
    means = table.groupby("model")[["value", "ci_low", "ci_high"]].mean().reindex(list(models))
    for place, row in enumerate(means.itertuples()):
        n_missing, n = missing.loc[row.Index] if row.Index in missing.index else (0, 0)
        said = "no value" if np.isnan(row.value) else f"{n_missing} of {n} missing" if n_missing else ""
        if said:
            look = {
                "va": "center",
                "color": "0.5" if np.isnan(row.value) else "black",
                "fontsize": style.SMALL,
            }
            axes.text(0.01, place, said, transform=axes.get_yaxis_transform(), **look)
        axes.plot([row.ci_low, row.ci_high], [place, place], color="black", linewidth=0.8, zorder=3)
    widest, (low, high) = right - left, axes.get_xlim()
    axes.set_xlim(max(low, left - widest), min(high, right + widest))


def _format_values(axes: Axes, table: pd.DataFrame) -> None:
    if table["better"].iloc[0] == "high":
        # An r2 has no lower bound; a wide interval below -1 would compress all above.
        axes.set_xlim(left=max(axes.get_xlim()[0], _WORST))
    unit = table["unit"].iloc[0]
    unit = unit.replace("um", "µm") if isinstance(unit, str) else ""
    # 5 ms and 200 k, for seconds and large counts.
    short = unit == "s" or table["value"].max() >= 1e4
    short_format = EngFormatter(sep="\u2009", unit="s" if unit == "s" else "")
    axes.xaxis.set_major_formatter(short_format if short else ScalarFormatter())
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(axis="x", pad=1.5)
    # Seconds stand at the ticks themselves.
    axes.set_xlabel("" if unit == "s" else unit, labelpad=0.5, fontsize=style.SMALL, color="0.3")


def draw_references(axes: Axes, table: pd.DataFrame, baselines: Models) -> None:
    """Draw the values of feature sets without training as lines across the bars."""
    for (name, look), dash in zip(baselines.items(), _DASHES * 3, strict=False):
        value = table.loc[table["model"] == name, "value"].mean()
        if np.isfinite(value):
            axes.axvline(value, color=look["color"], ls=dash, lw=0.8, zorder=3)


def _labels_of(scores: pd.DataFrame) -> list[tuple[str, object]]:
    """Return names and lines of what the bars are read against, where the table has it."""
    known = set(scores.dropna(subset=["value"])["metric"])
    used = [look for own in _READ_AGAINST.values() for metric, look in own.items() if metric in known]
    return list(dict.fromkeys(used))


def draw_read_against(axes: Axes, scores: pd.DataFrame, metric: str, models: Models) -> None:
    """Draw across each bar what its value lies between: a perfect model, and one that knows no cell."""
    for name, (_, dash) in _READ_AGAINST.get(metric, {}).items():
        own = scores[(scores["metric"] == name) & (scores["variant"] == "corrected")]
        values = own.groupby("model")["value"].mean().reindex(list(models))
        for place, value in enumerate(values):
            if np.isfinite(value):
                axes.plot([value] * 2, [place - 0.45, place + 0.45], color="black", ls=dash, lw=0.8, zorder=4)


def draw_not_learnt(axes: Axes, scores: pd.DataFrame, metric: str, models: Models) -> None:
    """Mark the bars of models whose error is as large as without any knowledge of the cell."""
    places = {name: place for place, name in enumerate(models)}
    for name in learnt.not_learnt(scores, metric, list(models)):
        axes.plot(
            [0.05], [places[name]], transform=axes.get_yaxis_transform(), ls="", zorder=6, **_NOT_LEARNT
        )
