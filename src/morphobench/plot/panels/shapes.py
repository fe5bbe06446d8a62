"""Shapes side by side: examples, archetypes, walks, means of volume bins, rotated cells.

The option `role` names which. Real cells stand for decoded shapes where the panel's tables are surfaces.
"""

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import SubFigure

from morphobench.plot import gallery, layout, style
from morphobench.plot.clouds import COORDINATES, central_section, centre_clouds
from morphobench.plot.context import Context, EmptyPanel, Inputs, Tables, require
from morphobench.plot.gallery import Gallery


class Role(NamedTuple):
    """Where the shapes of a role come from.

    Attributes
    ----------
    table
        Table of their clouds.
    keys
        Its columns that identify a shape.
    name
        Of the panel's table.
    decoded
        Whether the clouds are canonical shapes, whose position means nothing.
    """

    table: str
    keys: list[str]
    name: str
    decoded: bool


ROLES = {
    "example": Role("examples", ["stratum"], "examples", decoded=False),
    "archetype": Role("archetypes", ["archetype"], "archetypes", decoded=True),
    "walk": Role("walks", ["stratum", "component", "sigma"], "walks", decoded=True),
    "volume_bin": Role("volume_bin_shapes", ["bin"], "shapes", decoded=True),
    "rotation": Role("rotations", ["stratum", "degrees", "kind"], "rotations", decoded=False),
}
_BIN = ["bin", "lo_um3", "hi_um3", "n"]


def tables(inputs: Inputs, context: Context) -> Tables:
    """Return the shapes of the role, with the limits of volume bins or the numbers of cells, if asked for."""
    name = context.options["role"]
    role = ROLES[name]
    own = {}
    if name == "volume_bin":
        own["volume_bins"] = require(inputs, "volume_bins", _BIN, "no volume bins")
    if "surfaces" in inputs:
        own |= gallery.mesh_tables(inputs, name, role.name)
    else:
        points = require(inputs, role.table, [*role.keys, *COORDINATES], "no shapes to show")
        points = centre_clouds(points, role.keys) if role.decoded else points
        own[role.name] = central_section(points, role.keys, context.options.get("section"))
    shapes = own[role.name]
    if name == "walk":
        shapes = shapes[shapes["component"] < context.options.get("components", 1)]
        if shapes.empty:
            raise EmptyPanel("no shapes to show")
    if "stratum" in role.keys:
        shapes = context.sort_strata(shapes)
    own[role.name] = shapes
    if "pca_scores" in inputs:
        cells = require(inputs, "pca_scores", ["CellId", "stratum"])
        counts = cells.groupby("stratum", sort=False)["CellId"].nunique().rename("n").reset_index()
        own["counts"] = context.sort_strata(counts)
    return own


def draw(part: SubFigure, tables: Tables, context: Context) -> None:
    """Draw walks and rotated cells in a grid, other shapes in `n_rows` rows."""
    name = context.options["role"]
    role = ROLES[name]
    if name == "rotation":
        _draw_rotations(part, tables[role.name], context)
        return
    density = {"size": 1.5, "max_points": 512} if name == "example" else {}
    shapes = gallery.from_tables(tables, role.name, role.keys, context, **density)
    if name == "walk":
        _draw_walks(part, shapes, context)
        return
    titles = _titles(part, shapes.labels, tables, context)
    head = 11 if "\n" in titles[0] else 8.5
    n_rows = context.options.get("n_rows", 1)
    gallery.wrap(part, layout.margins(part, head=head), shapes, titles, n_rows=n_rows)
    apart = tables[role.name].get("start_distance", pd.Series(dtype=float)).dropna()
    if len(apart):
        # Where there are no archetypes to find, every start finds others.
        said = f"archetypes of other starts: {apart.iloc[0]:.2g} radii away"
        part.text(0.99, 0.01, said, ha="right", va="bottom", fontsize=style.SMALL)


def _titles(part: SubFigure, labels: pd.DataFrame, tables: Tables, context: Context) -> list[str]:
    """Return the number of each archetype, the limits of each volume bin, or the name of each stratum."""
    if context.options["role"] == "archetype":
        narrow = layout.width_mm(part) * context.options.get("n_rows", 1) < 17 * len(labels)
        return [f"{'' if narrow else 'archetype '}{number + 1:g}" for number in labels["archetype"]]
    if context.options["role"] == "volume_bin":
        bins = tables["volume_bins"].set_index("bin").loc[labels["bin"]]
        return [f"{row.lo_um3:.0f}\u2013{row.hi_um3:.0f} µm³\nn = {row.n:.0f}" for row in bins.itertuples()]
    names = [context.name(stratum) for stratum in labels["stratum"]]
    if "counts" not in tables:
        return names
    counts = tables["counts"].set_index("stratum")["n"].reindex(labels["stratum"], fill_value=0)
    return [f"{name}\nn = {n:g}" for name, n in zip(names, counts, strict=True)]


def _draw_walks(part: SubFigure, shapes: Gallery, context: Context) -> None:
    """Draw a column per stratum and a row per step; the mean once, not in every component."""
    labels = shapes.labels
    several = labels["component"].nunique() > 1
    steps = layout.step_names(labels["sigma"])
    if several:
        numbered = zip(steps, labels["component"], strict=True)
        steps = [step if step == "mean" else f"PC {number + 1:g}, {step}" for step, number in numbered]
    names = [context.name(stratum) for stratum in labels["stratum"]]
    table = labels.assign(step=steps, name=names).sort_values(["component", "sigma"], kind="stable")
    order = table.index[~table.duplicated(["name", "step"])]
    # A categorical, because sorting the steps must not change the order of strata.
    columns = pd.Categorical(table.loc[order, "name"], list(dict.fromkeys(names)))
    chosen = shapes.with_labels(step=steps).take(order).with_labels(name=columns)
    gallery.grid(part, layout.margins(part, left=17 if several else 14), chosen, "step", ["name"])


def _draw_rotations(part: SubFigure, table: pd.DataFrame, context: Context) -> None:
    """Draw a row per stratum, a block per kind and a column per angle."""
    names = [context.name(stratum) for stratum in dict.fromkeys(table["stratum"])]
    table = layout.sort_by(table, "kind", ["input", "canonical", "reconstruction"])
    shapes = gallery.clouds(table, ROLES["rotation"].keys, size=0.8, max_points=256, unit=context.length_unit)
    shapes = shapes.with_labels(
        name=pd.Categorical([context.name(stratum) for stratum in shapes.labels["stratum"]], names),
        angle=[f"{degrees:g}°" for degrees in shapes.labels["degrees"]],
    )
    gallery.grid(part, layout.margins(part, left=16, head=11), shapes, "name", ["kind", "angle"])
