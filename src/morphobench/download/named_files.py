"""Local files that a dataset's source names: its tables, and the files in their rows.

The size and time of change of these, and of nothing else in their folders, tell whether cells are read anew.
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from morphobench.download import crops, listed, stack
from morphobench.errors import InputError
from morphobench.files import hdf_images, manifests
from morphobench.files.packings import SHAPE_MANIFEST, chosen_shapes, file_names, read_shapes
from morphobench.remote import local_folder

Config = Mapping[str, Any]
# Keys of `source` for a table of files other than images, and its column of them.
LISTED = {"meshes": "mesh", "point_tables": "points"}


def tables(source: Config) -> list[Path]:
    """Return the files that the configuration of a local source names, whether or not they exist."""
    root = local_folder(source.get("location"))
    keys = ("fovs", "stack", "cells", *LISTED)
    named = [root / source[key] for key in keys if source.get(key)]
    named += [stack.table_path(source)] if source.get("stack") else []
    return named + ([root / source["shapes"] / SHAPE_MANIFEST] if source.get("shapes") else [])


def in_tables(dataset: Config) -> list[str]:
    """Return the files that the tables of a local source name for the cells in use, sorted.

    No file of a table that is not readable: the job that reads it says why. Paths are joined as they are: to
    check those of 70,000 cells takes seconds, and belongs to the job too.
    """
    source = dataset["source"]
    try:
        with _silent():
            if source.get("shapes"):
                folder, values = _of_packings(dataset)
            elif source.get("fovs"):
                folder, values = _of_fields(source)
            elif source.get("cells"):
                folder, values = _of_crops(dataset)
            elif form := next((key for key in LISTED if source.get(key)), None):
                folder, values = (
                    Path(source[form]).parent,
                    listed.read_table(source, form, LISTED[form])[LISTED[form]],
                )
            else:
                return []
    except InputError:
        return []
    return sorted({os.path.join(folder, value) for value in values if isinstance(value, str) and value})


def state(dataset: Config) -> str:
    """Return 16 hex digits of names, sizes and times of change of the files `in_tables`."""
    lines = [line for path in in_tables(dataset) for line in _states(path)]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def _states(path: str) -> list[str]:
    """Return a line for a file, or for each file of a folder: an OME-Zarr image is one."""
    try:
        status = os.stat(hdf_images.file_of(path))
    except (OSError, ValueError):
        return [f"{path}\0missing"]
    # No other folder is an image; a wrong path may name that of all files.
    if not S_ISDIR(status.st_mode) or not path.rstrip("/").endswith(".zarr"):
        return [f"{path}\0{status.st_size}\0{status.st_mtime_ns}"]
    inside = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return [line for file in inside for line in _states(file)]


def _of_packings(dataset: Config) -> tuple[Path, Iterable[Any]]:
    root = local_folder(dataset["source"].get("location"))
    shapes = chosen_shapes(read_shapes(root / dataset["source"]["shapes"] / SHAPE_MANIFEST), dataset)
    return root, file_names(dataset, shapes)


def _of_fields(source: Config) -> tuple[Path, Iterable[Any]]:
    path = Path(source["fovs"])
    images = manifests.read(path, [], [], optional=["image", *source["fov"]["label_channels"]])
    return path.parent, images.to_numpy(object).ravel()


def _of_crops(dataset: Config) -> tuple[Path, Iterable[Any]]:
    location = dataset["source"].get("location")
    path = local_folder(location) / dataset["source"]["cells"]
    rows = crops.select(path, dataset, optional=[]).to_dict("records")
    values = [row[kind] for row in rows for kind in crops.needed_crops(row, dataset)]
    return local_folder(location) if location else path.parent, values


@contextmanager
def _silent() -> Iterator[None]:
    """Log nothing: the job that reads the tables does."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)
