"""The benchmark figure of a dataset: examples, scores, walks, archetypes, rotations. Tables first, then ink."""

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
    "rotation_invariance_error_uniform": "Rotation error (any angle)",
    "rotation_invariance_error_lattice": "Rotation error (quarter turns)",
    "compactness": "Compactness (dimension)",
    "emissions": "Emissions",
    "encode_time": "Encoding time",
    "parameters": "Model size",
}
HEIGHTS_MM = {"a": 36, "b": 88, "c": 84, "d": 38, "e": 98}


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


def _in_order(table: pd.DataFrame, column: str, order: Sequence[Any]) -> pd.DataFrame:
    """Sort a table by the place of its values in `order`, otherwise as it was; unknown values go last."""
    place = {value: number for number, value in enumerate(order)}
    return table.sort_values(column, key=lambda values: values.map(place).fillna(len(place)), kind="stable")


def _scores_panel(figure: SubFigure, tables: Mapping[str, pd.DataFrame], models: panels.Models) -> None:
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.75])
    panels.polar(left.add_axes((0.2, 0.19, 0.6, 0.6), projection="polar"), tables["b_polar"], models)
    left.text(
        0.5,
        0.03,
        "relative to each other (z-score), outward is better",
        ha="center",
        fontsize=5.5,
        color="0.3",
    )
    handles = [Patch(color=look["color"], label=look["label"]) for look in models.values()]
    right.legend(handles=handles, loc="lower right", frameon=False, bbox_to_anchor=(0.93, 0.05))
    metrics = list(dict.fromkeys(tables["b_scores"]["metric"]))
    axes = right.subplots(-(-len(metrics) // 3), 3, gridspec_kw={"hspace": 1.5, "wspace": 0.25})
    right.subplots_adjust(left=0.03, right=0.98, top=0.9, bottom=0.12)
    for place in axes.ravel()[len(metrics) :]:
        place.set_axis_off()
    for place, metric in zip(axes.ravel(), metrics, strict=False):
        rows, items = (tables[name][tables[name]["metric"] == metric] for name in ("b_scores", "b_items"))
        panels.bars(place, rows, items, models)


def _clouds_panel(
    figure: SubFigure, table: pd.DataFrame, rows: str, columns: Sequence[str], *, head_mm: float, **look: Any
) -> None:
    height_mm = figure.bbox.height / figure.dpi / style.MM
    figure.subplots_adjust(left=0.11, right=0.995, top=1 - head_mm / height_mm, bottom=1 / height_mm)
    panels.cloud_grid(figure, table, rows, columns, **look)


def draw(
    tables: Mapping[str, pd.DataFrame], *, title: str, demo: bool, models: panels.Models, width_mm: float
) -> Figure:
    """Draw the figure from its panel tables alone."""
    style.apply()
    head_mm = 10
    size = (width_mm * style.MM, (head_mm + sum(HEIGHTS_MM.values())) * style.MM)
    figure = plt.figure(figsize=size)
    head, *parts = figure.subfigures(len(HEIGHTS_MM) + 1, 1, height_ratios=[head_mm, *HEIGHTS_MM.values()])
    head.text(0.01, 0.5, title, fontsize=9, weight="bold", va="center")
    if demo:
        warning = (
            "DEMO SCALE: narrow models, few epochs, few cells. Shows the workflow, not the paper's numbers."
        )
        head.text(0.99, 0.5, warning, fontsize=6.5, color="#a50f15", va="center", ha="right")
    a, b, c, d, e = parts
    strata = list(dict.fromkeys(tables["a_examples"]["stratum"]))
    _clouds_panel(
        a, tables["a_examples"].assign(row=""), "row", ["stratum"], head_mm=9, size=1.6, max_points=512
    )
    _scores_panel(b, tables, models)
    walks = _in_order(
        _in_order(tables["c_walks"], "stratum", strata), "sigma", sorted(set(tables["c_walks"]["sigma"]))
    )
    steps = [f"{sigma:+g} sd" if sigma else "mean" for sigma in walks["sigma"]]
    _clouds_panel(c, walks.assign(step=steps), "step", ["stratum"], head_mm=9, size=1.2, max_points=384)
    names = [f"archetype {number + 1}" for number in tables["d_archetypes"]["archetype"]]
    archetypes = tables["d_archetypes"].assign(row="", name=names)
    _clouds_panel(d, archetypes, "row", ["name"], head_mm=9, size=1.6, max_points=512)
    turned = _in_order(tables["e_rotations"], "kind", ["input", "canonical", "reconstruction"])
    _clouds_panel(e, turned, "stratum", ["kind", "degrees"], head_mm=12, size=0.8, max_points=256)
    captions = (
        "example cells, seen along the optical axis; darker is nearer",
        "scores on test cells: mean, 95 % interval, single values",
        "walk along the first principal component of each kind",
        "archetypes",
        "cells turned about the optical axis by so many degrees, their canonical shapes and their reconstructions",
    )
    for letter, part, caption in zip("abcde", parts, captions, strict=True):
        part.text(0.005, 0.995, letter, fontsize=9, weight="bold", va="top")
        part.text(0.03, 0.99, caption, va="top", fontsize=6.5, color="0.25")
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
