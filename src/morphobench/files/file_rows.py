"""Arrays of a shard whose rows stay in the files that they came in: nothing is copied."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import limits

SUFFIX = ".files.parquet"
# Small files whole; of others the beginning and the end, which cost one read each.
_END_BYTES = 2**14


def _npy(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _tiff(path: Path) -> np.ndarray:
    import tifffile

    limits.check_tiff(path)
    return np.squeeze(tifffile.imread(path))


# How a file becomes a row: as it is, with its axes x, y, z reversed to z, y, x, or as an image z, y, x.
READERS = {"npy": _npy, "npy_xyz": lambda path: _npy(path).T, "tiff": _tiff}


def read_row(
    path: Path, reader: str, shape: tuple[int, ...] | None = None, edge: int | None = None
) -> np.ndarray:
    """Read a volume from a file, memory-mapped where the file allows it.

    Parameters
    ----------
    reader
        Key of `READERS`.
    shape
        Shape that the row must have; None for any volume.
    edge
        Side of the cube that a smaller volume is padded to, see `padded`.

    Raises
    ------
    InputError
        When the file is missing, unreadable, holds anything but numbers, or has another shape.
    """
    remedy = "Fetch or restore it, or leave the cell out."
    try:
        row = READERS[reader](path)
    except InputError:
        raise
    # Parsers of images raise whatever a broken byte leads them to.
    except Exception as error:
        raise InputError(f"{path}: not readable ({type(error).__name__}: {error}). {remedy}") from error
    if row.dtype.kind not in "biuf":
        raise InputError(f"{path}: holds {row.dtype}, not numbers. {remedy}")
    if row.ndim != 3 or (shape is not None and row.shape != shape):
        expected = "a volume" if shape is None else f"shape {shape}"
        raise InputError(f"{path}: shape {row.shape}, expected {expected}. {remedy}")
    if edge and max(row.shape) > edge:
        raise InputError(f"{path}: shape {row.shape}, more than the grid's {edge}. {remedy}")
    return padded(row, edge) if edge else row


def padded(row_zyx: np.ndarray, edge: int) -> np.ndarray:
    """Pad a volume with zeros to a cube of `edge` voxels per side, the odd plane before.

    Published segmentations of odd extents are a voxel short of their grid: this puts them where the published
    loader does.
    """
    missing = [edge - length for length in row_zyx.shape]
    width = [(length - length // 2, length // 2) for length in missing]
    return np.pad(row_zyx, width) if any(missing) else row_zyx


def _state(path: Path) -> dict[str, int]:
    """Return what tells that a file is the same: size (bytes), time of change (ns), checksum of its ends."""
    found = path.stat()
    with path.open("rb") as file:
        ends = file.read(_END_BYTES)
        file.seek(max(found.st_size - _END_BYTES, 0))
        ends += file.read(_END_BYTES)
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "checksum": zlib.crc32(ends)}


class FileRows:
    """Array-like over the files of a table that `write_listing` wrote; each row is read on access."""

    def __init__(self, listing: Path) -> None:
        self._table = pd.read_parquet(listing)

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> np.ndarray:
        """Read one row; InputError when its file is gone, damaged, or no longer the listed one."""
        row = self._table.iloc[int(index)]
        path = Path(row["path"])
        if not path.is_file():
            raise InputError(f"{path} is gone: it changed since it was indexed. Delete its shards.")
        for key, value in _state(path).items():
            if value != row[key]:
                found = f"has {key} {value}, not {row[key]}"
                raise InputError(f"{path} {found}: it changed since it was indexed. Delete its shards.")
        return read_row(path, row["reader"], edge=int(row["edge"]))

    def identity(self, index: int) -> bytes:
        """Return what tells a row apart without reading it: its file, size and time of change, its reader."""
        return repr(self._table.iloc[int(index)].tolist()).encode()


def write_listing(folder: Path, name: str, rows: list[tuple[Path, str]], edge: int = 0) -> None:
    """Write the table of the files behind the array `name` of a shard, file and reader of each row in order.

    Volumes smaller than a cube of `edge` voxels are padded to it when read; 0 leaves them.
    """
    columns = {
        "path": [str(path.resolve()) for path, _ in rows],
        "reader": [reader for _, reader in rows],
        "edge": edge,
    }
    states = pd.DataFrame([_state(path) for path, _ in rows], columns=["size", "mtime_ns", "checksum"])
    pd.DataFrame(columns | dict(states)).to_parquet(folder / f"{name}{SUFFIX}", index=False)
