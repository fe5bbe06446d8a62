"""Files of packings: positions of spheres, and the manifest of the shapes that they are packed in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import FilePath, identifiers, limits, manifests
from morphobench.files.layout import POSITION_KEYS, positions_name

# A hundred thousand spheres.
_MOST_BYTES = 2**24
SHAPE_MANIFEST = "manifest.csv"


def read_positions(path: FilePath) -> np.ndarray:
    """Read the sphere centres of a published packing, shape (n, 3), packing units, depth first.

    Raises
    ------
    InputError
        When the file is missing, is no JSON, or holds no list of points.
    """
    remedy = "Download or pack it again."
    try:
        limits.check_bytes(path, Path(path).stat().st_size, _MOST_BYTES)
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        for key in POSITION_KEYS:
            data = data[key]
        positions = np.array(data, dtype=np.float64)
    except InputError:
        raise
    # Brackets without end and numbers without end among them.
    except (OSError, ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        expected = f"expected JSON with {' / '.join(POSITION_KEYS)}"
        reason = f"not readable as a packing ({repr(error)[:300]})"
        raise InputError(f"{path}: {reason}; {expected}. {remedy}") from error
    if positions.ndim != 2 or positions.shape[1] != 3 or len(positions) == 0:
        raise InputError(f"{path}: expected points of shape (n, 3), found {positions.shape}. {remedy}")
    if not np.isfinite(positions).all():
        raise InputError(f"{path}: some coordinates are not finite. {remedy}")
    return positions


def read_shapes(path: Path) -> pd.DataFrame:
    """Read the columns CellId and angle of a manifest of reference shapes, as text, sorted by CellId.

    Column `error` says which of them, or both together, cannot be part of a file name; empty when they can.

    Raises
    ------
    InputError
        When the manifest or one of the columns is missing, or an id is missing or repeated.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. Point source.shapes at its folder, with one mesh per shape.")
    shapes = manifests.read(path, [], ["CellId", "angle"], optional=[])
    manifests.check_unique(path, shapes["CellId"])
    shapes = shapes.assign(both=shapes["CellId"] + "_" + shapes["angle"])
    errors = identifiers.faults(shapes, ["CellId", "angle", "both"])
    shapes = shapes.assign(error=errors.mask(errors != "", f"{path}: " + errors))
    return shapes[["CellId", "angle", "error"]].sort_values("CellId", ignore_index=True)


def mesh_names(source: Mapping[str, Any], shape: str, angle: str) -> list[str]:
    """Return the names that a shape's mesh may have in the source, by its format."""
    return [f"{source['shapes']}/{shape}_{angle}{suffix}" for suffix in (".obj", ".ply", ".stl")]


def file_names(dataset: Mapping[str, Any], shapes: pd.DataFrame) -> set[str]:
    """Return the names that files of shapes may have in the source."""
    source, names = dataset["source"], set()
    for shape in shapes[shapes["error"] == ""].itertuples(index=False):
        names.update(mesh_names(source, shape.CellId, shape.angle))
        if source["packings"] is not None:
            packings = (positions_name(rule, shape.CellId, shape.angle) for rule in dataset["rules"])
            names |= {f"{source['packings']}/{name}" for name in packings}
    return names


def chosen_shapes(shapes: pd.DataFrame, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Return as many shapes as make up max_cells, at least one."""
    max_cells = dataset["source"].get("max_cells")
    n_shapes = None if max_cells is None else max(1, max_cells // len(dataset["rules"]))
    return shapes[shapes["CellId"].isin(manifests.chosen(shapes["CellId"], n_shapes))]
