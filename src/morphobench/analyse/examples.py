"""One test cell of each kind, for the first panel of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.analyse.cells import strata_of
from morphobench.errors import InputError
from morphobench.files import read_array, read_table, write_table


def example_cells(manifest: pd.DataFrame, stratum: str) -> pd.DataFrame:
    """Choose one test cell per stratum, all of one group when a group has every stratum.

    A stratum without a sampled test cell gives another of its cells.

    Parameters
    ----------
    manifest
        Cell table with CellId, group, split, success and the stratum column.
    stratum
        Column whose values are to be shown, in order of appearance by CellId; without it, or without any
        value in it, all cells are one stratum.

    Raises
    ------
    InputError
        When no cell is left.
    """
    manifest = manifest.assign(**{stratum: strata_of(manifest, stratum)}).dropna(subset=stratum)
    sampled = manifest[manifest["success"]].sort_values("CellId")
    if sampled.empty:
        raise InputError("no cell was sampled; see the column `error` of the manifest.")
    test = sampled[sampled["split"] == "test"]
    kinds = test.groupby("group")[stratum].nunique()
    full = kinds.index[kinds == sampled[stratum].nunique()]
    pool = test[test["group"] == full[0]] if len(full) else pd.concat([test, sampled])
    return pool.drop_duplicates(stratum)


def run(manifest: str | Path, shards: Sequence[str | Path], out: str | Path, *, stratum: str) -> None:
    """Write the clouds of the example cells: columns CellId, stratum, x_um, y_um, z_um."""
    tables = []
    for row in example_cells(read_table(manifest), stratum).itertuples():
        points_um = np.asarray(read_array(shards[row.shard], "points_um")[row.index])
        cloud = pd.DataFrame(points_um, columns=["x_um", "y_um", "z_um"])
        tables.append(cloud.assign(CellId=row.CellId, stratum=getattr(row, stratum)))
    write_table(pd.concat(tables, ignore_index=True), out)
