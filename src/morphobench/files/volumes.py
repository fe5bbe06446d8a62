"""Arrays of all cells of a shard, end to end in one .npy file each, with random access by cell."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np


class Layout(NamedTuple):
    """How an array is stored: type, shape of a row, and the columns that place a cell in it.

    The first column holds the cell's first row; further ones the sizes of its array along the axes before
    those of a row: none for one row per cell, one for a list of rows, three for a volume of scalar rows.
    """

    dtype: type[np.generic]
    row_shape: tuple[int, ...] = ()
    columns: tuple[str, ...] = ("index",)


class ArrayWriter:
    """Appends the arrays of cells to an .npy file, one in memory at a time; complete after `close`."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout, self.n_rows = path, layout, 0
        self._file = path.open("wb")
        self._write_header()

    def _write_header(self) -> None:
        # 20 digits of room for the final length, so that the header never grows over the data.
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(self.layout.dtype)),
            "fortran_order": False,
            "shape": (self.n_rows, *self.layout.row_shape),
        }
        text = repr(header).ljust(117).encode("latin1") + b"\n"
        self._file.seek(0)
        self._file.write(np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text)

    def append(self, array: np.ndarray) -> dict[str, int]:
        """Store a cell's array and return the columns that place it."""
        dtype, row_shape, columns = self.layout
        sizes, row = array.shape[: len(columns) - 1], array.shape[len(columns) - 1 :]
        if row != row_shape:
            raise ValueError(f"{self.path}: rows of shape {row} among rows of shape {row_shape}")
        self._file.write(np.ascontiguousarray(array, dtype=dtype).data)
        first, self.n_rows = self.n_rows, self.n_rows + math.prod(sizes)
        return dict(zip(columns, (first, *sizes), strict=True))

    def close(self) -> None:
        """Complete the header."""
        self._write_header()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def select(stored: np.ndarray, row: Mapping[str, Any], columns: Sequence[str]) -> np.ndarray:
    """Return one cell's array out of those of its shard (a view); for the columns see `Layout`."""
    first, *sizes = (int(row[column]) for column in columns)
    return stored[first : first + math.prod(sizes)].reshape(*sizes, *stored.shape[1:])
