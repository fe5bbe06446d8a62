"""Files of packings: positions of spheres, and the manifest of the shapes that they are packed in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files.layout import POSITION_KEYS

SHAPE_MANIFEST = "manifest.csv"


def read_positions(path: str | Path) -> np.ndarray:
    """Read the sphere centres of a published packing, shape (n, 3), packing units, depth first.

    Raises
    ------
    InputError
        When the file is missing, is no JSON, or holds no list of points.
    """
    remedy = "Download or pack it again."
    try:
        data = json.loads(Path(path).read_text())
        for key in POSITION_KEYS:
            data = data[key]
        positions = np.array(data, dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not readable as a packing ({type(error).__name__}: {error}); expected JSON with "
            f"{' / '.join(POSITION_KEYS)}. {remedy}"
        ) from error
    if positions.ndim != 2 or positions.shape[1] != 3 or len(positions) == 0:
        raise InputError(f"{path}: expected points of shape (n, 3), found {positions.shape}. {remedy}")
    if not np.isfinite(positions).all():
        raise InputError(f"{path}: some coordinates are not finite. {remedy}")
    return positions


def read_shapes(path: Path) -> pd.DataFrame:
    """Read the columns CellId and angle of a manifest of reference shapes, as text, sorted by CellId.

    Raises
    ------
    InputError
        When the manifest or one of the columns is missing, or an id is missing or repeated.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Point source.shapes at a folder with {path.name} and one mesh per shape."
        )
    try:
        shapes = pd.read_csv(path, dtype={"CellId": str, "angle": str})
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not readable as CSV ({error}). Restore or export it again.") from error
    missing = [column for column in ("CellId", "angle") if column not in shapes]
    if missing:
        raise InputError(
            f"{path}: column {', '.join(missing)} is missing; add it (found {', '.join(shapes)})."
        )
    if shapes[["CellId", "angle"]].isna().any(axis=None):
        raise InputError(f"{path}: some rows have no CellId or no angle. Complete or remove them.")
    repeated = shapes.loc[shapes["CellId"].duplicated(), "CellId"].unique()
    if len(repeated):
        raise InputError(
            f"{path}: CellId {', '.join(repeated[:5])} occurs more than once. Keep one row for each shape."
        )
    return shapes[["CellId", "angle"]].sort_values("CellId", ignore_index=True)
