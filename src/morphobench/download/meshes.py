"""Stage `download` for cells given as triangle meshes: read, closed, and in micrometres."""

from functools import partial
from pathlib import Path
from typing import Any

from morphobench.download import listed, stage
from morphobench.errors import named
from morphobench.files import shards
from morphobench.files.layout import MESH
from morphobench.geometry import mesh_repair, meshes
from morphobench.log import logger

_DEFAULTS = {"open_share": 0.0}


def write(created: shards.Shard, request: stage.Request) -> None:
    """Write the meshes of a shard: vertices_um.npy (float32, x, y, z) and faces.npy (int32, outward).

    See `mesh_repair.closed`. Adds open_share, the share of the surface that was missing and closed.

    Raises
    ------
    InputError
        When the table is missing or wrong.
    """
    source = request.dataset["source"]
    path, options = Path(source["meshes"]), source["mesh"]

    def read(row: dict[str, Any]) -> shards.Result:
        file = listed.checked(row, path, "mesh")
        mesh = meshes.read_mesh(file)
        with named(file):
            vertices, faces, open_share = mesh_repair.closed(mesh.vertices, mesh.faces, options["max_open"])
        arrays = {"vertices_um": vertices * options["unit_um"], "faces": faces}
        return {"open_share": open_share}, arrays

    created.fill(listed.read_shard(request, "meshes", "mesh"), read, MESH, _DEFAULTS, timed=True)
    n_open = int((created.cells["open_share"] > 0).sum())
    if n_open:
        logger.info("download: %d of %d meshes were open and are closed", n_open, len(created.cells))


run = partial(stage.run, write)
