"""A page on which the archetypes and walks of a dataset are turned in the browser, without a network."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from morphobench.files import atomic_file
from morphobench.plot import layout, style
from morphobench.plot.figure import read_inputs
from morphobench.plot.gallery import COORDINATES

_TEMPLATE = Path(__file__).with_name("shapes.html")
_MAX_POINTS = 1024
_HOW = "Drag to turn, scroll to come nearer; the camera stays while you change the step."


def page(
    groups: Sequence[Mapping[str, Any]], shapes: Sequence[Mapping[str, np.ndarray]], *, title: str, note: str
) -> str:
    """Return the page.

    Parameters
    ----------
    groups
        name, walk (whether its steps are those of a walk), steps: each name and shape, a number.
    shapes
        points, shape (n, 3), micrometres; and faces, shape (m, 3), of surfaces.
    title, note
        Above the picture.
    """
    from plotly.offline import get_plotlyjs

    drawn = [_listed(shape) for shape in shapes]
    half_um = max((np.abs(shape["points"]).max() for shape in shapes if len(shape["points"])), default=1.0)
    data = {
        "groups": groups,
        "shapes": drawn,
        "half_um": float(np.ceil(half_um)),
        "color": style.SURFACE,
    }
    # A name could end the script that it stands in.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    values = {"title": html.escape(title), "note": html.escape(note), "plotly": get_plotlyjs(), "data": text}
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def _listed(shape: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Turn arrays into lists by column, lengths in hundredths of a micrometre."""
    points = np.round(np.asarray(shape["points"], float), 2).T.tolist()
    faces = shape.get("faces")
    return {"xyz": points} if faces is None else {"xyz": points, "faces": np.asarray(faces).T.tolist()}


def groups_of(labels: pd.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Arrange shapes in groups: the archetypes, then one walk per stratum and component.

    Parameters
    ----------
    labels
        One row per thing to show: shape, and archetype or stratum, component and sigma.
    names
        How figures call strata, in their order.
    """
    groups = []
    extremes = labels[labels["archetype"].notna()].sort_values("archetype")
    if len(extremes):
        steps = [
            {"name": f"archetype {row.archetype + 1:g}", "shape": int(row.shape)}
            for row in extremes[["archetype", "shape"]].itertuples(index=False, name="Row")
        ]
        groups.append({"name": "archetypes", "walk": False, "steps": steps})
    walks = layout.in_order(labels[labels["sigma"].notna()], "stratum", list(names))
    for (stratum, component), part in walks.groupby(["stratum", "component"], sort=False):
        part = part.sort_values("sigma")
        name = f"walk: {names.get(str(stratum)) or layout.pretty(stratum)}, component {component + 1:g}"
        steps = [
            {"name": step, "shape": int(shape)}
            for step, shape in zip(layout.steps(part["sigma"]), part["shape"], strict=True)
        ]
        groups.append({"name": name, "walk": True, "steps": steps})
    return groups


def of_clouds(inputs: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[dict[str, np.ndarray]]]:
    """Return labels and clouds of decoded archetypes and walks, thinned for a browser."""
    rows, shapes = [], []
    for name, keys in (("archetypes", ["archetype"]), ("walks", ["stratum", "component", "sigma"])):
        table = inputs.get(name, pd.DataFrame(columns=keys))
        for key, part in table.groupby(keys, sort=False):
            rows.append({**dict(zip(keys, key, strict=True)), "shape": len(shapes)})
            points = part[COORDINATES].to_numpy()
            shapes.append({"points": points[:: max(1, len(points) // _MAX_POINTS)]})
    return pd.DataFrame(rows, columns=["archetype", "stratum", "component", "sigma", "shape"]), shapes


def of_surfaces(inputs: Mapping[str, Any]) -> tuple[pd.DataFrame, list[dict[str, np.ndarray]]]:
    """Return labels and surfaces of the real cells nearest to archetypes and walks."""
    shown, meshes = inputs["surfaces"], inputs["meshes"]
    labels = shown[shown["role"].isin(["archetype", "walk"])].reset_index(drop=True)
    found = labels.drop_duplicates("shape").sort_values("shape")
    shapes = [
        {
            "points": meshes["vertices_um"][row.first_vertex : row.first_vertex + row.n_vertices],
            "faces": meshes["faces"][row.first_face : row.first_face + row.n_faces],
        }
        for row in found.itertuples()
    ]
    number = {shape: i for i, shape in enumerate(found["shape"])}
    return labels.assign(shape=labels["shape"].map(number)), shapes


def run(inputs: Mapping[str, str | Path], out: str | Path, *, title: str, strata: Mapping[str, str]) -> None:
    """Write the page of a dataset.

    Parameters
    ----------
    inputs
        Paths of the tables walks and archetypes, or of surfaces and meshes.
    out
        Page to write, one file that needs no other.
    title
        Heading.
    strata
        How figures call strata, in their order.
    """
    found = read_inputs(inputs)
    surfaces = "surfaces" in found
    labels, shapes = of_surfaces(found) if surfaces else of_clouds(found)
    what = "The real cells nearest to" if surfaces else "Canonical shapes decoded from"
    note = f"{what} the archetypes and the walks along principal components of the latent space. {_HOW}"
    with atomic_file(out) as part:
        part.write_text(page(groups_of(labels, strata), shapes, title=title, note=note), encoding="utf-8")
