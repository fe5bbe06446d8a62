"""Figures of made-up tables, drawn in a test: descriptions, panel tables, pages and the words on them."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pypdf
from fabricate import plot_tables
from fabricate.plot_tables import FIGURES

from morphobench.plot import figure

NAMES = sorted(FIGURES)


def described(name: str, about: tuple[str, ...] = ()) -> dict:
    """A figure's description: whole, or the panels alone that read one of these tables."""
    rows = [
        {
            **row,
            "panels": [panel for panel in row["panels"] if not about or set(about) & set(panel["tables"])],
        }
        for row in FIGURES[name]["rows"]
    ]
    rows = [row for row in rows if row["panels"]]
    return {**FIGURES[name], "rows": rows, "strata": plot_tables.strata_of(name)}


def tables_of(
    name: str,
    folder: Path,
    *,
    n_models: int = 6,
    drop: tuple[str, ...] = (),
    about: tuple[str, ...] = (),
    **changed,
) -> dict:
    """The panel tables of a figure, or of its panels about some tables, through their CSV files."""
    found = {key: table for key, table in plot_tables.inputs(name, n_models).items() if key not in drop}
    folder.mkdir(exist_ok=True, parents=True)
    inputs, context = {**found, **changed}, plot_tables.context(name, n_models)
    figure.write_tables(described(name, about), inputs, context, folder)
    return figure.read_tables(folder)


def blank(tables: dict) -> dict[str, list[np.ndarray]]:
    """Stand in for rendered surfaces where the words of a figure are looked at."""
    stems = [stem.removesuffix("_faces") for stem in tables if stem.endswith("_faces")]
    return {stem: [np.full((2, 2, 3), 200, np.uint8)] * len(tables[stem]) for stem in stems}


def drawn(
    name: str,
    tables: dict,
    *,
    n_models: int = 6,
    pictures: dict | None = None,
    about: tuple[str, ...] = (),
    width_mm: float = 180,
) -> plt.Figure:
    """Draw without files and without VTK; every text really is laid out, as in a saved figure."""
    context = plot_tables.context(name, n_models)
    pictures = blank(tables) if pictures is None else pictures
    look = {"title": "A title", "scale": "demo", "width_mm": width_mm, "pictures": pictures}
    page = figure.draw(described(name, about), tables, context, **look)
    page.canvas.draw()
    return page


def drawn_about(name: str, folder: Path, *about: str, **changed) -> plt.Figure:
    """Draw the panels of a figure that read some tables, from their CSV files."""
    return drawn(name, tables_of(name, folder, about=about, **changed), about=about)


def run(name: str, folder: Path, *, scale: str = "paper", drop: tuple[str, ...] = (), **more) -> Path:
    """Draw a figure as the workflow does."""
    found = {key: table for key, table in plot_tables.inputs(name).items() if key not in drop}
    context = plot_tables.context(name)
    out = {"pdf": folder / "f.pdf", "png": folder / "f.png", "tables_out": folder / "tables"}
    keys = ("models", "baselines", "controls", "labels", "length_unit", "analysis_model")
    look = {key: getattr(context, key) for key in keys}
    look["others"] = {name: {key: getattr(own, key) for key in keys} for name, own in context.others.items()}
    paths = plot_tables.write_inputs(found, folder / "in")
    figure.run(
        paths, **out, **look, figure=described(name), title="Small cells", scale=scale, width_mm=180, **more
    )
    return folder


def text_of(pdf: Path) -> str:
    return " ".join(pypdf.PdfReader(pdf).pages[0].extract_text().split())


def words(page: plt.Figure) -> set[str]:
    return {text.get_text() for text in page.findobj(plt.Text) if text.get_text()}
