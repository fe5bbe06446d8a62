"""Stage `sample` for polymorphic structures: distances on a grid, surfaces and points in space."""

from typing import Any

import numpy as np

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, shards
from morphobench.files.layout import stored_mesh, surface_arrays
from morphobench.files.volumes import Layout
from morphobench.geometry import surface_points
from morphobench.geometry.isosurface import enclosed_volume
from morphobench.sample import distances

# Of the cube of the longest side; what a flat mesh of float32 vertices may show.
_NO_VOLUME = 1e-7
_LOC = ("loc_x_um", "loc_y_um", "loc_z_um")


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    dataset_name: str,
    scale_factor: FilePath,
    mode: str = "corrected",
    resolution: int,
    n_surface: int,
    n_queries: int,
    n_points: int,
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Sample one shard of stage `mask`; it fails when too many of its cells do.

    Writes, a row for each cell that succeeds: sdf.npy (R, R, R) float32, grid voxels, and seg.npy (R, R, R)
    uint8, both with axes z, y, x, see `distances`; in the cell's own unit cube, axes x, y, z, float32:
    surface.npy and normals.npy (n_surface, 3), queries.npy (n_queries, 3) and distances.npy (n_queries,), the
    signed distances there; and points_um.npy (n_points, 3) float32, other points of the surface, micrometres
    from the centre of its bounding box. Adds `seed` of the cell's generator, -1 for failed cells;
    loc_{x,y,z}_um and scale_um, centre and longest side of the bounding box: position_um = loc_um +
    scale_um * unit cube; and scale_factor, grid voxels per micrometre.

    Parameters
    ----------
    scale_factor
        Table with columns CellId and scale_factor, see `mask.scale_factor`.
    mode
        "corrected"; or "reference": sdf with axes x, y, z, seg by its own stencil, and surface, normals and
        queries rounded to float16, as in the paper, after the distances were computed. The paper's own
        distances, of scanned renderings, are not imitated.
    resolution
        Grid points per side, R.
    """
    reference = mode == "reference"
    numbers = {"n_surface": n_surface, "n_queries": n_queries, "n_points": n_points}
    scale_factors = files.read_table(scale_factor).set_index("CellId")["scale_factor"]

    def sample_cell(row: dict[str, Any]) -> shards.Result:
        vertices_um, faces = stored_mesh(shard_in, row)
        check_mesh(vertices_um, faces)
        factor = float(scale_factors.get(row["CellId"], np.nan))
        parts = (seed, dataset_name, "sample", row["CellId"])
        place, rng = {"resolution": resolution, "scale_factor": factor}, seeds.generator(*parts)
        sdf = distances.signed_distance_grid(vertices_um, faces, **place, reference=reference)
        seg = distances.segmentation_grid(sdf)
        if reference:
            seg = distances.reference_segmentation_grid(vertices_um, faces, **place)
        vertices, loc_um, scale_um = surface_points.unit_cube(vertices_um)
        surface, normals = surface_points.surface_points(vertices, faces, n_surface, rng)
        queries = surface_points.query_points(n_queries, rng)
        points_um, _ = surface_points.surface_points(vertices * scale_um, faces, n_points, rng)
        known = surface_points.signed_distances(queries, vertices, faces)
        unit = {"surface": surface, "normals": normals, "queries": queries}
        if reference:
            unit = {name: array.astype(np.float16).astype(np.float32) for name, array in unit.items()}
        columns = {"scale_um": scale_um, "scale_factor": factor, "seed": seeds.integer(*parts)}
        columns |= dict(zip(_LOC, loc_um.tolist(), strict=True))
        return columns, {"sdf": sdf, "seg": seg, **unit, "distances": known, "points_um": points_um}

    layouts = {"sdf": Layout(np.float32, (resolution,) * 3), "seg": Layout(np.uint8, (resolution,) * 3)}
    defaults = {"seed": -1} | dict.fromkeys((*_LOC, "scale_um", "scale_factor"), np.nan)
    with shards.create(shard_out, "sample", max_failed_fraction) as shard:
        cells = files.read_cells(shard_in)
        shard.fill(cells, sample_cell, layouts | surface_arrays(**numbers), defaults, timed=True)


def check_mesh(vertices_um: np.ndarray, faces: np.ndarray) -> None:
    """Raise an InputError for a mesh that is empty, not finite, flat or inside out; it may have holes."""
    if len(faces) == 0 or not np.isfinite(vertices_um).all():
        raise InputError("the mesh has no faces, or vertices that are not finite. Check the segmentation.")
    volume_um3 = enclosed_volume(vertices_um.astype(np.float64), faces)
    if volume_um3 <= _NO_VOLUME * np.ptp(vertices_um, axis=0).max() ** 3:
        wrong = f"encloses no volume ({volume_um3:g} um3): it is flat or its faces point inwards"
        raise InputError(f"the mesh {wrong}. Check the segmentation, or remove the cell.")
