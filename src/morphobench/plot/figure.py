"""Figures as their yaml describes them: tables of every panel first, then the drawing from these alone."""

import importlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure, SubFigure

from morphobench.config.figures import input_name, list_panels
from morphobench.files import FilePath, atomic_file, atomic_folder, read_csv, read_table, write_table
from morphobench.log import logger
from morphobench.plot import gallery, layout, render, style
from morphobench.plot.context import Context, EmptyPanel, Inputs, Pictures, Tables

_HEAD_MM = 8
# Narrower figures, such as those of one column of a journal, have a panel in each row.
_NARROW_MM = 120
_NOTES = {
    "demo": "DEMO SCALE: narrow models, few epochs, few cells. Shows the workflow, not the paper's numbers.",
    "workstation": "Workstation scale: narrow models, each trained for minutes.",
}
_REASON = "missing"
_PIXELS = 360
# Columns of names: a stratum called 1 or 2 stays text through a CSV.
_NAMES = ["CellId", "stratum", "model", "metric", "title", "dataset", "reason"]
_NAMES += ["condition", "drug", "class", "features", "family", "group", "item", "name"]

Gaps = Mapping[str, str]
# What a yaml says of a figure or of a panel.
Description = Mapping[str, Any]


def panel_module(kind: str) -> ModuleType:
    """Return the module that draws panels of a kind."""
    return importlib.import_module(f"morphobench.plot.panels.{kind}")


def read_inputs(paths: Mapping[str, FilePath]) -> dict[str, Any]:
    """Read the tables that exist, by name; of .npz files a dictionary of arrays."""
    inputs: dict[str, Any] = {}
    for name, path in paths.items():
        if not Path(path).exists():
            logger.warning("%s does not exist: the panels that need it stay empty.", path)
        elif Path(path).suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                inputs[name] = {key: stored[key] for key in stored.files}
        else:
            inputs[name] = read_table(path)
    return inputs


def panel_tables(panel: Description, inputs: Inputs, context: Context, gaps: Gaps) -> Tables:
    """Return the tables of one panel, or one with the reason why it has none."""
    try:
        files = {table: input_name(panel, table) for table in panel["tables"]}
        for table, name in files.items():
            if name not in inputs:
                raise EmptyPanel(gaps.get(name, f"no table of {layout.readable(table)}"))
        own = {table: inputs[name] for table, name in files.items()}
        return panel_module(panel["kind"]).tables(own, context.of(panel))
    except EmptyPanel as empty:
        # What the configuration leaves out is no fault; the panel says it.
        level = logging.INFO if str(empty) in gaps.values() else logging.WARNING
        logger.log(level, "panel %s (%s) stays empty: %s", panel["letter"], panel["kind"], empty)
        return {_REASON: pd.DataFrame({"reason": [str(empty)]})}


def write_tables(
    figure: Description, inputs: Inputs, context: Context, folder: Path, gaps: Gaps = MappingProxyType({})
) -> None:
    """Write the tables of every panel as CSV under its letter."""
    for panel in list_panels(figure):
        for name, table in panel_tables(panel, inputs, context, gaps).items():
            write_table(table, folder / f"{panel['letter']}_{name}.csv")


def read_tables(folder: FilePath) -> dict[str, pd.DataFrame]:
    """Read the tables of a figure by file stem, letter first."""
    return {path.stem: read_csv(path, _NAMES) for path in sorted(Path(folder).glob("*.csv"))}


def of_panel(values: Mapping[str, Any], letter: str) -> dict[str, Any]:
    """Return the tables or pictures of one panel by their names without its letter."""
    start = f"{letter}_"
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def render_surfaces(tables: Tables) -> dict[str, list[np.ndarray]]:
    """Render the surfaces of all panels at once, each table at one scale; empty where VTK cannot."""
    names = [stem.removesuffix("_faces") for stem in tables if stem.endswith("_faces")]
    meshes = {name: gallery.read_meshes(tables, name) for name in names}
    scales = [gallery.half_width(group) for group in meshes.values() for _ in group]
    flat = [mesh for group in meshes.values() for mesh in group]
    pictures = render.render(flat, _PIXELS, half_um=scales, view="side")
    if pictures is None:
        return {}
    rest = iter(pictures)
    return {name: [next(rest) for _ in group] for name, group in meshes.items()}


def draw(
    figure: Description,
    tables: Tables,
    context: Context,
    *,
    title: str,
    scale: str,
    note: str = "",
    width_mm: float,
    pictures: Pictures | None = None,
) -> Figure:
    """Draw a figure from its panels' tables (`read_tables`) alone.

    `pictures` of surfaces go by table; None, they are rendered now. Of `scale` "demo" and
    "workstation" the title line says what that means, and in `note` where the weights come from.
    """
    style.apply()
    pictures = render_surfaces(tables) if pictures is None else pictures
    is_narrow, notes = width_mm < _NARROW_MM, list(filter(None, [_NOTES.get(scale), note]))
    notes = [line for text in notes for line in layout.lines(text, width_mm - 2)] if is_narrow else notes
    described = _one_below_the_other(figure["rows"]) if is_narrow else figure["rows"]
    heights_mm = [_HEAD_MM + 3 * len(notes) * is_narrow, *(row["height_mm"] for row in described)]
    page = plt.figure(figsize=(width_mm * style.MM, sum(heights_mm) * style.MM))
    head, *rows = page.subfigures(len(heights_mm), 1, height_ratios=heights_mm)
    middle = 1 - _HEAD_MM / 2 / heights_mm[0]
    head.text(1 / width_mm, middle, title, fontsize=9, weight="bold", va="center")
    # Beside the title where there is room, else below.
    place = (1 / width_mm, 1 - _HEAD_MM / heights_mm[0]) if is_narrow else (1 - 1 / width_mm, middle)
    look = {"va": "top", "ha": "left"} if is_narrow else {"va": "center", "ha": "right"}
    head.text(*place, "\n".join(notes), color=style.WARNING, **look)
    for row, description in zip(rows, described, strict=True):
        panels = description["panels"]
        widths = [panel.get("width", 1) for panel in panels]
        parts = row.subfigures(1, len(panels), squeeze=False, width_ratios=widths)
        for part, panel in zip(parts.flat, panels, strict=True):
            own, rendered = (of_panel(values, panel["letter"]) for values in (tables, pictures))
            _draw_panel(part, panel, own, context.of(panel)._replace(pictures=rendered))
    return page


def _one_below_the_other(rows: Sequence[Description]) -> list[Description]:
    """Return the rows of a narrow figure, higher as less stands side by side."""
    high = [(1.4 * row["height_mm"], panel) for row in rows for panel in row["panels"]]
    return [{"height_mm": height_mm, "panels": [panel]} for height_mm, panel in high]


def _draw_panel(part: SubFigure, panel: Description, tables: Tables, context: Context) -> None:
    layout.write_caption(part, panel["letter"], panel["caption"])
    if _REASON in tables:
        layout.write_reason(part.subplots(), tables[_REASON]["reason"].iloc[0])
    else:
        panel_module(panel["kind"]).draw(part, tables, context)


def _write_pages(figure: Description, tables: Tables, context: Context, title: str, folder: Path) -> None:
    """Write the pages for a browser of the kinds of panels that have any."""
    for panel in list_panels(figure):
        own = of_panel(tables, panel["letter"])
        make = getattr(panel_module(panel["kind"]), "pages", None)
        if make and _REASON not in own:
            for name, page in make(own, context.of(panel), title).items():
                with atomic_file(folder / f"{name}.html") as part:
                    part.write_text(page, encoding="utf-8")


def run(
    inputs: Mapping[str, FilePath],
    *,
    pdf: FilePath,
    png: FilePath,
    tables_out: FilePath,
    figure: Description,
    title: str,
    scale: str,
    note: str = "",
    models: Mapping[str, Mapping[str, str]],
    baselines: Mapping[str, Mapping[str, str]],
    controls: Mapping[str, Mapping[str, str]],
    labels: Sequence[str],
    length_unit: str,
    analysis_model: str,
    own: Sequence[str] = (),
    width_mm: float,
    published: Sequence[Mapping[str, Any]] = (),
    others: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    gaps: Gaps = MappingProxyType({}),
) -> None:
    """Write the panels' tables (CSV) and pages (HTML) to `tables_out`, then draw the figure from the tables.

    `inputs` are paths by name of table, `figure` the content of config/figures/<name>.yaml; see `Context`.
    Panels whose table does not exist stay empty, with the reason in `gaps`, if any.
    """
    strata = figure.get("strata", {})
    beside = {name: Context(**own, strata=strata) for name, own in others.items()}
    looks = {"models": models, "baselines": baselines, "controls": controls, "own": own}
    about = {"labels": labels, "length_unit": length_unit, "strata": strata, "published": published}
    context = Context(**looks, **about, analysis_model=analysis_model, others=beside)
    with atomic_folder(tables_out) as part:
        write_tables(figure, read_inputs(inputs), context, part, gaps)
        _write_pages(figure, read_tables(part), context, title, part)
    tables = read_tables(tables_out)
    page = draw(figure, tables, context, title=title, scale=scale, note=note, width_mm=width_mm)
    style.save(page, pdf, png)
