"""What `make new` finds: files by what they hold, samples of them, and the draft of a data set."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import hdf_images, point_files

# In place of the ending of a path such as a.h5/label.
ARRAY = "array of HDF5"
IMAGES = (ARRAY, ".tif", ".tiff", ".lsm", ".btf", ".czi", ".nd2", ".lif", ".zarr")
MESHES = (".ply", ".obj", ".off", ".stl")
POINTS = (*point_files.HDF5, point_files.SWC)
TABLES = (".csv", ".tsv", ".txt", ".parquet")
STACKS = (".npz", ".npy")
# Headers and contents are read of so many files, spread over all.
N_SAMPLED = 24
_MOST_FILES = 10**6


class Draft(NamedTuple):
    """A data set to be written.

    Attributes
    ----------
    kind
        Of dataset.
    table
        Its manifest: CellId or FOVId, files and metadata.
    source
        Lines of section `source`, below the key that names the table.
    key
        That key.
    channels
        Section `channels` with the end of its line; "" for none.
    body
        The rest of the yaml from voxel_um on, but for stratum and labels.
    n_units, n_cells
        Rows that shards can share, and cells, as far as sampled files tell.
    remarks
        What was found, a sentence each.
    """

    kind: str
    table: pd.DataFrame
    source: list[str]
    key: str
    channels: str
    body: str
    n_units: int
    n_cells: int
    remarks: list[str]


def suffix(path: Path | str) -> str:
    """Return the ending of a name in small letters, `ARRAY` for an array of an HDF5 file."""
    if hdf_images.split(path):
        return ARRAY
    return os.path.splitext(str(path).rstrip("/"))[1].lower()


def files_below(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, without hidden ones; an OME-Zarr folder counts as one.

    Raises
    ------
    InputError
        When there are more than a million.
    """
    found: list[Path] = []
    for file in _walk(folder, set()):
        found.append(file)
        if len(found) > _MOST_FILES:
            raise InputError(
                f"{folder}: more than {_MOST_FILES} files. Point FROM at the folder of one data set."
            )
    return sorted(found)


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    # Links are followed, as to a data disk, but no folder twice.
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith((".", "__")):
                continue
            if entry.is_dir() and suffix(entry.name) != ".zarr":
                yield from _walk(Path(entry.path), seen)
            elif entry.is_dir() or entry.is_file():
                yield Path(entry.path)


def spread(items: Sequence[Any], n: int = N_SAMPLED) -> list[Any]:
    """Return up to `n` items spread evenly over a list."""
    return [
        items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int))
    ]


def identifier(path: Path, folder: Path) -> str:
    """Return an identifier of letters, digits and . _ - for a file below a folder."""
    path = hdf_images.file_of(path)
    is_below = path.is_relative_to(folder) and path != folder
    name = path.relative_to(folder).as_posix() if is_below else path.name
    name = name[: len(name) - len(suffix(name))].removesuffix(".ome")
    return re.sub(r"[^\w.-]+", "_", name).strip("._-") or "cell"


def class_of(path: Path, folder: Path) -> str:
    """Return the name of the first folder between a file and the data set's folder; "" for none."""
    path = hdf_images.file_of(path)
    parts = path.relative_to(folder).parts if path.is_relative_to(folder) else ()
    return parts[0] if len(parts) > 1 else ""


def _numbered(names: Sequence[str]) -> list[str]:
    """Return names of which no two are alike: a.stl and a.obj, or "a b" and a_b, had one."""
    counts, used = Counter(), set(names)
    numbered = []
    for name in names:
        counts[name] += 1
        own = name if counts[name] == 1 else f"{name}_{counts[name]}"
        while counts[name] > 1 and own in used:
            counts[name] += 1
            own = f"{name}_{counts[name]}"
        used.add(own)
        numbered.append(own)
    return numbered


def listing(files: Sequence[Path], folder: Path, column: str, id_column: str = "CellId") -> pd.DataFrame:
    """Return a table of files: identifiers, absolute paths, and `class` where they lie in several folders.

    Identifiers are names without folders where these differ; of those that are still alike, the later ones
    have a number.
    """
    names = [identifier(file, file.parent) for file in files]
    if len(set(names)) < len(names):
        names = _numbered([identifier(file, folder) for file in files])
    table = pd.DataFrame({id_column: names, column: [os.path.abspath(file) for file in files]})
    classes = [class_of(file, folder) for file in files]
    return table.assign(**{"class": classes}) if len(set(classes)) > 1 else table


def rounded(value: float, digits: int = 3) -> float:
    """Return a number with a few significant digits."""
    return float(f"{value:.{digits}g}")


def power_of_two(value: float, low: int, high: int) -> int:
    """Return the largest power of two that is at most a value, within limits that are powers of two."""
    return int(np.clip(2 ** int(np.floor(np.log2(max(value, 1)))), low, high))
