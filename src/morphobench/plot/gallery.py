"""Shapes side by side at one scale: clouds of points, or surfaces rendered or drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import SubFigure
from matplotlib.transforms import Bbox

from morphobench.plot import layout, style
from morphobench.plot.context import Context, Missing
from morphobench.plot.render import centred, seen, shades

COORDINATES = ["x_um", "y_um", "z_um"]
CORNERS = ["corner_0", "corner_1", "corner_2"]
Margins = Mapping[str, float]


class Gallery(NamedTuple):
    """Shapes ready to be drawn.

    Attributes
    ----------
    labels
        One row per shape, index 0, 1, ...
    half_um
        Half the width of every picture, micrometres.
    paint
        Draws one shape, by its number, into axes.
    """

    labels: pd.DataFrame
    half_um: float
    paint: Callable[[Axes, int], None]

    def take(self, numbers: Sequence[int]) -> Gallery:
        """Return these shapes in this order, at the scale of all."""
        labels = self.labels.iloc[list(numbers)].reset_index(drop=True)
        return Gallery(labels, self.half_um, lambda axes, i: self.paint(axes, int(numbers[i])))

    def named(self, **columns: Sequence[Any]) -> Gallery:
        """Return the same shapes with further label columns."""
        return self._replace(labels=self.labels.assign(**columns))


def clouds(table: pd.DataFrame, by: Sequence[str], *, size: float, max_points: int) -> Gallery:
    """Make a gallery of clouds out of rows of points, one cloud per combination of the columns `by`."""
    groups = list(table.groupby(list(by), sort=False, dropna=False))
    labels = pd.DataFrame([part.iloc[0].drop(COORDINATES) for _, part in groups]).reset_index(drop=True)
    points = [part[COORDINATES].to_numpy() for _, part in groups]
    half_um = layout.half_width(table)
    return Gallery(
        labels,
        half_um,
        lambda axes, i: layout.cloud(axes, points[i], half_um=half_um, size=size, max_points=max_points),
    )


def surfaces(
    labels: pd.DataFrame, vertices: pd.DataFrame, faces: pd.DataFrame, pictures: Sequence[np.ndarray] | None
) -> Gallery:
    """Make a gallery of surfaces; without pictures of them, every triangle is drawn.

    Parameters
    ----------
    labels
        One row per shape, with the column `shape`.
    vertices, faces
        Columns shape, x_um, y_um, z_um and shape, corner_0, corner_1, corner_2.
    pictures
        One for each row of `labels`, or None.
    """
    meshes = meshes_of(labels, vertices, faces)
    half_um = reach(meshes)

    def paint(axes: Axes, i: int) -> None:
        layout.bare(axes, half_um)
        if pictures is not None:
            axes.imshow(
                pictures[i], extent=(-half_um, half_um, -half_um, half_um), interpolation="antialiased"
            )
        else:
            _draw_triangles(axes, *meshes[i])

    return Gallery(labels.reset_index(drop=True), half_um, paint)


def meshes_of(
    labels: pd.DataFrame, vertices: pd.DataFrame, faces: pd.DataFrame
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return vertices, centred, and faces of every row of `labels`."""
    points = {shape: part[COORDINATES].to_numpy(np.float64) for shape, part in vertices.groupby("shape")}
    corners = {shape: part[CORNERS].to_numpy(np.int64) for shape, part in faces.groupby("shape")}
    return [(centred(points[shape]), corners[shape]) for shape in labels["shape"]]


def reach(meshes: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return half the width that shows every mesh as seen from the fixed side, micrometres."""
    return float(np.ceil(1.05 * max(np.abs(seen(vertices)[:, :2]).max() for vertices, _ in meshes)))


def _draw_triangles(axes: Axes, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Draw a surface far to near, each triangle in the shade that its slope has."""
    points = seen(vertices)
    triangles = points[faces]
    order = np.argsort(triangles[:, :, 2].mean(axis=1), kind="stable")
    colors = shades(triangles)[order]
    # Edges in the colour of their face close the hairlines between triangles.
    axes.add_collection(
        PolyCollection(triangles[order][:, :, :2], facecolors=colors, edgecolors=colors, lw=0.2)
    )


def from_tables(
    tables: Mapping[str, pd.DataFrame],
    name: str,
    by: Sequence[str],
    context: Context,
    *,
    size: float = 1.1,
    max_points: int = 384,
) -> Gallery:
    """Make a gallery of a panel's table: surfaces where it has faces beside it, else clouds."""
    if f"{name}_faces" not in tables:
        return clouds(tables[name], by, size=size, max_points=max_points)
    pictures = context.pictures.get(name)
    return surfaces(tables[name], tables[f"{name}_vertices"], tables[f"{name}_faces"], pictures)


def mesh_tables(
    inputs: Mapping[str, Any], role: str, name: str, strata: Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Return the panel tables of the surfaces that play a role: labels, vertices, faces.

    Parameters
    ----------
    inputs
        With the tables `shown` and `meshes` of `morphobench.analyse.surfaces`.
    role
        What they are shown as.
    name
        Of the panel's table.
    strata
        Only these, where given.

    Raises
    ------
    Missing
        When no surface plays this role.
    """
    shown, meshes = inputs["surfaces"], inputs["meshes"]
    chosen = (shown["role"] == role) & (True if strata is None else shown["stratum"].isin(strata))
    rows = shown[chosen].reset_index(drop=True)
    if rows.empty:
        raise Missing("no shapes to show")
    wanted = rows.drop_duplicates("shape").sort_values("shape")
    points, corners = [], []
    for row in wanted.itertuples():
        vertices = meshes["vertices_um"][row.first_vertex : row.first_vertex + row.n_vertices]
        faces = meshes["faces"][row.first_face : row.first_face + row.n_faces]
        points.append(pd.DataFrame(vertices, columns=COORDINATES).assign(shape=row.shape))
        corners.append(pd.DataFrame(faces, columns=CORNERS).assign(shape=row.shape))
    stored = ["first_vertex", "n_vertices", "first_face", "n_faces"]
    labels = rows.drop(columns=stored).dropna(axis=1, how="all")
    return {
        name: labels,
        f"{name}_vertices": pd.concat(points, ignore_index=True),
        f"{name}_faces": pd.concat(corners, ignore_index=True),
    }


def grid(part: SubFigure, margins: Margins, gallery: Gallery, rows: str, columns: Sequence[str]) -> None:
    """Draw a grid of shapes: one row per value of `rows`, one column per combination of `columns`.

    Parameters
    ----------
    margins
        Left, right, top and bottom of the grid, as shares of the part.
    gallery
        Its labels have the columns named; values keep their order, or have that of their categories. A
        combination without shape stays blank.
    rows, columns
        Names of label columns. The first of two `columns` makes named blocks.
    """
    labels = gallery.labels
    row_values, narrow = _values(labels[rows]), _values(labels[columns[-1]])
    blocks = _values(labels[columns[0]]) if len(columns) == 2 else [""]
    outer = part.add_gridspec(1, len(blocks), wspace=0.04, **margins)
    places = {key: i for i, key in enumerate(zip(*(labels[name] for name in (rows, *columns)), strict=True))}
    for place, block in zip(outer, blocks, strict=True):
        axes = place.subgridspec(len(row_values), len(narrow), wspace=0, hspace=0).subplots(squeeze=False)
        for axis, (row, column) in zip(axes.flat, product(row_values, narrow), strict=True):
            key = (row, block, column) if len(columns) == 2 else (row, column)
            _paint(axis, gallery, places.get(key))
        _name(axes[0], narrow)
        _above(part, place.get_position(part), layout.pretty(block))
        if place.colspan.start == 0:
            _scale(axes[-1, 0], gallery.half_um)
            for axis, row in zip(axes[:, 0], row_values, strict=True):
                axis.set_ylabel(layout.pretty(row), rotation=0, ha="right", va="center")


def _values(labels: pd.Series) -> list[Any]:
    ordered = isinstance(labels.dtype, pd.CategoricalDtype)
    return list(labels.cat.categories) if ordered else list(dict.fromkeys(labels))


def _paint(axes: Axes, gallery: Gallery, number: int | None) -> None:
    if number is None:
        layout.bare(axes, gallery.half_um)
    else:
        gallery.paint(axes, number)


def _scale(axes: Axes, half_um: float) -> None:
    length_um = 5 if 8 <= half_um <= 40 else layout.round_length(half_um)
    layout.scale_bar(axes, half_um, length_um)


def _name(axes: Sequence[Axes], values: Sequence[Any]) -> None:
    for axis, value in zip(axes, values, strict=True):
        axis.set_title(layout.pretty(value), pad=1.5)


def _above(part: SubFigure, box: Bbox, text: str) -> None:
    """Write the name of a block of panels above their titles."""
    axes = part.add_axes(box.bounds, frameon=False, xticks=[], yticks=[])
    axes.set_title(text, pad=10, weight="bold")


def wrap(part: SubFigure, margins: Margins, gallery: Gallery, label: str, *, n_rows: int) -> None:
    """Draw one shape after the other in `n_rows` rows, its value in the column `label` above each."""
    n_columns = -(-len(gallery.labels) // n_rows)
    lines = max(str(text).count("\n") for text in gallery.labels[label]) + 1
    # Room for the titles between rows, in shares of a picture's height.
    tall_mm = layout.height_mm(part) * (margins["top"] - margins["bottom"]) / n_rows
    spacing = {"wspace": 0, "hspace": min(0.6, 3.2 * lines / max(tall_mm - 3.2 * lines, 1))}
    axes = part.subplots(n_rows, n_columns, squeeze=False, gridspec_kw={**spacing, **margins})
    for axis in axes.flat:
        axis.set_axis_off()
    for i, (axis, name) in enumerate(zip(axes.flat, gallery.labels[label], strict=False)):
        gallery.paint(axis, i)
        axis.set_title(layout.pretty(name), pad=1.5, fontsize=style.SMALL if lines > 1 else None)
    layout.bare(axes[-1, 0], gallery.half_um)
    _scale(axes[-1, 0], gallery.half_um)
