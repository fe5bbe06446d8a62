"""Stage `sample` for polymorphic structures: distances on a grid, surfaces and points in space."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import shards
from morphobench.files.arrays import write_rows
from morphobench.files.layout import stored_mesh
from morphobench.geometry import surface_points
from morphobench.geometry.isosurface import enclosed_volume
from morphobench.sample import distances

MODES = ("corrected", "reference")
# Of the cube of the longest side; what a flat mesh of float32 vertices may show.
_NO_VOLUME = 1e-7
_LOC_COLUMNS = ("loc_x_um", "loc_y_um", "loc_z_um")
_Rows = tuple[dict[str, Any], dict[str, np.ndarray]]


def run(
    shard_in: str | Path,
    shard_out: str | Path,
    *,
    dataset_name: str,
    scale: str | Path,
    mode: str = "corrected",
    resolution: int,
    n_surface: int,
    n_queries: int,
    n_points: int,
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Sample one shard of cells.

    Writes, a row for each cell that succeeds: sdf.npy (R, R, R) float32, grid voxels, and seg.npy (R, R, R)
    uint8, both with axes z, y, x, see `distances`; in the cell's own unit cube, axes x, y, z, float32:
    surface.npy and normals.npy (n_surface, 3), queries.npy (n_queries, 3) and distances.npy (n_queries,), the
    signed distances there; and points_um.npy (n_points, 3) float32, other points of the surface, micrometres
    from the centre of its bounding box. Adds `index`, the cell's row, -1 for failed cells; `seed` of its
    generator, -1 for failed cells; loc_{x,y,z}_um and scale_um, centre and longest side of the bounding box:
    position_um = loc_um + scale_um * unit cube; scale_factor, grid voxels per micrometre; and `seconds`.

    Parameters
    ----------
    shard_in
        Shard folder of stage `mask`.
    shard_out
        Folder to write, whole or not at all.
    dataset_name
        Part of each cell's seed.
    scale
        Table with columns CellId and scale_factor, see `mask.scale`.
    mode
        "corrected"; or "reference": sdf with axes x, y, z, seg by the published stencil, and surface,
        normals and queries rounded to float16, as published, after the distances were computed. The published
        distances themselves, of scanned renderings, are not imitated.
    resolution
        Grid points per side, R.
    n_surface, n_queries, n_points
        Numbers of points.
    seed
        Seed of the run.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When the mode is unknown, or too many cells fail.
    """
    if mode not in MODES:
        raise InputError(f"sample.mode is {mode!r}; set it to one of {', '.join(MODES)}.")
    shard_in, reference = Path(shard_in), mode == "reference"
    scale_factors = files.read_table(scale).set_index("CellId")["scale_factor"]
    numbers = (n_surface, n_queries, n_points)

    def work(row: dict[str, Any]) -> _Rows:
        start = time.perf_counter()
        vertices_um, faces = stored_mesh(shard_in, row)
        check_mesh(vertices_um, faces)
        factor = float(scale_factors.get(row["CellId"], np.nan))
        rows = _grids(vertices_um, faces, resolution, factor, reference)
        rng = seeds.generator(seed, dataset_name, "sample", row["CellId"])
        rows |= _clouds(vertices_um, faces, numbers, rng, reference)
        _, loc_um, scale_um = surface_points.unit_cube(vertices_um)
        columns = dict(zip(_LOC_COLUMNS, loc_um.tolist(), strict=True))
        columns |= {"scale_um": scale_um, "scale_factor": factor}
        columns["seed"] = seeds.integer(seed, dataset_name, "sample", row["CellId"])
        return columns | {"seconds": time.perf_counter() - start}, rows

    defaults = {"seed": -1, "seconds": 0.0}
    defaults |= dict.fromkeys((*_LOC_COLUMNS, "scale_um", "scale_factor"), np.nan)
    with files.atomic_folder(shard_out) as part:
        cells = write_rows(part, files.read_cells(shard_in), _layout(resolution, *numbers), work, defaults)
        shards.finish(part, cells, max_failed_fraction, "sample")


def check_mesh(vertices_um: np.ndarray, faces: np.ndarray) -> None:
    """Make sure that a mesh encloses something; it may have holes.

    Parameters
    ----------
    vertices_um
        Shape (n_vertices, 3), micrometres.
    faces
        Shape (n_faces, 3).

    Raises
    ------
    InputError
        When it is empty, not finite, flat or turned inside out.
    """
    if len(faces) == 0 or not np.isfinite(vertices_um).all():
        raise InputError("the mesh has no faces, or vertices that are not finite. Check the segmentation.")
    volume_um3 = enclosed_volume(vertices_um.astype(np.float64), faces)
    if volume_um3 <= _NO_VOLUME * np.ptp(vertices_um, axis=0).max() ** 3:
        raise InputError(
            f"the mesh encloses no volume ({volume_um3:g} um3): it is flat or its faces point inwards. Check "
            "the segmentation, or remove the cell."
        )


def _layout(
    resolution: int, n_surface: int, n_queries: int, n_points: int
) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    return {
        "sdf": (np.float32, (resolution,) * 3),
        "seg": (np.uint8, (resolution,) * 3),
        "surface": (np.float32, (n_surface, 3)),
        "normals": (np.float32, (n_surface, 3)),
        "queries": (np.float32, (n_queries, 3)),
        "distances": (np.float32, (n_queries,)),
        "points_um": (np.float32, (n_points, 3)),
    }


def _grids(
    vertices_um: np.ndarray, faces: np.ndarray, resolution: int, scale_factor: float, reference: bool
) -> dict[str, np.ndarray]:
    place = {"resolution": resolution, "scale_factor": scale_factor}
    sdf = distances.signed_distance_grid(vertices_um, faces, **place, reference=reference)
    if reference:
        return {"sdf": sdf, "seg": distances.reference_segmentation_grid(vertices_um, faces, **place)}
    return {"sdf": sdf, "seg": distances.segmentation_grid(sdf)}


def _clouds(
    vertices_um: np.ndarray,
    faces: np.ndarray,
    numbers: tuple[int, int, int],
    rng: np.random.Generator,
    reference: bool,
) -> dict[str, np.ndarray]:
    """Draw surface, queries and points, in this order."""
    n_surface, n_queries, n_points = numbers
    vertices, _, scale_um = surface_points.unit_cube(vertices_um)
    points, normals = surface_points.surface_points(vertices, faces, n_surface, rng)
    queries = surface_points.query_points(n_queries, rng)
    points_um, _ = surface_points.surface_points(vertices * scale_um, faces, n_points, rng)
    known = surface_points.signed_distances(queries, vertices, faces)
    unit = {"surface": points, "normals": normals, "queries": queries}
    if reference:
        unit = {name: array.astype(np.float16).astype(np.float32) for name, array in unit.items()}
    return {**unit, "distances": known, "points_um": points_um}
