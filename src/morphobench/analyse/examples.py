"""Clouds of one test cell per stratum."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from morphobench.files import FilePath, read_array, read_table, write_table
from morphobench.files.manifests import example_cells


def run(manifest: FilePath, shards: Sequence[FilePath], out: FilePath, *, stratum: str) -> None:
    """Write CellId, stratum, x_um, y_um, z_um of the example cells from the shards of stage sample."""
    tables = []
    for row in example_cells(read_table(manifest), stratum).to_dict("records"):
        points_um = read_array(shards[row["shard"]], "points_um")[row["index"]]
        cloud = pd.DataFrame(np.asarray(points_um), columns=["x_um", "y_um", "z_um"])
        tables.append(cloud.assign(CellId=row["CellId"], stratum=row[stratum]))
    write_table(pd.concat(tables, ignore_index=True), out)
