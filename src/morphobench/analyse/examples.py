"""One test cell of each kind, for the first panel of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.files import read_array, read_table, write_table
from morphobench.files.manifests import example_cells


def run(manifest: str | Path, shards: Sequence[str | Path], out: str | Path, *, stratum: str) -> None:
    """Write the clouds of the example cells: columns CellId, stratum, x_um, y_um, z_um."""
    tables = []
    for row in example_cells(read_table(manifest), stratum).itertuples():
        points_um = np.asarray(read_array(shards[row.shard], "points_um")[row.index])
        cloud = pd.DataFrame(points_um, columns=["x_um", "y_um", "z_um"])
        tables.append(cloud.assign(CellId=row.CellId, stratum=getattr(row, stratum)))
    write_table(pd.concat(tables, ignore_index=True), out)
