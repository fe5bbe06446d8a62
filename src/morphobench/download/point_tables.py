"""Stage `download` for cells given as tables of points, such as localisations: read, in micrometres."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench.download import listed, stage
from morphobench.errors import InputError
from morphobench.files import point_files, shards, values
from morphobench.files.layout import WEIGHTED_CLOUD

# Fewer have no shape.
_LEAST = 2


def write(created: shards.Shard, request: stage.Request) -> None:
    """Write the point clouds of a shard: all points of every cell.

    Writes points_um.npy (float32, x, y, z; z is 0 where there is none) and weight.npy (float32, 1 where
    there is none). Where source.points.columns has `part`, several cells share a file: column `part` of the
    table says whose rows they are.

    Raises
    ------
    InputError
        When the table is missing or wrong.
    """
    source = request.dataset["source"]
    path, options = Path(source["point_tables"]), source["points"]
    cells, by_part = listed.read_shard(request, "point_tables", "points"), "part" in options["columns"]
    if by_part and "part" not in cells:
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

    created.fill(cells, read, WEIGHTED_CLOUD, timed=True)


run = partial(stage.run, write)
