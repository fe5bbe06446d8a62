"""The surfaces of the real cells that figures show: examples, and those nearest to what analyses found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.files.layout import stored_mesh
from morphobench.files.manifests import example_cells
from morphobench.log import logger

# What a cell is shown as -> the columns that tell such cells apart.
ROLES = {
    "example": ["stratum"],
    "walk": ["stratum", "component", "sigma"],
    "archetype": ["archetype"],
    "volume_bin": ["bin"],
    "lda": ["stratum", "step"],
}
COLUMNS = ["item", "role", "CellId", "stratum", "component", "sigma", "archetype", "bin", "step"]


def examples(manifest: pd.DataFrame, stratum: str) -> pd.DataFrame:
    """Choose one cell per stratum, see `example_cells`; none where no cell was sampled.

    Parameters
    ----------
    manifest
        Cell table with CellId, group, split, success and perhaps the stratum column.
    stratum
        Its name; without it, one cell stands for all.

    Returns
    -------
    pandas.DataFrame
        Columns CellId, stratum.
    """
    known = manifest if stratum in manifest else manifest.assign(**{stratum: "all"})
    sampled = known["success"] & known[stratum].notna()
    found = example_cells(known, stratum) if sampled.any() else known[:0]
    return pd.DataFrame({"CellId": found["CellId"].astype(str), "stratum": found[stratum].astype(str)})


def wanted(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack the tables of chosen cells into one row per thing to show.

    Parameters
    ----------
    tables
        By role (`ROLES`): CellId and the columns that tell the role's cells apart; the condition that a walk
        leads to is its stratum. Rows without a cell, such as those of empty bins, are left out.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; item is a name such as walk/FBL/0/-2, once each.
    """
    parts = []
    for role, keys in ROLES.items():
        if role in tables and len(tables[role]):
            table = tables[role].rename(columns={"condition": "stratum"})
            rows = table.dropna(subset=["CellId"])[["CellId", *keys]].drop_duplicates(keys)
            names = rows[keys].astype(object).apply(lambda row: "/".join(map(_text, row)), axis=1)
            parts.append(rows.assign(role=role, item=role + "/" + names.astype(str)))
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return found.reindex(columns=COLUMNS)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def simplified(vertices: np.ndarray, faces: np.ndarray, n_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Thin a closed surface to about `n_faces` triangles by collapsing short edges; fewer stay as they are.

    Parameters
    ----------
    vertices
        Shape (n, 3).
    faces
        Shape (m, 3).
    n_faces
        Triangles wanted; pieces that cannot be thinned further may keep more.
    """
    import igl

    if len(faces) <= n_faces:
        return vertices, faces
    found = igl.decimate(vertices.astype(np.float64), faces.astype(np.int64), n_faces)
    # Nothing is left of a surface that is no manifold.
    return (found[0], found[1]) if len(found[1]) else (vertices, faces)


def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    tables: Mapping[str, str | Path],
    meshes_out: str | Path,
    table_out: str | Path,
    *,
    stratum: str,
    n_faces: int,
) -> None:
    """Write the surfaces of every cell that a figure of the dataset shows, each cell once.

    `meshes_out` holds the arrays vertices_um (float32, x, y, z, the middle of the bounding box at the origin)
    and faces (int32, indices into the cell's own vertices), all cells end to end. `table_out` has the columns
    of `wanted` and shape (number of the cell's surface), first_vertex, n_vertices, first_face, n_faces.

    Parameters
    ----------
    manifest
        Cell table of stage `sample`, with column shard.
    shards
        Shard folders of stage `mask` in the order of their numbers.
    tables
        Tables of chosen cells by role; see `ROLES`.
    meshes_out, table_out
        Files to write.
    stratum
        Column of the manifest that examples go by.
    n_faces
        Triangles per cell.
    """
    cells = files.read_table(manifest).assign(CellId=lambda table: table["CellId"].astype(str))
    chosen = {role: files.read_table(path) for role, path in tables.items()}
    shown = wanted({**chosen, "example": examples(cells, stratum)})
    ids = list(dict.fromkeys(shown["CellId"].astype(str)))
    shard_of = cells.set_index("CellId")["shard"]
    vertices, faces = [np.empty((0, 3))], [np.empty((0, 3), int)]
    for cell in ids:
        shard = shards[int(shard_of[cell])]
        mesh = simplified(*stored_mesh(shard, files.read_cell(shard, cell)), n_faces)
        vertices.append(mesh[0] - (mesh[0].min(axis=0) + mesh[0].max(axis=0)) / 2)
        faces.append(mesh[1])
    logger.info("%d surfaces for %d places in figures", len(ids), len(shown))
    with files.atomic_file(meshes_out) as part, part.open("wb") as stream:
        arrays = {"vertices_um": np.concatenate(vertices), "faces": np.concatenate(faces)}
        np.savez(stream, vertices_um=arrays["vertices_um"].astype("f4"), faces=arrays["faces"].astype("i4"))
    files.write_table(_placed(shown, ids, vertices[1:], faces[1:]), table_out)


def _placed(
    shown: pd.DataFrame, ids: list[str], vertices: list[np.ndarray], faces: list[np.ndarray]
) -> pd.DataFrame:
    """Add the columns that say where each row's surface lies."""
    n_vertices, n_faces = (np.array([len(one) for one in part], int) for part in (vertices, faces))
    number = shown["CellId"].astype(str).map({cell: i for i, cell in enumerate(ids)}).to_numpy(int)
    first_vertex, first_face = np.cumsum(n_vertices) - n_vertices, np.cumsum(n_faces) - n_faces
    return shown.assign(
        shape=number,
        first_vertex=first_vertex[number],
        n_vertices=n_vertices[number],
        first_face=first_face[number],
        n_faces=n_faces[number],
    )
