"""Stage `download` for cells given as tables of points, such as localisations: read, in micrometres."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench.download import crops, listed
from morphobench.errors import InputError
from morphobench.files import FilePath, manifests, point_files, shards, values
from morphobench.files.layout import WEIGHTED_CLOUD

# Fewer have no shape.
_LEAST = 2


def run(
    shard_out: FilePath,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    seed: int,
    max_failed_fraction: float,
    manifest: FilePath | None = None,
    download_config: Mapping[str, Any] | None = None,
) -> None:
    """Write one shard of point clouds; arguments as for other kinds, of which they need no more.

    Writes points_um.npy (float32, x, y, z; z is 0 where there is none) and weight.npy (float32, 1 where
    there is none), all points of every cell. Where source.points.columns has `part`, several cells share a
    file: column `part` of the table says whose rows they are.

    Raises
    ------
    InputError
        When the table is missing or wrong, or too many cells fail.
    """
    source = dataset["source"]
    path, options = Path(source["point_tables"]), source["points"]
    table = listed.read_table(source, "point_tables", "points", crops.reserved_names(dataset))
    table = table[crops.shard_filter(shard, n_shards)(table["CellId"])].assign(**manifests.state())
    by_part = "part" in options["columns"]
    if by_part and "part" not in table:
        raise InputError(f"{path}: column part is missing, which source.points.columns.part needs. Add it.")

    @lru_cache(maxsize=1)
    def read_file(file: Path) -> tuple[point_files.Points, dict[str, Any]]:
        points = point_files.read(file, options)
        return points, pd.Series(points.part).groupby(points.part).indices if by_part else {}

    def read(row: dict[str, Any]) -> shards.Result:
        file = listed.checked(row, path, "points")
        points, parts = read_file(file)
        own = parts.get(values.text_of(row["part"]), []) if by_part else slice(None)
        points_um, weight = points.points_um[own], points.weight[own]
        if len(points_um) < _LEAST:
            few = f"{len(points_um)} point{'s' * (len(points_um) != 1)}, which have no shape"
            raise InputError(f"{file}: has {few}. Complete it, or remove the cell from {path}.")
        # About the middle first: float32 holds no nanometres far from the origin.
        return {}, {"points_um": points_um - points_um.mean(axis=0), "weight": weight}

    with shards.create(shard_out, "download", max_failed_fraction) as created:
        cells = listed.with_groups(table.sort_values("points", kind="stable"), source)
        created.fill(cells.reset_index(drop=True), read, WEIGHTED_CLOUD, timed=True)
