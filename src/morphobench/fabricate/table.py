"""The manifest of a fabricated bucket: identifiers, measurements, and as many columns as a real one."""

import itertools
import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from morphobench.fabricate.cell import Cell

# Any number would do: from this one, with the demo's seed, most classes have cells in every split of fields.
_FIRST_FIELD = 37_149
_FIELDS_PER_STRUCTURE = 100


class Place(NamedTuple):
    """Where a cell stands: in its class, in a field of view, and in the bucket's wells, where it has any.

    Attributes
    ----------
    of_class
        Of the cell in its class, from 0.
    field
        Number of the field, whose cells have one structure and are of different classes.
    plate, well
        Text that names the plate, such as ``3500002930_100X``, and the well, such as ``E07``.
    position
        Of the field on its plate, from 1: fields are counted through all wells, the same on every plate.
    """

    of_class: int
    field: int
    plate: str = ""
    well: str = ""
    position: int = 0


def place(bucket: Mapping[str, Any], label: str, number: int) -> Place:
    """Place a cell by its number within its class: plates take turns, then wells; two share a position."""
    structures = {name: look["columns"].get("structure_name") for name, look in bucket["classes"].items()}
    alike = [name for name, structure in structures.items() if structure == structures[label]]
    first = _FIRST_FIELD + list(structures).index(alike[0]) * _FIELDS_PER_STRUCTURE
    # Further cells of a structure have fields behind those of all structures.
    turn, within = divmod(2 * number + alike.index(label) % 2, _FIELDS_PER_STRUCTURE)
    field = first + within + turn * _FIELDS_PER_STRUCTURE * len(structures)
    plates = bucket["plates"]
    if plates is None:
        return Place(number, field)
    wells = sorted({well for look in bucket["classes"].values() for well in look["wells"]})
    own_wells = bucket["classes"][label]["wells"]
    turn, plate = divmod(number, len(plates["names"]))
    turn, well = divmod(turn, len(own_wells))
    position = wells.index(own_wells[well]) * plates["fields_per_well"] + turn // 2 + 1
    return Place(number, field, plates["names"][plate], own_wells[well], position)


def index_columns(n_columns: int) -> list[str]:
    """Return the names that pandas gives to the indices of tables that were written again and again."""
    return [f"Unnamed: 0.{number}" if number else "Unnamed: 0" for number in range(n_columns)]


def identifier(kind: str, rng: np.random.Generator, taken: Collection[str | int] = ()) -> str | int:
    """Draw a CellId that is not taken: a random UUID (kind "uuid") or a number of six digits ("integer")."""
    if kind == "uuid":
        return str(uuid.UUID(bytes=rng.bytes(16), version=4))
    while (number := int(rng.integers(100_000, 1_000_000))) in taken:
        pass
    return number


def _voxels(role: str) -> Callable[[Cell, Place], int]:
    return lambda cell, _: int(np.count_nonzero(cell.volumes[role]))


def _pieces(cell: Cell, _: Place) -> int:
    return int(ndimage.label(cell.volumes["structure_mask"], np.ones((3, 3, 3)))[1])


def _nucleus_um3(cell: Cell, _: Place) -> float:
    return float(np.count_nonzero(cell.volumes["nucleus_mask"]) * np.prod(cell.spacing_um_zyx))


def _roi(cell: Cell, _: Place) -> str:
    return json.dumps([edge for n in cell.volumes["structure"].shape for edge in (0, n)])


# What a column of the manifest may hold, by the name in the bucket's yaml.
MEASURES: dict[str, Callable[[Cell, Place], Any]] = {
    "nucleus_voxels": _voxels("nucleus_mask"),
    "cell_voxels": _voxels("cell_mask"),
    "structure_voxels": _voxels("structure_mask"),
    "structure_pieces": _pieces,
    "nucleus_um3": _nucleus_um3,
    "spacing_xyz": lambda cell, _: json.dumps(list(cell.spacing_um_zyx[::-1])),
    "roi": _roi,
    "field": lambda _, place: place.field,
    "position": lambda _, place: place.position,
    "scene": lambda _, place: f"{place.plate}-Scene-{place.position - 1}-P{place.position}-{place.well}",
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


def features(parts: Sequence[Sequence[str]], rng: np.random.Generator) -> dict[str, float]:
    """Draw entries of columns that mean nothing; names are all ways to join one text of each of the parts."""
    names = list(map("_".join, itertools.product(*parts)))
    return dict(zip(names, rng.random(len(names)).round(6).tolist(), strict=True))
