"""The manifest of a fabricated bucket: identifiers, measurements, and as many columns as a real one."""

import itertools
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from morphobench.fabricate.cell import Cell

_FEATURES = (
    ("Texture_2D",),
    ("Nucleus", "Cell", "Organelle"),
    ("Brightfield", "DNA", "Membrane", "Structure"),
    tuple(f"{kind}_projection_{axis}" for kind in ("max", "mean", "median") for axis in "xyz"),
    ("AngularSecondMoment", "Contrast", "Correlation", "Variance", "Entropy", "InfoMeas1", "InfoMeas2"),
    ("00", "01", "02", "03"),
    ("03", "05"),
)
_CELLS_PER_FIELD = 4
_FIELDS_PER_WELL = 8


class Place(NamedTuple):
    """Where a cell stands: in the bucket, in its class, and its class among those of the bucket's yaml."""

    number: int
    of_class: int
    class_number: int


def identifier(kind: str, rng: np.random.Generator) -> str | int:
    """Draw a CellId: a random UUID as text (kind "uuid") or a number of seven digits (kind "integer")."""
    if kind == "uuid":
        return str(uuid.UUID(bytes=rng.bytes(16), version=4))
    return int(rng.integers(1_000_000, 10_000_000))


def _um3(cell: Cell, role: str) -> float:
    return float(np.count_nonzero(cell.volumes[role]) * np.prod(cell.spacing_um_zyx))


def _well(place: Place) -> str:
    row, column = divmod(place.class_number, 10)
    return f"{'BCDEFG'[row % 6]}{column + 2}"


# What a column of the manifest may hold, by the name in the bucket's yaml.
MEASURES: dict[str, Callable[[Cell, Place], Any]] = {
    "nucleus_voxels": lambda cell, _: int(np.count_nonzero(cell.volumes["nucleus_mask"])),
    "nucleus_um3": lambda cell, _: _um3(cell, "nucleus_mask"),
    "cell_um3": lambda cell, _: _um3(cell, "cell_mask"),
    "spacing_xyz": lambda cell, _: json.dumps(list(cell.spacing_um_zyx[::-1])),
    "roi": lambda cell, _: json.dumps([edge for n in cell.volumes["structure"].shape for edge in (0, n)]),
    "field": lambda _, place: place.number // _CELLS_PER_FIELD + 1,
    "well": lambda _, place: _well(place),
    "well_field": lambda _, place: f"{_well(place)}_{place.of_class % _FIELDS_PER_WELL + 1}",
}


def values(columns: Mapping[str, Any], cell: Cell, place: Place) -> dict[str, Any]:
    """Return a cell's entries of the manifest.

    `columns` gives by column a value for all cells; a list, whose values take turns within a class; or a
    mapping with key measure, a key of `MEASURES`.
    """
    entries = dict(columns)
    for name, value in columns.items():
        if isinstance(value, Mapping):
            entries[name] = MEASURES[value["measure"]](cell, place)
        elif isinstance(value, list):
            entries[name] = value[place.of_class % len(value)]
    return entries


def features(n_columns: int, rng: np.random.Generator) -> dict[str, float]:
    """Draw entries of columns named as the texture features of the real manifest; they mean nothing."""
    names = ("_".join(parts) for parts in itertools.product(*_FEATURES))
    chosen = list(itertools.islice(names, n_columns))
    return dict(zip(chosen, rng.random(len(chosen)).round(6).tolist(), strict=True))
