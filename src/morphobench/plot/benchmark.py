"""The benchmark figure of a dataset: examples, scores, walks, archetypes, turns. Tables first, then ink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from morphobench.files import atomic_folder, read_table, write_table
from morphobench.plot import panels, style
from morphobench.score.summary import standardise

# Metric of the score table -> what a reader calls it; in the order of bars and polar axis.
TITLES = {
    "reconstruction": "Reconstruction error",
    "evolution_energy": "Evolution energy",
    "interpolation_distance": "Interpolation distance",
    "rotation_invariance_error_uniform": "Rotation error, any angle",
    "rotation_invariance_error_lattice": "Rotation error, quarter turns",
    "compactness": "Compactness",
    "emissions": "Emissions",
    "encode_time": "Encoding time",
    "parameters": "Model size",
}
# The figure's rows from top to bottom; together they fit a journal page.
HEIGHTS_MM = {"head": 8, "a": 34, "b": 76, "cd": 53, "e": 75}

DEMO_WARNING = (
    "DEMO SCALE: narrow models, few epochs, few cells. Shows the workflow, not the paper's numbers."
)
# File stem -> input table of the panels that are made of clouds; a run may lack them.
CLOUDS = {
    "a_examples": "examples",
    "c_walks": "walks",
    "d_archetypes": "archetypes",
    "e_rotations": "rotations",
}
NO_DECODER = "not drawn: the workflow started from\npublished embeddings, with no model to decode"
CAPTIONS = {
    "a": "example cells, seen along the optical axis; darker is nearer",
    "b": "test cells: mean, 95 % interval, single values; \u2191 higher is better, \u2193 lower is better",
    "c": "walk along the first principal component of each kind",
    "d": "archetypes",
    "e": "cells turned about the optical axis, their canonical shapes and their reconstructions",
}


def titles_of(labels: Sequence[str]) -> dict[str, str]:
    """Return metric -> title for a dataset with these classification labels, in drawing order."""
    classes = {
        f"classification_{label}_top_1": f"Classification of {panels.pretty(label)}" for label in labels
    }
    return {**classes, **TITLES}


def score_tables(scores: pd.DataFrame, models: Sequence[str], titles: Mapping[str, str]) -> pd.DataFrame:
    """Choose a figure's headline scores: corrected variant, one row per model, metric and seed."""
    chosen = scores["metric"].isin(titles) & scores["model"].isin(models) & (scores["variant"] == "corrected")
    table = scores[chosen].assign(title=lambda rows: rows["metric"].map(titles))
    order = {metric: place for place, metric in enumerate(titles)}
    return table.sort_values(
        ["metric", "model", "seed"], key=lambda c: c.map(order) if c.name == "metric" else c
    )


def relative_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the z-scores behind the polar plot: columns metric, title, model, value, z.

    They compare the models of this figure with each other and say nothing about size (`scores` does); metrics
    that a model lacks are left out.
    """
    rows = []
    for (metric, title, better), part in scores.groupby(["metric", "title", "better"], sort=False):
        values = part.groupby("model", sort=False)["value"].mean()
        if values.notna().all() and len(values) == scores["model"].nunique():
            z = standardise(values, better)
            rows.append(
                pd.DataFrame(
                    {"metric": metric, "title": title, "model": values.index, "value": values, "z": z}
                )
            )
    columns = ["metric", "title", "model", "value", "z"]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def panel_tables(
    inputs: Mapping[str, pd.DataFrame], models: Sequence[str], labels: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Return every table that the figure is drawn from, by file stem; the first letter is the panel."""
    titles = titles_of(labels)
    scores = score_tables(inputs["scores"], models, titles)
    items = inputs["item_values"]
    shown = items["metric"].isin(titles) & items["model"].isin(models) & (items["variant"] == "corrected")
    clouds = {stem: inputs[name] for stem, name in CLOUDS.items() if name in inputs}
    return {
        **clouds,
        "b_scores": scores,
        "b_scores_all": inputs["scores"],
        "b_items": items[shown],
        "b_polar": relative_table(scores),
    }


def _in_order(table: pd.DataFrame, column: str, order: Sequence[Any]) -> pd.DataFrame:
    """Sort a table by the place of its values in `order`, otherwise as it was; unknown values go last."""
    place = {value: number for number, value in enumerate(order)}
    return table.sort_values(column, key=lambda values: values.map(place).fillna(len(place)), kind="stable")


def _height_mm(figure: SubFigure) -> float:
    return figure.bbox.height / figure.dpi / style.MM


def _headed(part: SubFigure, letter: str, caption: str) -> None:
    """Write a panel's letter and caption at its upper left corner."""
    top = 1 - 1 / _height_mm(part)
    start_mm = part.bbox.width / part.dpi / style.MM
    part.text(1 / start_mm, top, letter, fontsize=9, weight="bold", va="center_baseline")
    part.text(5.5 / start_mm, top, caption, va="center_baseline", color="0.25")


def _legend(figure: SubFigure, models: panels.Models) -> None:
    handles = [Patch(color=look["color"], label=look["label"]) for look in models.values()]
    look = {"frameon": False, "handlelength": 1.2, "handletextpad": 0.5, "borderaxespad": 0}
    figure.legend(
        handles=handles, loc="lower center", ncols=min(4, len(handles)), bbox_to_anchor=(0.5, 0.025), **look
    )


def _scores_panel(figure: SubFigure, tables: Mapping[str, pd.DataFrame], models: panels.Models) -> None:
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.7])
    panels.polar(left.add_axes((0.24, 0.25, 0.52, 0.52), projection="polar"), tables["b_polar"], models)
    note = "models relative to each other (z-score), outward is better"
    left.text(0.5, 0.125, note, ha="center", fontsize=5.5, color="0.3")
    _legend(figure, models)
    metrics = list(dict.fromkeys(tables["b_scores"]["metric"]))
    if not metrics:
        panels.empty(right.subplots(), "no scores of these models")
        return
    margins = {"left": 0.02, "right": 0.985, "top": 0.89, "bottom": 0.16}
    axes = right.subplots(
        -(-len(metrics) // 3), 3, squeeze=False, gridspec_kw={"hspace": 1.25, "wspace": 0.13, **margins}
    )
    for place in axes.flat[len(metrics) :]:
        place.set_axis_off()
    for place, metric in zip(axes.flat, metrics, strict=False):
        rows, items = (tables[name][tables[name]["metric"] == metric] for name in ("b_scores", "b_items"))
        panels.bars(place, rows, items, models)


def _margins(figure: SubFigure, *, head_mm: float, left: float) -> dict[str, float]:
    """Leave room for captions above, row labels on the left and the scale bar below."""
    height_mm = _height_mm(figure)
    return {"left": left, "right": 0.995, "top": 1 - head_mm / height_mm, "bottom": 4 / height_mm}


def _shape_panels(parts: Mapping[str, SubFigure], tables: Mapping[str, pd.DataFrame]) -> None:
    """Draw panels a, c, d and e, the ones made of clouds."""
    few, many = {"size": 1.5, "max_points": 512}, {"size": 1.1, "max_points": 384}
    a, c, d, e = (
        (parts[letter], _margins(parts[letter], head_mm=head_mm, left=left))
        for letter, left, head_mm in (("a", 0.09, 7.5), ("c", 0.137, 7.5), ("d", 0.03, 7.5), ("e", 0.09, 11))
    )
    for stem, (panel, _) in zip(CLOUDS, (a, c, d, e), strict=True):
        if stem not in tables:
            panels.empty(panel.subplots(), NO_DECODER)
    if "a_examples" in tables:
        panels.cloud_grid(*a, tables["a_examples"].assign(row=""), "row", ["stratum"], **few)
    if "c_walks" in tables:
        strata = list(dict.fromkeys(tables["a_examples"]["stratum"]))
        walks = _in_order(tables["c_walks"], "stratum", strata).sort_values("sigma", kind="stable")
        steps = [f"{sigma:+g} sd".replace("-", "\u2212") if sigma else "mean" for sigma in walks["sigma"]]
        panels.cloud_grid(*c, walks.assign(step=steps), "step", ["stratum"], **many)
    if "d_archetypes" in tables:
        names = [f"archetype {number + 1}" for number in tables["d_archetypes"]["archetype"]]
        panels.cloud_wrap(*d, tables["d_archetypes"].assign(name=names), "name", n_rows=3, **many)
    if "e_rotations" in tables:
        turned = _in_order(tables["e_rotations"], "kind", ["input", "canonical", "reconstruction"])
        angles = [f"{degrees:g}°" for degrees in turned["degrees"]]
        turned = turned.assign(angle=angles)
        panels.cloud_grid(*e, turned, "stratum", ["kind", "angle"], size=0.8, max_points=256)


def draw(
    tables: Mapping[str, pd.DataFrame], *, title: str, demo: bool, models: panels.Models, width_mm: float
) -> Figure:
    """Draw the figure from its panel tables alone."""
    style.apply()
    heights_mm = list(HEIGHTS_MM.values())
    figure = plt.figure(figsize=(width_mm * style.MM, sum(heights_mm) * style.MM))
    head, a, b, cd, e = figure.subfigures(len(heights_mm), 1, height_ratios=heights_mm)
    c, d = cd.subfigures(1, 2, width_ratios=[2, 1])
    parts = {"a": a, "b": b, "c": c, "d": d, "e": e}
    head.text(0.0055, 0.5, title, fontsize=9, weight="bold", va="center")
    if demo:
        head.text(0.995, 0.5, DEMO_WARNING, color="#a50f15", va="center", ha="right")
    for letter, caption in CAPTIONS.items():
        _headed(parts[letter], letter, caption)
    _scores_panel(b, tables, models)
    _shape_panels(parts, tables)
    return figure


def run(
    inputs: Mapping[str, str | Path],
    *,
    pdf: str | Path,
    png: str | Path,
    tables_out: str | Path,
    title: str,
    demo: bool,
    models: panels.Models,
    labels: Sequence[str],
    width_mm: float,
) -> None:
    """Write the panel tables as CSV, then draw the figure from them.

    Parameters
    ----------
    inputs
        Paths of the tables scores, item_values and those in `CLOUDS`; of these, what was not made may be left
        out: its panel says why it is empty.
    models
        Label and colour of each model in the figure, in drawing order.
    """
    read = {name: read_table(path) for name, path in inputs.items()}
    with atomic_folder(tables_out) as part:
        for name, table in panel_tables(read, list(models), labels).items():
            write_table(table, part / f"{name}.csv")
    tables = {path.stem: read_table(path) for path in sorted(Path(tables_out).glob("*.csv"))}
    style.save(draw(tables, title=title, demo=demo, models=models, width_mm=width_mm), pdf, png)
