"""What is kept of a frozen data set, and digests of its cells."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.files import FilePath, layout

MANIFEST = "manifest.parquet"


def folder(dataset: str) -> Path:
    """Return where a data set is frozen: its manifest; weights, embeddings in <model>/seed-<seed>."""
    return Path("results/frozen") / dataset


def digests(shard: FilePath) -> pd.Series:
    """Return the SHA-256 of the arrays of each usable cell of a shard of stage `sample`, by CellId."""
    cells = files.read_cells(shard)
    cells = cells[cells["success"].astype(bool)]
    # The spheres of packings are as many as a cell has; of all others a cell is one row.
    names = sorted(path.stem for path in Path(shard).glob("*.npy"))
    arrays = {name: files.read_array(shard, name) for name in names if name not in layout.CENTRES}
    found = [_digest([array[index] for array in arrays.values()]) for index in cells["index"]]
    return pd.Series(found, index=cells["CellId"], dtype=object)


def _digest(arrays: list[np.ndarray]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()
