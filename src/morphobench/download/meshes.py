"""Stage `download` for cells given as triangle meshes: read, closed, and in micrometres."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphobench.download import crops, listed
from morphobench.errors import named
from morphobench.files import FilePath, manifests, shards
from morphobench.files.layout import MESH
from morphobench.geometry import mesh_repair, meshes
from morphobench.log import logger

_DEFAULTS = {"open_share": 0.0}


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
    """Write one shard of meshes; arguments as for other kinds, of which meshes need no more.

    Writes vertices_um.npy (float32, x, y, z) and faces.npy (int32, outward), see `mesh_repair.closed`. Adds
    open_share, the share of the surface that was missing and closed.

    Raises
    ------
    InputError
        When the table is missing or wrong, or too many cells fail.
    """
    source = dataset["source"]
    path, options = Path(source["meshes"]), source["mesh"]
    table = listed.read_table(source, "meshes", "mesh", crops.reserved_names(dataset))
    table = table[crops.shard_filter(shard, n_shards)(table["CellId"])].assign(**manifests.state())

    def read(row: dict[str, Any]) -> shards.Result:
        file = listed.checked(row, path, "mesh")
        mesh = meshes.read_mesh(file)
        with named(file):
            vertices, faces, open_share = mesh_repair.closed(mesh.vertices, mesh.faces, options["max_open"])
        arrays = {"vertices_um": vertices * options["unit_um"], "faces": faces}
        return {"open_share": open_share}, arrays

    with shards.create(shard_out, "download", max_failed_fraction) as created:
        created.fill(listed.with_groups(table, source), read, MESH, _DEFAULTS, timed=True)
        n_open = int((created.cells["open_share"] > 0).sum())
        if n_open:
            logger.info("download: %d of %d meshes were open and are closed", n_open, len(created.cells))
