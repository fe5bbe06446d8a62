"""Files of points: tables of text, parquet and HDF5 with a row per point, and trees of neurites (SWC)."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pyarrow import parquet

from morphobench.errors import InputError
from morphobench.files import hdf_images, manifests, text_tables, values

HDF5, SWC = hdf_images.SUFFIXES, ".swc"
TABLES = (".csv", ".tsv", ".txt", ".parquet")
# Micrometres of each unit but the pixel, whose size is stated.
UNITS = {"um": 1.0, "nm": 1e-3, "mm": 1e3}
# Points along a tree, at equal steps of its length.
_ALONG_TREE = 8192
_SWC_COLUMNS = ("n", "type", "x", "y", "z", "radius", "parent")


class Points(NamedTuple):
    """Points of a file: x, y, z (n, 3), micrometres; weights (n,); and the part of each (n,), text."""

    points_um: np.ndarray
    weight: np.ndarray
    part: np.ndarray


def columns_of(path: Path) -> list[str]:
    """Return the names of a file's columns, without its rows; InputError when it is unreadable."""
    if path.suffix.lower() == SWC:
        return list(_SWC_COLUMNS)
    if path.suffix.lower() in HDF5:
        return list(_with_hdf5(path, lambda data: data.dtype.names))
    return manifests.columns_of(path)


def count(path: Path) -> int:
    """Return about how many rows a file has, from its header or size alone where that tells."""
    suffix = path.suffix.lower()
    if suffix in HDF5:
        return _with_hdf5(path, len)
    if suffix == ".parquet":
        return parquet.read_metadata(path).num_rows
    with path.open("rb") as file:
        start = file.read(2**16)
    n_lines = max(start.count(b"\n"), 1)
    return n_lines if len(start) < 2**16 else round(path.stat().st_size / len(start) * n_lines)


def read(path: Path, options: Mapping[str, Any]) -> Points:
    """Read the points of a file.

    Parameters
    ----------
    options
        Section source.points of the configuration: `columns`, the file's column for x, y and, where there
        are, z, weight and part; `unit` (um, nm, mm or pixel), `z_unit` where z has another; `pixel_um`.

    Raises
    ------
    InputError
        When the file is missing or unreadable, lacks a column, or has coordinates that are no numbers.
    """
    columns = dict(options["columns"])
    if path.suffix.lower() == SWC:
        table = _along_tree(path)
        columns = {"x": "x", "y": "y", "z": "z"}
    else:
        table = _table(path, list(columns.values()))
    numbers = {
        name: values.numbers(table[column], f"{path}: column {column}").to_numpy()
        for name, column in columns.items()
        if name != "part"
    }
    n_rows = len(table)
    xyz = [numbers.get(axis, np.zeros(n_rows)) for axis in "xyz"]
    scales = [_um(options, "unit")] * 2 + [_um(options, "z_unit" if options.get("z_unit") else "unit")]
    points_um = np.stack(xyz, axis=1) * scales
    weight = numbers.get("weight", np.ones(n_rows))
    part = values.text(table[columns["part"]]) if "part" in columns else pd.Series([""] * n_rows)
    is_known = np.isfinite(points_um).all(axis=1) & np.isfinite(weight)
    if n_rows and not is_known.all():
        row = int((~is_known).argmax()) + 1
        lost = f"{int((~is_known).sum())} of {n_rows} points have a coordinate or weight that is no number"
        raise InputError(f"{path}: {lost}, first in row {row}. Correct or remove them.")
    return Points(points_um, weight, part.to_numpy(object))


def _um(options: Mapping[str, Any], key: str) -> float:
    """Return the micrometres of a unit of the options."""
    unit = options[key]
    if unit != "pixel":
        return UNITS[unit]
    if not options.get("pixel_um"):
        raise InputError(
            f"source.points.{key} is pixel. Set source.points.pixel_um, its edge in micrometres."
        )
    return options["pixel_um"]


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Restore it, or remove its row.")
    there = columns_of(path)
    if missing := [column for column in columns if column not in there]:
        named = f"column {', '.join(missing)} is missing; mend source.points.columns"
        raise InputError(f"{path}: {named} ({manifests.found(there)}).")
    if path.suffix.lower() in HDF5:
        return _with_hdf5(path, lambda data: pd.DataFrame({name: data[name] for name in columns}))
    if path.suffix.lower() == ".parquet":
        return parquet.read_table(path, columns=list(columns)).to_pandas()
    return text_tables.read(path, list(columns))


def _with_hdf5(path: Path, work: Any) -> Any:
    """Return what `work` makes of the table of an HDF5 file: `locs`, as Picasso calls it, or its only one."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = [
                name for name, data in file.items() if getattr(getattr(data, "dtype", None), "names", None)
            ]
            name = "locs" if "locs" in found else found[0] if len(found) == 1 else None
            if name is None:
                raise InputError(f"{path}: {_no_table(file, found)}")
            return work(file[name])
    except OSError as error:
        raise InputError(f"{path}: not readable as HDF5 ({error}). Restore or export it again.") from error


def _no_table(file: Mapping[str, Any], tables: Sequence[str]) -> str:
    """Return why an HDF5 file has not the one table of points, and the remedy."""
    if tables:
        return f"has tables {', '.join(tables)}; expected one, or `locs`. Export it as CSV."
    arrays = [f"{name} {data.shape}" for name, data in file.items() if getattr(data, "ndim", 0) > 2]
    if arrays:
        volumes = f"has no table of points, but arrays {', '.join(arrays)}"
        return f"{volumes}. Name those of images and of labels in a table, as a.h5/label."
    return f"has no table of points among {', '.join(file) or 'nothing'}. Export it as CSV."


def _along_tree(path: Path) -> pd.DataFrame:
    """Return points at equal steps along the edges of a tree in SWC format, columns x, y, z."""
    if not path.is_file():
        raise InputError(f"{path}: no such file. Restore it, or remove its row.")
    try:
        lines = "".join(
            line
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines(True)
            if line.strip()
        )
        nodes = np.atleast_2d(np.loadtxt(io.StringIO(lines), comments="#", usecols=range(7)))
        place = {int(node): number for number, node in enumerate(nodes[:, 0])}
        joined = [(number, place[int(up)]) for number, up in enumerate(nodes[:, 6]) if up >= 0]
    except (ValueError, KeyError, IndexError) as error:
        remedy = "Its rows are number, type, x, y, z, radius, parent"
        raise InputError(f"{path}: not readable as SWC ({error}). {remedy}; export it again.") from error
    xyz = nodes[:, 2:5]
    if not joined:
        return pd.DataFrame(xyz, columns=list("xyz"))
    child, parent = np.array(joined).T
    lengths = np.linalg.norm(xyz[child] - xyz[parent], axis=1)
    up_to = np.cumsum(lengths)
    along = (np.arange(_ALONG_TREE) + 0.5) / _ALONG_TREE * up_to[-1]
    edge = np.searchsorted(up_to, along).clip(max=len(lengths) - 1)
    share = (up_to[edge] - along) / np.maximum(lengths[edge], 1e-12)
    points = xyz[child[edge]] + share[:, None] * (xyz[parent[edge]] - xyz[child[edge]])
    return pd.DataFrame(points, columns=list("xyz"))
