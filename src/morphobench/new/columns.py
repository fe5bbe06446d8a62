"""Columns of a table by their names and values: files, coordinates, and what may be label, plate or well."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from morphobench.errors import InputError
from morphobench.files import hdf_images, manifests
from morphobench.files.values import text
from morphobench.new import found

_ID = re.compile(r"(?i)^(cell[_ ]?id|fov[_ ]?id|id|name|cell|file(name)?|sample|index|record)$")
_LABEL = r"(?i)class|label|type|treat|drug|compound|condition|genotype|stage|phase|shape|group|state"
_UNIT = {
    "plate": r"(?i)^plate",
    "well": r"(?i)^well",
    "unit": r"(?i)donor|patient|animal|mouse|replicate|batch|fov|field",
}
_MOST_CLASSES = 20
_COORDINATE = re.compile(
    r"(?i)^(?:pos(?:ition)?[ _]?)?([xyz])(?:[ _]?(?:pos|position|coord|coordinate|centroid))?"
    r"[ _]*[\[(]?\s*(nm|um|µm|μm|micron|mm|px|pix|pixels?)?\s*[\])]?$"
)
_UNITS = {"nm": "nm", "mm": "mm"} | dict.fromkeys(("um", "µm", "μm", "micron"), "um")
_WEIGHT = re.compile(r"(?i)^(photons|intensity|weight|amplitude|n_photons)\s*([\[(].*)?$")
_PART = re.compile(r"(?i)^(cell|cell[_ ]?id|cluster(_?id)?|group|roi|nucleus|object|label)$")


class Candidates(NamedTuple):
    """Columns that may be labels, in order of likelihood, and those of units: plate, well, donor, field."""

    labels: list[str]
    units: dict[str, str]


def candidates(table: pd.DataFrame, files: Sequence[str]) -> Candidates:
    """Return what the columns of a table of metadata may mean, by few values and by name."""
    labels, units = [], {}
    for column in table.columns.drop(list(files), errors="ignore"):
        name = str(column)
        values = text(table[column]).dropna()
        unit = next((unit for unit, pattern in _UNIT.items() if re.search(pattern, name)), None)
        if unit:
            units.setdefault(unit, name)
        elif _is_label(name, values, len(table)):
            labels.append(name)
    return Candidates(sorted(labels, key=lambda name: not re.search(_LABEL, name)), units)


def _is_label(name: str, values: pd.Series, n_rows: int) -> bool:
    n_different = values.nunique()
    if not 2 <= n_different <= min(_MOST_CLASSES, n_rows // 2) or _ID.match(name):
        return False
    are_numbers = pd.to_numeric(values, errors="coerce").notna().all()
    return bool(re.search(_LABEL, name)) or not are_numbers


def file_columns(table: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Return the columns that name files of a known ending, with the ending of their first value.

    Raises
    ------
    InputError
        When none of the files that a column names is there.
    """
    known = (*found.IMAGES, *found.MESHES, *found.POINTS, *found.STACKS, ".csv", ".parquet")
    named = {}
    for column in table:
        values = text(table[column]).dropna()
        if len(values) and all(found.suffix(value) in known for value in values.head(found.N_SAMPLED)):
            _check_there(column, values, folder)
            named[str(column)] = found.suffix(values.iloc[0])
    return named


def _check_there(column: object, values: pd.Series, folder: Path) -> None:
    some = found.spread(list(values))
    missing = [value for value in some if not hdf_images.file_of(folder / value).exists()]
    if len(missing) == len(some):
        reason = f"none of {len(some)} files tried of column {column} is there, first {folder / missing[0]}"
        remedy = "Paths start from the table's folder, or are absolute: move the table, or mend them"
        raise InputError(f"{reason}. {remedy}.")


def id_column(table: pd.DataFrame, name: str, files: Sequence[str]) -> str | None:
    """Return the column with an identifier of each row: `name`, or one of a like name and no value twice."""
    others = [column for column in table if column not in files]
    unique = [str(one) for one in others if table[one].notna().all() and table[one].is_unique]
    return name if name in unique else next((one for one in unique if _ID.match(one)), None)


class Coordinates(NamedTuple):
    """Columns of points by what they are (x, y, z, weight, part), and units that x and z name, or ""."""

    columns: dict[str, str]
    unit: str
    z_unit: str


def coordinates(names: Sequence[str]) -> Coordinates | None:
    """Return the columns of coordinates among names, as programs write them; None without x and y."""
    columns, units = {}, {}
    for name in names:
        if match := _COORDINATE.match(name.strip()):
            axis, unit = match[1].lower(), (match[2] or "").lower()
            if axis not in columns:
                columns[axis], units[axis] = name, _UNITS.get(unit, "pixel" if unit else "")
        elif _WEIGHT.match(name.strip()):
            columns.setdefault("weight", name)
        elif _PART.match(name.strip()):
            columns.setdefault("part", name)
    if not {"x", "y"} <= set(columns):
        return None
    return Coordinates(columns, units["x"], units.get("z", ""))


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of metadata whole, as text; InputError when it is unreadable or empty."""
    table = manifests.read(path, [], [], taken=())
    if table.empty:
        raise InputError(f"{path}: has no rows. Complete it.")
    return table
