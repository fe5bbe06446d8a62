"""Arrays of a shard whose rows stay in the files that they came in: nothing is copied."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import limits

SUFFIX = ".files.parquet"


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


class FileRows:
    """Array-like over the files of a table that `write_listing` wrote; each row is read on access."""

    def __init__(self, listing: Path) -> None:
        self._table = pd.read_parquet(listing)

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> np.ndarray:
        """Read one row; InputError when its file is gone, damaged, or no longer of the listed size."""
        row = self._table.iloc[int(index)]
        path = Path(row["path"])
        size = path.stat().st_size if path.is_file() else None
        if size != row["size"]:
            reason = "is gone" if size is None else f"has {size} bytes, not {row['size']}"
            raise InputError(f"{path} {reason}: it changed since it was indexed. Delete its shards.")
        return read_row(path, row["reader"], edge=int(row["edge"]))

    def identity(self, index: int) -> bytes:
        """Return what tells a row apart without reading it: its file, size and time of change, its reader."""
        return repr(self._table.iloc[int(index)].tolist()).encode()


def write_listing(folder: Path, name: str, rows: list[tuple[Path, str]], edge: int = 0) -> None:
    """Write the table of the files behind the array `name` of a shard, file and reader of each row in order.

    Volumes smaller than a cube of `edge` voxels are padded to it when read; 0 leaves them.
    """
    stats = [path.stat() for path, _ in rows]
    # The time of change tells trainings on files that were exchanged apart.
    columns = {
        "path": [str(path.resolve()) for path, _ in rows],
        "reader": [reader for _, reader in rows],
        "edge": edge,
        "size": [stat.st_size for stat in stats],
        "mtime_ns": [stat.st_mtime_ns for stat in stats],
    }
    pd.DataFrame(columns).to_parquet(folder / f"{name}{SUFFIX}", index=False)
