"""Limits of what files from elsewhere may ask for, checked on their headers before anything is unpacked."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from morphobench.errors import InputError, named
from morphobench.files import npz, tiff_files

# Of one volume, such as 1,000 planes of 724 x 724 voxels of 16 bits; and of all channels read together.
MOST_VOLUME_BYTES, _MOST_IMAGE_BYTES = 2**30, 2**32
_MOST_YAML_BYTES, _MOST_YAML_VALUES = 2**20, 100_000
_REMEDY = "It is damaged or hostile; get it again."


def check_bytes(path: str | Path, n_bytes: int, most_bytes: int = MOST_VOLUME_BYTES) -> None:
    """Raise an InputError for a file whose header declares more bytes than it may."""
    if n_bytes > most_bytes:
        sizes = f"{n_bytes / 1e9:.3g} GB, more than the {most_bytes / 1e9:.3g} GB that it may"
        raise InputError(f"{path}: its header declares {sizes}. {_REMEDY}")


def check_volumes(path: str | Path, shape_zyx: tuple[int, ...], itemsize: int, n_channels: int) -> None:
    """Check the volumes that are read from an image together; see `check_bytes`."""
    n_bytes = math.prod(shape_zyx) * itemsize
    check_bytes(path, n_bytes)
    check_bytes(path, n_bytes * n_channels, _MOST_IMAGE_BYTES)


def check_tiff(path: str | Path) -> None:
    """Check the size of the first series of a TIFF file (`check_bytes`), and that its planes are in it."""
    from tifffile import TiffFile

    with TiffFile(path) as tiff:
        series = tiff.series[0]
        check_bytes(path, math.prod(series.shape) * series.dtype.itemsize)
    with named(path):
        tiff_files.check_planes(path)


def check_npy(path: str | Path) -> None:
    """Check that an .npy file holds the values that its header declares.

    Raises
    ------
    InputError
        When it does not.
    ValueError
        When it is no such file.
    """
    with Path(path).open("rb") as file:
        shape, dtype = npz.read_header(file)
        held = Path(path).stat().st_size - file.tell()
    claimed = npz.n_bytes(shape, dtype)
    if claimed > held:
        sizes = f"{claimed / 1e9:.3g} GB, but it holds {held / 1e9:.3g}"
        raise InputError(f"{path}: its header declares {sizes}. {_REMEDY}")


def check_checkpoint(path: str | Path) -> None:
    """Check that a file of torch is no larger unpacked than it is: torch compresses nothing.

    Raises
    ------
    InputError
        When it would be.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        check_bytes(path, sum(entry.file_size for entry in archive.infolist()), Path(path).stat().st_size)


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file of at most a megabyte and 100,000 values, those of repeated anchors counted.

    Raises
    ------
    InputError
        When it is larger.
    yaml.YAMLError, OSError, UnicodeDecodeError
        When it is no such file.
    """
    path = Path(path)
    check_bytes(path, path.stat().st_size, _MOST_YAML_BYTES)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        n_values = _n_values(content, {})
    # YAML of many brackets; numbers of many digits.
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: not readable as YAML ({str(error)[:200]}). {_REMEDY}") from error
    if n_values > _MOST_YAML_VALUES:
        raise InputError(f"{path}: stands for more than {_MOST_YAML_VALUES} values. {_REMEDY}")
    return content


def _n_values(node: object, known: dict[int, float]) -> float:
    """Return the number of values that a structure with shared parts stands for; infinite for a circle."""
    if not isinstance(node, Mapping | list | tuple | set):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = [*node.keys(), *node.values()] if isinstance(node, Mapping) else list(node)
        known[id(node)] = 1 + sum(_n_values(part, known) for part in parts)
    return known[id(node)]
