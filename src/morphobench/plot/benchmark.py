"""The benchmark figure of one dataset: examples, scores, walks, archetypes, rotations. Tables first, then ink."""

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
    "rotation_invariance_error_uniform": "Rotation error",
    "compactness": "Compactness (dimension)",
    "emissions": "Emissions",
    "encode_time": "Encoding time",
    "parameters": "Model size",
}
HEIGHTS_MM = {"a": 32, "b": 88, "c": 62, "d": 36, "e": 98}


def titles_of(labels: Sequence[str]) -> dict[str, str]:
    """Return metric -> title for a dataset with these classification labels, in drawing order."""
    classes = {f"classification_{label}_top_1": f"Classification of {panels.pretty(label)}" for label in labels}
    return {**classes, **TITLES}


def score_tables(scores: pd.DataFrame, models: Sequence[str], titles: Mapping[str, str]) -> pd.DataFrame:
    """Choose the headline scores of the models in a figure: corrected variant, one row per model, metric, seed."""
    chosen = scores["metric"].isin(titles) & scores["model"].isin(models) & (scores["variant"] == "corrected")
    table = scores[chosen].assign(title=lambda rows: rows["metric"].map(titles))
    order = {metric: place for place, metric in enumerate(titles)}
    return table.sort_values(["metric", "model", "seed"], key=lambda c: c.map(order) if c.name == "metric" else c)


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
            rows.append(pd.DataFrame({"metric": metric, "title": title, "model": values.index, "value": values, "z": z}))
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
    return {
        "a_examples": inputs["examples"],
        "b_scores": scores,
        "b_scores_all": inputs["scores"],
        "b_items": items[shown],
        "b_polar": relative_table(scores),
        "c_walks": inputs["walks"],
        "d_archetypes": inputs["archetypes"],
        "e_rotations": inputs["rotations"],
    }


def _scores_panel(figure: SubFigure, tables: Mapping[str, pd.DataFrame], models: panels.Models) -> None:
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.55])
    polar = left.add_axes((0.2, 0.2, 0.6, 0.6), projection="polar")
    panels.polar(polar, tables["b_polar"], models)
    left.text(0.5, 0.94, "relative to each other (z), outward is better", ha="center", fontsize=5.5, color="0.3")
    handles = [Patch(color=look["color"], label=look["label"]) for look in models.values()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, bbox_to_anchor=(0.5, -0.01))
    metrics = list(dict.fromkeys(tables["b_scores"]["metric"]))
    axes = right.subplots(3, 3, gridspec_kw={"hspace": 1.15, "wspace": 0.25})
    right.subplots_adjust(left=0.03, right=0.98, top=0.93, bottom=0.2)
    for place in axes.ravel()[len(metrics) :]:
        place.set_axis_off()
    for place, metric in zip(axes.ravel(), metrics, strict=False):
        rows, items = (tables[name][tables[name]["metric"] == metric] for name in ("b_scores", "b_items"))
        panels.bars(place, rows, items, models)


def _clouds_panel(figure: SubFigure, table: pd.DataFrame, rows: str, columns: Sequence[str], **look: Any) -> None:
    panels.cloud_grid(figure, table, rows, columns, **look)
    figure.subplots_adjust(left=0.11, right=0.995, top=0.88, bottom=0.03)


def draw(tables: Mapping[str, pd.DataFrame], *, title: str, demo: bool, models: panels.Models, width_mm: float) -> Figure:
    """Draw the figure from its panel tables alone."""
    style.apply()
    head_mm = 10
    size = (width_mm * style.MM, (head_mm + sum(HEIGHTS_MM.values())) * style.MM)
    figure = plt.figure(figsize=size)
    head, *parts = figure.subfigures(len(HEIGHTS_MM) + 1, 1, height_ratios=[head_mm, *HEIGHTS_MM.values()])
    head.text(0.01, 0.5, title, fontsize=9, weight="bold", va="center")
    if demo:
        warning = "DEMO SCALE: narrow models, few epochs, few cells. Shows the workflow, not the paper's numbers."
        head.text(0.99, 0.5, warning, fontsize=6.5, color="#a50f15", va="center", ha="right")
    a, b, c, d, e = parts
    examples = tables["a_examples"].assign(row="")
    _clouds_panel(a, examples, "row", ["stratum"], size=1.6, max_points=512)
    _scores_panel(b, tables, models)
    walks = tables["c_walks"].assign(step=[f"{sigma:+g} sd" if sigma else "mean" for sigma in tables["c_walks"]["sigma"]])
    _clouds_panel(c, walks, "step", ["stratum"], size=1.2, max_points=384)
    archetypes = tables["d_archetypes"].assign(row="", name=[f"archetype {k + 1}" for k in tables["d_archetypes"]["archetype"]])
    _clouds_panel(d, archetypes, "row", ["name"], size=1.6, max_points=512)
    _clouds_panel(e, tables["e_rotations"], "stratum", ["kind", "degrees"], size=0.7, max_points=256)
    captions = (
        "example cells, seen along the optical axis",
        "scores on test cells: mean, 95 % interval, single values",
        "walk along the first principal component of each kind",
        "archetypes",
        "cells turned about the optical axis (degrees), their canonical shapes and their reconstructions",
    )
    for letter, part, caption in zip("abcde", parts, captions, strict=True):
        part.text(0.005, 0.985, letter, fontsize=9, weight="bold", va="top")
        part.text(0.03, 0.98, caption, va="top", fontsize=6.5, color="0.25")
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
        Paths of the tables examples, scores, item_values, walks, archetypes, rotations.
    models
        Label and colour of each model in the figure, in drawing order.
    """
    read = {name: read_table(path) for name, path in inputs.items()}
    with atomic_folder(tables_out) as part:
        for name, table in panel_tables(read, list(models), labels).items():
            write_table(table, part / f"{name}.csv")
    tables = {path.stem: read_table(path) for path in sorted(Path(tables_out).glob("*.csv"))}
    style.save(draw(tables, title=title, demo=demo, models=models, width_mm=width_mm), pdf, png)
