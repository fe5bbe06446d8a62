"""Page that rotates the archetypes and walks of a dataset in the browser, without a network."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs

from morphobench.files import FilePath, atomic_file
from morphobench.plot import layout, style
from morphobench.plot.clouds import COORDINATES
from morphobench.plot.figure import read_inputs
from morphobench.plot.gallery import stored_surfaces

_TEMPLATE = Path(__file__).with_name("shapes.html")
_MAX_POINTS = 1024
_HELP = "Drag to rotate, scroll to zoom; the camera stays while you change the step."

Shape = Mapping[str, np.ndarray]


def page(
    groups: Sequence[Mapping[str, Any]], shapes: Sequence[Shape], *, title: str, unit: str, note: str
) -> str:
    """Return the page.

    `groups` have name, walk (whether they are the steps of a walk) and steps, each with name and shape, a
    number. `shapes` have points (n, 3), in `unit`, and surfaces also faces (m, 3).
    """
    half_um = max((np.abs(shape["points"]).max() for shape in shapes if len(shape["points"])), default=1.0)
    columns, half_um = [_by_column(shape) for shape in shapes], float(np.ceil(half_um))
    data = {"groups": groups, "shapes": columns, "half_um": half_um, "unit": unit, "color": style.SURFACE}
    # A name could end the script that it stands in.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    values = {"title": html.escape(title), "note": html.escape(note), "plotly": get_plotlyjs(), "data": text}
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def _by_column(shape: Shape) -> dict[str, Any]:
    """Convert arrays into lists by column, points to hundredths of a micrometre."""
    points = np.round(np.asarray(shape["points"], float), 2).T.tolist()
    faces = shape.get("faces")
    return {"xyz": points} if faces is None else {"xyz": points, "faces": np.asarray(faces).T.tolist()}


def group_steps(labels: pd.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Arrange items in groups: the archetypes, then one walk per stratum and component.

    `labels` have shape, and archetype or stratum, component and sigma; `names` those of strata in order.
    """
    groups = []
    archetypes = labels[labels["archetype"].notna()].sort_values("archetype")
    if len(archetypes):
        steps = [f"archetype {number + 1:g}" for number in archetypes["archetype"]]
        groups.append(_group("archetypes", steps, archetypes["shape"], walk=False))
    walks = layout.sort_by(labels[labels["sigma"].notna()], "stratum", list(names))
    for (stratum, component), part in walks.groupby(["stratum", "component"], sort=False):
        part = part.sort_values("sigma")
        stratum_name = names.get(str(stratum)) or layout.readable(stratum)
        name = f"walk: {stratum_name}, component {component + 1:g}"
        groups.append(_group(name, layout.step_names(part["sigma"]), part["shape"], walk=True))
    return groups


def _group(name: str, steps: Sequence[str], shapes: pd.Series, *, walk: bool) -> dict[str, Any]:
    listed = [{"name": step, "shape": int(shape)} for step, shape in zip(steps, shapes, strict=True)]
    return {"name": name, "walk": walk, "steps": listed}


def read_clouds(inputs: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[Shape]]:
    """Return labels and clouds of decoded archetypes and walks, subsampled for a browser."""
    rows, shapes = [], []
    for name, keys in (("archetypes", ["archetype"]), ("walks", ["stratum", "component", "sigma"])):
        table = inputs.get(name, pd.DataFrame(columns=keys))
        for key, part in table.groupby(keys, sort=False):
            rows.append({**dict(zip(keys, key, strict=True)), "shape": len(shapes)})
            points = part[COORDINATES].to_numpy()
            shapes.append({"points": points[:: max(1, len(points) // _MAX_POINTS)]})
    return pd.DataFrame(rows, columns=["archetype", "stratum", "component", "sigma", "shape"]), shapes


def read_surfaces(inputs: Mapping[str, Any]) -> tuple[pd.DataFrame, list[Shape]]:
    """Return labels and surfaces of the cells nearest to archetypes and walks."""
    items = inputs["surfaces"]
    labels = items[items["role"].isin(["archetype", "walk"])].reset_index(drop=True)
    stored = stored_surfaces(labels, inputs["meshes"])
    shapes = [{"points": vertices, "faces": faces} for _, vertices, faces in stored]
    number = {row.shape: i for i, (row, *_) in enumerate(stored)}
    return labels.assign(shape=labels["shape"].map(number)), shapes


def run(
    inputs: Mapping[str, FilePath], out: FilePath, *, title: str, unit: str, strata: Mapping[str, str]
) -> None:
    """Write the page of a dataset, one file, from the tables walks and archetypes or surfaces and meshes."""
    tables = read_inputs(inputs)
    labels, shapes = read_surfaces(tables) if "surfaces" in tables else read_clouds(tables)
    source = "Cells nearest to" if "surfaces" in tables else "Canonical shapes decoded from"
    note = f"{source} the archetypes and the walks along principal components of the latent space. {_HELP}"
    with atomic_file(out) as part:
        steps = group_steps(labels, strata)
        part.write_text(page(steps, shapes, title=title, unit=unit, note=note), encoding="utf-8")
