"""The manifest of a fabricated bucket: identifiers, measurements, and as many columns as a real one."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from morphobench.fabricate.cell import Cell

_FEATURES = (
    ("Texture",),
    ("2D",),
    ("Nucleus", "Cell", "Organelle"),
    ("Brightfield", "DNA", "Membrane", "Structure"),
    tuple(f"{kind}_projection_{axis}" for kind in ("max", "mean", "median") for axis in "xyz"),
    ("AngularSecondMoment", "Contrast", "Correlation", "Variance", "Entropy", "InfoMeas1", "InfoMeas2"),
    ("00", "01", "02", "03"),
    ("03", "05"),
)
_CELLS_PER_FIELD = 4
_FIELDS_PER_WELL = 8
_INTEGERS = (1_000_000, 10_000_000)


class Place(NamedTuple):
    """Where a cell stands in its bucket.

    Attributes
    ----------
    number
        In the whole bucket.
    of_class
        In its class.
    class_number
        Of the class, in the order of the bucket's yaml.
    """

    number: int
    of_class: int
    class_number: int


def identifier(kind: str, rng: np.random.Generator) -> str | int:
    """Draw a CellId: a random UUID as text (kind "uuid") or a number of seven digits (kind "integer")."""
    if kind == "uuid":
        return str(uuid.UUID(bytes=rng.bytes(16), version=4))
    return int(rng.integers(*_INTEGERS))


def _volume_um3(role: str) -> Callable[[Cell, Place], float]:
    def measure(cell: Cell, place: Place) -> float:
        return float(np.count_nonzero(cell.volumes[role]) * np.prod(cell.spacing_um_zyx))

    return measure


def _voxels(cell: Cell, place: Place) -> int:
    return int(np.count_nonzero(cell.volumes["nucleus_mask"]))


def _spacing_xyz(cell: Cell, place: Place) -> str:
    return json.dumps(list(cell.spacing_um_zyx[::-1]))


def _roi(cell: Cell, place: Place) -> str:
    shape_zyx = cell.volumes["structure"].shape
    return json.dumps(list(itertools.chain.from_iterable((0, n) for n in shape_zyx)))


def _field(cell: Cell, place: Place) -> int:
    return place.number // _CELLS_PER_FIELD + 1


def _well(cell: Cell, place: Place) -> str:
    row, column = divmod(place.class_number, 10)
    return f"{'BCDEFG'[row % 6]}{column + 2}"


def _well_field(cell: Cell, place: Place) -> str:
    return f"{_well(cell, place)}_{place.of_class % _FIELDS_PER_WELL + 1}"


# What a column of the manifest may hold, by the name in the bucket's yaml.
MEASURES: dict[str, Callable[[Cell, Place], Any]] = {
    "nucleus_voxels": _voxels,
    "nucleus_um3": _volume_um3("nucleus_mask"),
    "cell_um3": _volume_um3("cell_mask"),
    "spacing_xyz": _spacing_xyz,
    "roi": _roi,
    "field": _field,
    "well": _well,
    "well_field": _well_field,
}


def values(columns: Mapping[str, Any], cell: Cell, place: Place) -> dict[str, Any]:
    """Return a cell's entries of the manifest.

    Parameters
    ----------
    columns
        By column: a value for all cells; a list, whose values take turns within a class; or a mapping with
        key measure, a key of `MEASURES`.
    cell
        The cell.
    place
        Where it stands.
    """
    found = {}
    for name, value in columns.items():
        if isinstance(value, Mapping):
            found[name] = MEASURES[value["measure"]](cell, place)
        else:
            found[name] = value[place.of_class % len(value)] if isinstance(value, list) else value
    return found


def features(n_columns: int, rng: np.random.Generator) -> dict[str, float]:
    """Draw entries of columns named as the texture features of the real manifest; they mean nothing."""
    names = ("_".join(parts) for parts in itertools.product(*_FEATURES))
    chosen = list(itertools.islice(names, n_columns))
    return dict(zip(chosen, rng.random(len(chosen)).round(6).tolist(), strict=True))
