"""Archives of arrays (.npz) from elsewhere: how large they would become, before anything is unpacked."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import psutil

from morphobench.errors import InputError

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def check_sizes(path: str | Path, max_bytes: int | None = None) -> None:
    """Stop at an archive that claims more than there can be: a few kilobytes may unpack to a full memory.

    Only the directory of the archive and the headers of its arrays are read. zipfile never unpacks more of an
    entry than the directory says, so what it says is what counts.

    Parameters
    ----------
    path
        An .npz file.
    max_bytes
        Most bytes that all its entries together may unpack to; None for the memory that is free.

    Raises
    ------
    InputError
        When they would be more, or an array's header claims more values than its entry holds.
    zipfile.BadZipFile
        When the file is no archive.
    ValueError
        When an entry is no array.
    """
    limit = psutil.virtual_memory().available if max_bytes is None else max_bytes
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > limit:
            raise InputError(
                f"{path}: would unpack to {total / 1e9:.3g} GB, more than the {limit / 1e9:.3g} GB that such "
                "a file may take here. It is damaged, made to do harm, or too large; get it again."
            )
        for entry in entries:
            with archive.open(entry) as stream:
                claimed = _claimed_bytes(stream)
            if claimed > entry.file_size:
                raise InputError(
                    f"{path}: array {entry.filename} claims {claimed / 1e9:.3g} GB and holds "
                    f"{entry.file_size / 1e9:.3g}. It is damaged or made to do harm; get it again."
                )


def _claimed_bytes(stream: zipfile.ZipExtFile) -> int:
    """Return how many bytes an array's header says that it has; 0 for pickled objects."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADER_READERS:
        raise ValueError(f"array format {version} is not known")
    shape, _, dtype = _HEADER_READERS[version](stream)
    return 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize
