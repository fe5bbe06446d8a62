"""Surfaces of representative cells: examples, and cells nearest to walks, archetypes, means and axes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.files import FilePath
from morphobench.files.layout import stored_mesh
from morphobench.files.manifests import example_cells
from morphobench.files.values import text
from morphobench.log import logger

# Role of a cell -> the columns that identify the cells of this role.
ROLES = {
    "example": ["stratum"],
    "walk": ["stratum", "component", "sigma"],
    "archetype": ["archetype"],
    "volume_bin": ["bin"],
    "lda": ["stratum", "step"],
}
COLUMNS = ["item", "role", "CellId", "stratum", "component", "sigma", "archetype", "bin", "step"]


def _examples(manifest: pd.DataFrame, stratum: str) -> pd.DataFrame:
    """Return CellId and stratum of one cell per stratum; no row where no cell was sampled."""
    sampled = manifest["success"] & (manifest[stratum].notna() if stratum in manifest else True)
    examples = example_cells(manifest, stratum) if sampled.any() else manifest[:0]
    examples = examples.reindex(columns=["CellId", stratum]).set_axis(["CellId", "stratum"], axis=1)
    return examples.apply(text)


def list_items(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack tables of representative cells by role into one table with a row per item.

    Each has CellId and the columns of its role (`ROLES`); the condition that a walk leads to is its stratum.
    Rows without a cell, such as empty bins, are left out. Columns `COLUMNS`; item is unique, such as
    walk/FBL/0/-2.
    """
    parts = []
    for role, keys in ROLES.items():
        if role in tables and len(tables[role]):
            table = tables[role].rename(columns={"condition": "stratum"})
            rows = table.dropna(subset=["CellId"])[["CellId", *keys]].drop_duplicates(keys)
            names = rows[keys].astype(object).apply(lambda row: "/".join(map(_text, row)), axis=1)
            parts.append(rows.assign(role=role, item=role + "/" + names.astype(str)))
    items = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return items.reindex(columns=COLUMNS)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def decimate(vertices: np.ndarray, faces: np.ndarray, n_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Collapse the edges of a closed surface until about `n_faces` triangles are left.

    Vertices (n, 3), faces (m, 3). A surface that is no manifold is returned as it is.
    """
    import igl

    if len(faces) <= n_faces:
        return vertices, faces
    decimated = igl.decimate(vertices.astype(np.float64), faces.astype(np.int64), n_faces)
    return (decimated[0], decimated[1]) if len(decimated[1]) else (vertices, faces)


def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    tables: Mapping[str, FilePath],
    meshes_out: FilePath,
    table_out: FilePath,
    *,
    stratum: str,
    n_faces: int,
) -> None:
    """Write the decimated surfaces of the example cells and of the cells in `tables` (by role), each once.

    `meshes_out` holds vertices_um (float32; x, y, z from the middle of the bounding box) and faces (int32,
    indices into the cell's own vertices), all cells end to end. `table_out` has the columns of `list_items`
    and shape (number of the surface), first_vertex, n_vertices, first_face, n_faces. Shards are those of
    stage mask.
    """
    cells = files.read_table(manifest).assign(CellId=lambda table: table["CellId"].astype(str))
    representatives = {role: files.read_table(path) for role, path in tables.items()}
    items = list_items({**representatives, "example": _examples(cells, stratum)})
    shard_of = cells.set_index("CellId")["shard"]
    vertices, faces = [np.empty((0, 3))], [np.empty((0, 3), int)]
    for cell in items["CellId"].astype(str).unique():
        shard = shards[int(shard_of[cell])]
        mesh = decimate(*stored_mesh(shard, files.read_cell(shard, cell)), n_faces)
        vertices.append(mesh[0] - (mesh[0].min(axis=0) + mesh[0].max(axis=0)) / 2)
        faces.append(mesh[1])
    logger.info("%d surfaces of %d items", len(faces) - 1, len(items))
    arrays = {"vertices_um": np.concatenate(vertices, dtype="f4"), "faces": np.concatenate(faces, dtype="i4")}
    with files.atomic_file(meshes_out) as part, part.open("wb") as stream:
        np.savez(stream, **arrays)
    files.write_table(with_offsets(items, vertices[1:], faces[1:]), table_out)


def with_offsets(
    items: pd.DataFrame, vertices: Sequence[np.ndarray], faces: Sequence[np.ndarray]
) -> pd.DataFrame:
    """Add where the surface of each item's cell lies; surfaces are in order of first appearance."""
    shape = pd.factorize(items["CellId"].astype(str))[0]
    items = items.assign(shape=shape)
    for first, number, parts in (("first_vertex", "n_vertices", vertices), ("first_face", "n_faces", faces)):
        n = np.array([len(part) for part in parts], int)
        items = items.assign(**{first: (np.cumsum(n) - n)[shape], number: n[shape]})
    return items
