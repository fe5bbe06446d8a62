"""A figure as its yaml describes it: rows of panels. Tables first, then ink, from these tables alone."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure, SubFigure

from morphobench.files import atomic_file, atomic_folder, read_table, write_table
from morphobench.log import logger
from morphobench.plot import gallery, layout, render, style
from morphobench.plot.context import Context, Missing, Pictures

HEAD_MM = 8
DEMO_WARNING = (
    "DEMO SCALE: narrow models, few epochs, few cells. Shows the workflow, not the paper's numbers."
)
_MISSING = "missing"
_PIXELS = 360
# Columns of names: a kind called 1 or 2 stays text through a CSV.
_NAMES = (
    *("CellId", "stratum", "model", "metric", "title", "dataset", "reason"),
    *("condition", "drug", "class", "features"),
)

Tables = Mapping[str, pd.DataFrame]


def panel_kind(kind: str) -> ModuleType:
    """Return the module that draws panels of a kind."""
    return importlib.import_module(f"morphobench.plot.panels.{kind}")


def panels_of(figure: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the panels of a figure in reading order."""
    return [panel for row in figure["rows"] for panel in row["panels"]]


def read_inputs(paths: Mapping[str, str | Path]) -> dict[str, Any]:
    """Read the tables that are there, by name; arrays of .npz files by their names."""
    found: dict[str, Any] = {}
    for name, path in paths.items():
        if not Path(path).exists():
            logger.warning("%s does not exist: the panels that need it stay empty.", path)
        elif Path(path).suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                found[name] = {key: stored[key] for key in stored.files}
        else:
            found[name] = read_table(path)
    return found


def panel_tables(
    panel: Mapping[str, Any],
    inputs: Mapping[str, Any],
    context: Context,
    gaps: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, pd.DataFrame]:
    """Return the tables of one panel, or one that says why it has none; `gaps` has reasons by table."""
    own = context._replace(options=panel.get("options", {}))
    given = {name: inputs[name] for name in panel["tables"] if name in inputs}
    try:
        for name in panel["tables"]:
            if name not in given:
                raise Missing(gaps.get(name, f"no table of {layout.pretty(name)}"))
        return panel_kind(panel["kind"]).tables(given, own)
    except Missing as gap:
        logger.warning("panel %s (%s) stays empty: %s", panel["letter"], panel["kind"], gap)
        return {_MISSING: pd.DataFrame({"reason": [str(gap)]})}


def write_tables(
    figure: Mapping[str, Any],
    inputs: Mapping[str, Any],
    context: Context,
    folder: Path,
    gaps: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the tables of every panel as CSV under its letter."""
    for panel in panels_of(figure):
        for name, table in panel_tables(panel, inputs, context, gaps).items():
            write_table(table, folder / f"{panel['letter']}_{name}.csv")


def read_tables(folder: str | Path) -> dict[str, pd.DataFrame]:
    """Read the tables of a figure, by file stem; the first letter is the panel."""
    types = dict.fromkeys(_NAMES, str)
    return {path.stem: pd.read_csv(path, dtype=types) for path in sorted(Path(folder).glob("*.csv"))}


def of_panel(tables: Tables, letter: str) -> dict[str, pd.DataFrame]:
    """Return the tables of one panel by their names without its letter."""
    start = f"{letter}_"
    return {name.removeprefix(start): table for name, table in tables.items() if name.startswith(start)}


def pictures_of(tables: Tables) -> dict[str, list[np.ndarray]]:
    """Render the surfaces of all panels at once, each table at one scale; empty where VTK cannot."""
    found = {}
    for name in (stem.removesuffix("_faces") for stem in tables if stem.endswith("_faces")):
        found[name] = gallery.meshes_of(*(tables[f"{name}{part}"] for part in ("", "_vertices", "_faces")))
    meshes = [mesh for group in found.values() for mesh in group]
    scales = [gallery.reach(group) for group in found.values() for _ in group]
    rendered = render.render(meshes, _PIXELS, half_um=scales, view="side")
    if rendered is None:
        return {}
    waiting = iter(rendered)
    return {name: [next(waiting) for _ in group] for name, group in found.items()}


def draw(
    figure: Mapping[str, Any],
    tables: Tables,
    context: Context,
    *,
    title: str,
    demo: bool,
    width_mm: float,
    pictures: Pictures | None = None,
) -> Figure:
    """Draw a figure from its panels' tables alone.

    Parameters
    ----------
    figure
        Content of config/figures/<name>.yaml.
    tables
        See `read_tables`.
    context
        Models, labels and strata; options and pictures are filled in for each panel.
    title
        Of the whole figure.
    demo
        Whether the title line warns that this is no paper scale.
    width_mm
        Of the page.
    pictures
        Rendered surfaces by table; None, they are rendered now.
    """
    style.apply()
    pictures = pictures_of(tables) if pictures is None else pictures
    heights_mm = [HEAD_MM, *(row["height_mm"] for row in figure["rows"])]
    page = plt.figure(figsize=(width_mm * style.MM, sum(heights_mm) * style.MM))
    head, *rows = page.subfigures(len(heights_mm), 1, height_ratios=heights_mm)
    head.text(1 / width_mm, 0.5, title, fontsize=9, weight="bold", va="center")
    if demo:
        head.text(1 - 1 / width_mm, 0.5, DEMO_WARNING, color="#a50f15", va="center", ha="right")
    for row, settings in zip(rows, figure["rows"], strict=True):
        panels = settings["panels"]
        parts = row.subfigures(
            1, len(panels), squeeze=False, width_ratios=[p.get("width", 1) for p in panels]
        )
        for part, panel in zip(parts.flat, panels, strict=True):
            own = {name.removeprefix(f"{panel['letter']}_"): found for name, found in pictures.items()
                   if name.startswith(f"{panel['letter']}_")}  # fmt: skip
            _draw_panel(part, panel, of_panel(tables, panel["letter"]), context._replace(pictures=own))
    return page


def _draw_panel(part: SubFigure, panel: Mapping[str, Any], tables: Tables, context: Context) -> None:
    layout.headed(part, panel["letter"], panel["caption"])
    if _MISSING in tables:
        layout.empty(part.subplots(), tables[_MISSING]["reason"].iloc[0])
        return
    panel_kind(panel["kind"]).draw(part, tables, context._replace(options=panel.get("options", {})))


def _write_pages(
    figure: Mapping[str, Any], tables: Tables, context: Context, title: str, folder: Path
) -> None:
    """Write the pages that kinds of panels have for a browser."""
    for panel in panels_of(figure):
        own = of_panel(tables, panel["letter"])
        make = getattr(panel_kind(panel["kind"]), "pages", None)
        if make and _MISSING not in own:
            for name, page in make(own, context, title).items():
                with atomic_file(folder / f"{name}.html") as part:
                    part.write_text(page, encoding="utf-8")


def run(
    inputs: Mapping[str, str | Path],
    *,
    pdf: str | Path,
    png: str | Path,
    tables_out: str | Path,
    figure: Mapping[str, Any],
    title: str,
    demo: bool,
    models: Mapping[str, Mapping[str, str]],
    baselines: Mapping[str, Mapping[str, str]],
    labels: Sequence[str],
    analysis_model: str,
    width_mm: float,
    gaps: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the panels' tables as CSV, then draw the figure from them.

    Parameters
    ----------
    inputs
        Paths of tables by name; one that is not there leaves its panels empty.
    pdf, png
        The figure.
    tables_out
        Folder of the panels' tables, and of pages for a browser.
    figure
        Content of config/figures/<name>.yaml.
    title
        Of the whole figure.
    demo
        Whether the title line warns that this is no paper scale.
    models, baselines
        Label and colour of each model, and of each feature set without training, in drawing order.
    labels
        Columns that are classified.
    analysis_model
        Name of the model of walks and archetypes.
    width_mm
        Of the page.
    gaps
        Tables that this run cannot have, with the reason.
    """
    context = Context(models, baselines, labels, figure.get("strata", {}), analysis_model)
    with atomic_folder(tables_out) as part:
        write_tables(figure, read_inputs(inputs), context, part, gaps)
        _write_pages(figure, read_tables(part), context, title, part)
    tables = read_tables(tables_out)
    style.save(draw(figure, tables, context, title=title, demo=demo, width_mm=width_mm), pdf, png)
