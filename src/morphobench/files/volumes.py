"""Volumes and lists of rows of different sizes in one file of a shard, with random access by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SIZE_COLUMNS = ("size_z", "size_y", "size_x")


class VolumeWriter:
    """Appends arrays end to end to an .npy file, without holding more than one in memory.

    Volumes go in flat; a cell table says where each one lies: column `first_voxel`, and `SIZE_COLUMNS`. With
    a row shape, lists of such rows go in, as the vertices of meshes; see `rows`.

    Parameters
    ----------
    path
        File to write, ending in .npy; complete after `close`.
    dtype
        Type of the stored numbers.
    row_shape
        Shape of a row; () for the voxels of volumes.
    """

    def __init__(self, path: Path, dtype: type[np.generic], row_shape: tuple[int, ...] = ()) -> None:
        self.path, self.dtype, self.row_shape, self.n_rows = path, np.dtype(dtype), row_shape, 0
        self._file = path.open("wb")
        self._write_header()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array so far."""
        return (self.n_rows, *self.row_shape)

    def _write_header(self) -> None:
        # 20 digits of room for the final length, so that the header never grows over the data.
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
        text = repr(header | {"shape": self.shape}).ljust(117).encode("latin1") + b"\n"
        self._file.seek(0)
        self._file.write(np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text)

    def append(self, array: np.ndarray) -> int:
        """Store a volume of shape (z, y, x), or rows of shape (n, *row_shape); return its first row."""
        first = self.n_rows
        self._file.write(np.ascontiguousarray(array, dtype=self.dtype).data)
        self.n_rows += array.size // math.prod(self.row_shape)
        return first

    def close(self) -> None:
        """Complete the header."""
        self._write_header()
        self._file.close()

    def __enter__(self) -> VolumeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def placed(first_voxel: int, volume_zyx: np.ndarray) -> dict[str, int]:
    """Return the columns that say where a volume lies and how large it is."""
    sizes = dict(zip(SIZE_COLUMNS, volume_zyx.shape, strict=True))
    return {"first_voxel": first_voxel, **sizes}


def volume(flat: np.ndarray, row: Mapping[str, Any]) -> np.ndarray:
    """Return one cell's volume, axes z, y, x, out of all voxels of its shard (a view)."""
    shape = tuple(int(row[column]) for column in SIZE_COLUMNS)
    first = int(row["first_voxel"])
    return flat[first : first + int(np.prod(shape))].reshape(shape)


def rows(stored: np.ndarray, row: Mapping[str, Any], first: str, count: str) -> np.ndarray:
    """Return one cell's rows out of those of its shard (a view); the columns say where and how many."""
    start = int(row[first])
    return stored[start : start + int(row[count])]
