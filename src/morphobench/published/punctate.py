"""Published punctate cells: clouds gathered from PLY files, cubes read where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plyfile

from morphobench.download.remote import Store
from morphobench.errors import InputError
from morphobench.files import file_rows, shards
from morphobench.files.volumes import Layout
from morphobench.published import manifest as tables
from morphobench.published.shard import explained, fetch, rows_of

_AXES = ("x", "y", "z")
# As the published reader does with intensities that are not a number.
_NO_INTENSITY = 1.0


def run(
    published: str | Path,
    shard_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    download: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Write one shard of stage `sample` from published files.

    Writes points_um.npy (n_ok, n_points, 3) float32 and intensity.npy (n_ok, n_points) float32, gathered from
    the PLY files (voxels, z, y, x, s); and the list of the image files, which stay where they are, as array
    `cube`. Columns: those of the published table and `index`.

    Parameters
    ----------
    published
        Table that `morphobench.published.manifest.run` wrote.
    shard_out
        Folder to write, whole or not at all.
    dataset
        Keys name, published, voxel_um and sample of the dataset's configuration.
    shard, n_shards
        This shard and their number.
    download
        Section `download` of the configuration.
    seed
        Not used: nothing is drawn.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When too many cells fail.
    """
    store, size = tables.store_of(dataset, download), dataset["sample"]["cube"]["size"]
    cells, paths = fetch(rows_of(published, shard, n_shards), _names, store, dataset["name"])
    n_points, cubes = dataset["sample"]["points"]["n_points"], []

    def work(row: dict[str, Any]) -> shards.Result:
        points_um, intensity = read_cloud(paths[row["pointcloud_path"]], dataset["voxel_um"])
        if len(points_um) != n_points:
            raise InputError(
                f"{row['pointcloud_path']} has {len(points_um)} points, not {n_points}. Set "
                "published.overrides.preprocessed.sample.points.n_points to what the files hold."
            )
        cube = paths[row["image_path"]]
        file_rows.read_row(cube, "tiff", (size,) * 3)
        cubes.append((cube, "tiff"))
        return {}, {"points_um": points_um, "intensity": intensity}

    arrays = {"points_um": Layout(np.float32, (n_points, 3)), "intensity": Layout(np.float32, (n_points,))}
    with shards.create(shard_out, "published_cells", max_failed_fraction) as created:
        created.fill(cells, work, arrays)
        file_rows.write_listing(created.folder, "cube", cubes)


def _names(row: Mapping[str, Any]) -> list[str]:
    return [row["pointcloud_path"], row["image_path"]]


def read_cloud(path: Path, voxel_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Read a published cloud.

    Parameters
    ----------
    path
        PLY file with vertex properties z, y, x (voxels) and s (intensity).
    voxel_um
        Micrometres per voxel.

    Returns
    -------
    points_um
        Shape (n, 3), x, y, z, float32, micrometres.
    intensity
        Shape (n,), float32, as published; 1 where it is not a number.

    Raises
    ------
    InputError
        When the file is damaged, lacks a property, or has coordinates that are not finite.
    """
    with explained(path):
        vertices = plyfile.PlyData.read(str(path))["vertex"].data
        missing = [name for name in (*_AXES, "s") if name not in (vertices.dtype.names or ())]
        if missing:
            raise InputError(f"its vertices lack {', '.join(missing)}. Leave the cell out.")
        points_um = np.stack([vertices[axis] for axis in _AXES], axis=1).astype(np.float64) * voxel_um
        if not len(points_um) or not np.isfinite(points_um).all():
            raise InputError("it has no points, or some are not finite. Leave the cell out.")
        intensity = np.nan_to_num(vertices["s"].astype(np.float32), nan=_NO_INTENSITY)
    return points_um.astype(np.float32), intensity


def example_um(row: Mapping[str, Any], store: Store, dataset: Mapping[str, Any], seed: int) -> np.ndarray:
    """Return the cloud of one cell for a figure, fetching that alone; shape (n, 3), micrometres."""
    path = store.fetch([row["pointcloud_path"]], dataset=dataset["name"])[row["pointcloud_path"]]
    return read_cloud(path, dataset["voxel_um"])[0]
