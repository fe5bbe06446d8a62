"""Unpacked size of .npz archives from elsewhere, checked before anything is unpacked."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import psutil

from morphobench.errors import InputError

# numpy compresses with nothing else; a kilobyte of bzip2 can unpack for minutes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_BYTES = 2**32
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Read shape and type from the header of an .npy file; ValueError when it is none."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADER_READERS:
        raise ValueError(f"array format {version} is not known")
    shape, _, dtype = _HEADER_READERS[version](stream)
    return shape, dtype


def n_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Return the bytes that a header claims, one at least for each value; pickled objects claim none.

    Raises
    ------
    ValueError
        When a length is negative.
    """
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape} has a negative length")
    return 0 if dtype.hasobject else math.prod(shape) * max(dtype.itemsize, 1)


def _most_bytes() -> int:
    """Return the free memory, or 4 GiB where there is more or that cannot be told."""
    try:
        return min(psutil.virtual_memory().available, _MOST_BYTES)
    except (psutil.Error, OSError):
        return _MOST_BYTES


def check_sizes(path: str | Path, max_bytes: int | None = None) -> None:
    """Check that the entries of an .npz file unpack to at most `max_bytes`; None for 4 GiB, or free memory.

    Only the directory of the archive and the headers of its arrays are read: zipfile never unpacks more of an
    entry than the directory says.

    Raises
    ------
    InputError
        When they would be more, or an array's header claims more values than its entry holds.
    zipfile.BadZipFile, ValueError
        When the file is no archive, or an entry no array.
    """
    limit = _most_bytes() if max_bytes is None else max_bytes
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > limit:
            sizes = f"{total / 1e9:.3g} GB, more than the {limit / 1e9:.3g} GB that such a file may take"
            raise InputError(f"{path}: would unpack to {sizes}. It is damaged or hostile; get it again.")
        if strange := [entry.filename for entry in entries if entry.compress_type not in _METHODS]:
            raise ValueError(f"{strange[0]!r} is packed in a way that numpy does not write")
        for entry in entries:
            with archive.open(entry) as stream:
                shape, dtype = read_header(stream)
            claimed = n_bytes(shape, dtype)
            if claimed > entry.file_size:
                sizes = f"claims {claimed / 1e9:.3g} GB and holds {entry.file_size / 1e9:.3g}"
                raise InputError(f"{path}: array {entry.filename} {sizes}. It is damaged; get it again.")
