"""Tables of points: a file for each cell, or one file with a column that tells its cells apart."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from morphobench.errors import InputError
from morphobench.files import point_files
from morphobench.new import bodies, columns, found

# Micrometres that a typical cloud of points may be wide, by which an unknown unit is guessed.
_LIKELY_UM = (0.05, 500.0)
# Camera pixels of localisation microscopes are 0.1 to 0.16 um wide.
_PIXEL_UM = 0.13
# Clustering calls points of no cluster so.
_NOISE = "-1"


def draft(files: Sequence[Path], table: pd.DataFrame) -> found.Draft:
    """Return the data set of files of points, of which `table` has a row each (CellId, points, metadata).

    Raises
    ------
    InputError
        When a file has no coordinates, or all files have fewer than two points.
    """
    known = columns.coordinates(point_files.columns_of(files[0]))
    if known is None:
        there = ", ".join(point_files.columns_of(files[0]))[:300]
        raise InputError(
            f"{files[0]}: no columns of coordinates x and y (found {there}). Name them x, y and z."
        )
    own = dict(known.columns)
    part = own.pop("part", None)
    options: dict[str, Any] = {"columns": own, "unit": "um"}
    if len(files) == 1:
        if part is None:
            reason = "one table of points, and no column that tells its cells apart (cell, cluster, group)"
            raise InputError(f"{files[0]}: {reason}. Add one, or put a file for each cell into a folder.")
        options["columns"] = own | {"part": part}
        clouds, table = _parts(files[0], options)
    else:
        clouds = [point_files.read(file, options).points_um for file in found.spread(files)]
    return _draft(files, table, known, options, clouds)


def _parts(file: Path, options: dict[str, Any]) -> tuple[list[np.ndarray], pd.DataFrame]:
    """Return the clouds of some cells of one file, and a table of all of them."""
    points = point_files.read(file, options)
    indices = pd.Series(points.part).groupby(points.part).indices
    if len(indices) < 2:
        column = options["columns"]["part"]
        raise InputError(f"{file}: column {column} has one value: the points of one cell. Add more cells.")
    names = sorted(set(indices) - {_NOISE}) if len(indices) > 2 else sorted(indices)
    table = pd.DataFrame(
        {"CellId": [f"{file.stem}_{name}" for name in names], "points": os.path.abspath(file)}
    )
    return [points.points_um[indices[name]] for name in found.spread(names)], table.assign(part=names)


def _draft(
    files: Sequence[Path],
    table: pd.DataFrame,
    known: columns.Coordinates,
    options: dict[str, Any],
    clouds: list[Any],
) -> found.Draft:
    n_read, clouds = len(clouds), [cloud for cloud in clouds if len(cloud) > 1]
    if not clouds:
        raise InputError(
            f"{files[0]}: has one point or none, as all files tried. A cell needs several points."
        )
    wide_xy = float(np.median([np.ptp(cloud[:, :2], axis=0).max() for cloud in clouds]))
    units, um, said = _units(files[0], known, wide_xy)
    reach_um = max(np.linalg.norm((cloud - cloud.mean(axis=0)) * um, axis=1).max() for cloud in clouds)
    counts = np.array([len(cloud) for cloud in clouds])
    n_points = found.power_of_two(np.quantile(counts, 0.02), 4, 2048)
    named = ", ".join(f"{name}: {bodies.quoted(column)}" for name, column in options["columns"].items())
    source = [
        "  points:",
        f"    columns: {{{named}}}",
        *units,
        "  group: CellId               # the unit whose cells are not independent, such as a field or donor",
    ]
    remarks = [
        f"{len(table)} cells in {len(files)} files of points, columns {named}",
        f"{counts.min()} to {counts.max()} points in {len(counts)} cells read; unit: {said}"
        + (f"; {n_read - len(clouds)} more have one point or none, and fail" if n_read > len(clouds) else ""),
        f"a typical cell is {wide_xy * um[0]:.3g} um wide"
        + (", all in one plane" if "z" not in options["columns"] else ""),
    ]
    if "part" in table and _NOISE not in set(table["part"]):
        remarks.append(
            f"rows of {options['columns']['part']} {_NOISE}, which clustering gives to none, are left out"
        )
    weighted = "weight" in options["columns"]
    body = bodies.of_points(float(reach_um), n_points, weighted=weighted)
    return found.Draft("punctate", table, source, "point_tables", "", body, len(table), len(table), remarks)


def _units(file: Path, known: columns.Coordinates, wide: float) -> tuple[list[str], np.ndarray, str]:
    """Return lines of the yaml, micrometres of the units of x, y and z, and what to say of them."""
    suffix = found.suffix(file)
    unit, z_unit, where = known.unit, known.z_unit, "the names of the columns"
    if suffix == point_files.SWC:
        unit, where = "um", "the format"
    elif suffix in point_files.HDF5 and not unit:
        # Picasso: x and y in pixels of the camera, z in nanometres.
        unit, z_unit, where = "pixel", "nm", "HDF5 as Picasso writes it"
    if unit == "pixel":
        return _pixels(file, known, z_unit, where)
    if not unit:
        likely = next((one for one in ("um", "nm", "mm") if _is_likely(wide * point_files.UNITS[one])), "um")
        sizes = ", ".join(f"{one} ({wide * um:.3g} um wide)" for one, um in point_files.UNITS.items())
        line = f"    unit: FILL      # {sizes}, or pixel (add pixel_um); likely {likely}, as sizes below"
        return [line], np.full(3, point_files.UNITS[likely]), f"asked, likely {likely}"
    z_um = point_files.UNITS.get(z_unit, point_files.UNITS[unit])
    lines = [f"    unit: {unit}", *([f"    z_unit: {z_unit}"] if z_unit not in ("", unit) else [])]
    um = point_files.UNITS[unit]
    return lines, np.array([um, um, z_um]), f"{unit}, from {where}"


def _is_likely(wide_um: float) -> bool:
    return _LIKELY_UM[0] <= wide_um <= _LIKELY_UM[1]


def _pixels(
    file: Path, known: columns.Coordinates, z_unit: str, where: str
) -> tuple[list[str], np.ndarray, str]:
    pixel_um = _pixel_of(file)
    asked = (
        f"FILL            # edge of a camera pixel, um, often 0.1 to 0.16; sizes below are for {_PIXEL_UM}"
    )
    z_unit = z_unit or "pixel"
    lines = ["    unit: pixel", f"    pixel_um: {pixel_um or asked}"]
    lines += [f"    z_unit: {z_unit}"] if "z" in known.columns and z_unit != "pixel" else []
    edge_um = pixel_um or _PIXEL_UM
    said = f"pixels, from {where}" + (
        f"; of {pixel_um} um, from the yaml beside it" if pixel_um else "; their size is asked"
    )
    return lines, np.array([edge_um, edge_um, point_files.UNITS.get(z_unit, edge_um)]), said


def _pixel_of(file: Path) -> float | None:
    """Return the edge of a pixel, micrometres, from the yaml beside a file of Picasso; None without."""
    try:
        for part in yaml.safe_load_all(file.with_suffix(".yaml").read_text(encoding="utf-8")):
            if (
                isinstance(part, dict)
                and isinstance(part.get("Pixelsize"), int | float)
                and part["Pixelsize"] > 0
            ):
                return float(part["Pixelsize"]) / 1000
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return None
