"""Shapes side by side at one scale: clouds of points, or surfaces."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, Self

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import SubFigure

from morphobench.plot import layout, style
from morphobench.plot.clouds import COORDINATES
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables
from morphobench.plot.render import Mesh, centred, shades, to_view

CORNERS = ["corner_0", "corner_1", "corner_2"]
Margins = Mapping[str, float]
# Least room between titles side by side.
_GAP_MM = 1.5
_SLANTED = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"}


class Gallery(NamedTuple):
    """Shapes ready to be drawn.

    Attributes
    ----------
    labels
        One row per shape, index 0, 1, ...
    half_um
        Half the width of every picture, micrometres.
    draw
        Draws one shape, by its number, into axes.
    unit
        Of lengths.
    """

    labels: pd.DataFrame
    half_um: float
    draw: Callable[[Axes, int], None]
    unit: str

    def take(self, numbers: Sequence[int]) -> Self:
        """Return these shapes in this order, at the scale of all."""
        labels = self.labels.iloc[list(numbers)].reset_index(drop=True)
        return self._replace(labels=labels, draw=lambda axes, i: self.draw(axes, int(numbers[i])))

    def with_labels(self, **columns: Sequence[Any]) -> Self:
        """Return the same shapes with further label columns."""
        return self._replace(labels=self.labels.assign(**columns))


def clouds(table: pd.DataFrame, by: Sequence[str], *, size: float, max_points: int, unit: str) -> Gallery:
    """Return the clouds of a table of points, one per combination of the columns `by`."""
    groups = list(table.groupby(list(by), sort=False, dropna=False))
    labels = pd.DataFrame([part.iloc[0].drop(COORDINATES) for _, part in groups]).reset_index(drop=True)
    points = [part[COORDINATES].to_numpy() for _, part in groups]
    half_um = layout.half_width(table)

    def draw(axes: Axes, i: int) -> None:
        layout.draw_cloud(axes, points[i], half_um=half_um, size=size, max_points=max_points)

    return Gallery(labels, half_um, draw, unit)


def read_meshes(tables: Tables, name: str) -> list[Mesh]:
    """Return vertices, centred, and faces of the surface `shape` of every row of a table."""
    vertices, faces = (tables[f"{name}_{part}"].groupby("shape") for part in ("vertices", "faces"))
    points = {shape: part[COORDINATES].to_numpy(np.float64) for shape, part in vertices}
    corners = {shape: part[CORNERS].to_numpy(np.int64) for shape, part in faces}
    return [(centred(points[shape]), corners[shape]) for shape in tables[name]["shape"]]


def half_width(meshes: Sequence[Mesh]) -> float:
    """Return the half width that holds every mesh in the view from the side, micrometres."""
    return float(np.ceil(1.05 * max(np.abs(to_view(vertices)[:, :2]).max() for vertices, _ in meshes)))


def _draw_triangles(axes: Axes, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Draw a surface from far to near, each triangle in the shade of its slope."""
    triangles = to_view(vertices)[faces]
    order = np.argsort(triangles[:, :, 2].mean(axis=1), kind="stable")
    colors = shades(triangles)[order]
    # Edges in the colour of their face close the hairlines between triangles.
    flat = triangles[order][:, :, :2]
    axes.add_collection(PolyCollection(flat, facecolors=colors, edgecolors=colors, lw=0.2))


def from_tables(
    tables: Tables,
    name: str,
    by: Sequence[str],
    context: Context,
    *,
    size: float = 1.1,
    max_points: int = 384,
) -> Gallery:
    """Return the shapes of a panel's table: surfaces where it has faces beside it, else clouds.

    Surfaces are pictures or, where the machine cannot render, drawn triangle by triangle.
    """
    if f"{name}_faces" not in tables:
        return clouds(tables[name], by, size=size, max_points=max_points, unit=context.length_unit)
    pictures, meshes = context.pictures.get(name), read_meshes(tables, name)
    half_um = half_width(meshes)

    def draw(axes: Axes, i: int) -> None:
        layout.shape_axes(axes, half_um)
        if pictures is None:
            _draw_triangles(axes, *meshes[i])
        else:
            extent = (-half_um, half_um, -half_um, half_um)
            axes.imshow(pictures[i], extent=extent, interpolation="antialiased")

    return Gallery(tables[name].reset_index(drop=True), half_um, draw, context.length_unit)


def mesh_tables(inputs: Inputs, role: str, name: str, strata: Sequence[str] | None = None) -> Tables:
    """Return labels, vertices and faces of the surfaces of a role, of some strata, as tables under `name`.

    Raises
    ------
    EmptyPanel
        When there are none.
    """
    items = inputs["surfaces"]
    chosen = items["role"] == role
    if strata is not None:
        chosen &= items["stratum"].isin(strata)
    rows = items[chosen].reset_index(drop=True)
    if rows.empty:
        raise EmptyPanel("no shapes to show")
    points, corners = [], []
    for row, vertices, faces in stored_surfaces(rows, inputs["meshes"]):
        points.append(pd.DataFrame(vertices, columns=COORDINATES).assign(shape=row.shape))
        corners.append(pd.DataFrame(faces, columns=CORNERS).assign(shape=row.shape))
    offsets = ["first_vertex", "n_vertices", "first_face", "n_faces"]
    return {
        name: rows.drop(columns=offsets).dropna(axis=1, how="all"),
        f"{name}_vertices": pd.concat(points, ignore_index=True),
        f"{name}_faces": pd.concat(corners, ignore_index=True),
    }


def stored_surfaces(rows: pd.DataFrame, meshes: Inputs) -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """Return row, vertices and faces of each surface among the rows once, in the order of `shape`."""
    stored = []
    for row in rows.drop_duplicates("shape").sort_values("shape").itertuples():
        vertices_um = meshes["vertices_um"][row.first_vertex : row.first_vertex + row.n_vertices]
        stored.append((row, vertices_um, meshes["faces"][row.first_face : row.first_face + row.n_faces]))
    return stored


def grid(part: SubFigure, margins: Margins, gallery: Gallery, rows: str, columns: Sequence[str]) -> None:
    """Draw a grid of shapes: a row per value of the label `rows`, a column per combination of `columns`.

    The first of two `columns` makes named blocks. Values keep their order, or that of their categories. A
    combination without shape stays blank.
    """
    labels = gallery.labels
    row_values, narrow = _values(labels[rows]), _values(labels[columns[-1]])
    blocks = _values(labels[columns[0]]) if len(columns) == 2 else [""]
    is_slanted, margins = _room_for_titles(part, margins, [*map(layout.readable, narrow)], len(blocks))
    outer = part.add_gridspec(1, len(blocks), wspace=0.04, **margins)
    numbers = {key: i for i, key in enumerate(zip(*(labels[name] for name in (rows, *columns)), strict=True))}
    for place, block in zip(outer, blocks, strict=True):
        axes = place.subgridspec(len(row_values), len(narrow), wspace=0, hspace=0).subplots(squeeze=False)
        for axis, (row, column) in zip(axes.flat, product(row_values, narrow), strict=True):
            key = (row, block, column) if len(columns) == 2 else (row, column)
            if key in numbers:
                gallery.draw(axis, numbers[key])
            else:
                layout.shape_axes(axis, gallery.half_um)
        for axis, value in zip(axes[0], narrow, strict=True):
            axis.set_title(layout.readable(value), pad=1.5, **(_SLANTED if is_slanted else {}))
        heading = part.add_axes(place.get_position(part).bounds, frameon=False, xticks=[], yticks=[])
        heading.set_title(layout.readable(block), pad=10, weight="bold")
        if place.colspan.start == 0:
            _scale(axes[-1, 0], gallery)
            for axis, row in zip(axes[:, 0], row_values, strict=True):
                axis.set_ylabel(layout.readable(row), rotation=0, ha="right", va="center")


def _room_for_titles(
    part: SubFigure, margins: Margins, titles: Sequence[str], n_blocks: int
) -> tuple[bool, Margins]:
    """Return whether titles of columns are slanted, as they do not fit side by side, and the margins then."""
    wide, high = layout.width_mm(part), layout.height_mm(part)
    column_mm = wide * (margins["right"] - margins["left"]) / n_blocks / len(titles)
    widest_mm = layout.text_mm(titles, plt.rcParams["axes.titlesize"])
    if widest_mm + _GAP_MM <= column_mm or n_blocks > 1:
        return False, margins
    # What a slanted title takes more than an upright one: above, and to the right of the last column.
    up_mm, right_mm = 0.57 * widest_mm - 1, 0.82 * widest_mm - column_mm / 2
    room = {"top": margins["top"] - up_mm / high, "right": margins["right"] - max(right_mm, 0) / wide}
    return True, {**margins, **room}


def _values(labels: pd.Series) -> list[Any]:
    ordered = isinstance(labels.dtype, pd.CategoricalDtype)
    return list(labels.cat.categories) if ordered else list(dict.fromkeys(labels))


def _scale(axes: Axes, gallery: Gallery) -> None:
    known = gallery.unit == layout.UM and 8 <= gallery.half_um <= 40
    length = 5 if known else layout.scale_bar_length(gallery.half_um)
    layout.draw_scale_bar(axes, gallery.half_um, length, gallery.unit)


def wrap(part: SubFigure, margins: Margins, gallery: Gallery, titles: Sequence[str], *, n_rows: int) -> None:
    """Draw shapes with their titles one after the other in `n_rows` rows, or in more for wide titles."""
    n_lines = max(title.count("\n") for title in titles) + 1
    size = style.SMALL if n_lines > 1 else plt.rcParams["axes.titlesize"]
    inner_mm = layout.width_mm(part) * (margins["right"] - margins["left"])
    n_columns = min(
        -(-len(titles) // n_rows), max(1, int(inner_mm / (layout.text_mm(titles, size) + _GAP_MM)))
    )
    n_rows = -(-len(titles) // n_columns)
    # Room for the titles between rows, in shares of a picture's height.
    tall_mm = layout.height_mm(part) * (margins["top"] - margins["bottom"]) / n_rows
    spacing = {"wspace": 0, "hspace": min(0.6, 3.2 * n_lines / max(tall_mm - 3.2 * n_lines, 1))}
    axes = part.subplots(n_rows, n_columns, squeeze=False, gridspec_kw={**spacing, **margins})
    for axis in axes.flat:
        axis.set_axis_off()
    for i, (axis, title) in enumerate(zip(axes.flat, titles, strict=False)):
        gallery.draw(axis, i)
        axis.set_title(title, pad=1.5, fontsize=size)
    layout.shape_axes(axes[-1, 0], gallery.half_um)
    _scale(axes[-1, 0], gallery)
