"""Stage `mask` for meshes: the voxels inside, and measures of the surface and its pieces."""

from typing import Any

import numpy as np

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, shards
from morphobench.files.layout import MESH, SEGMENTATION, stored_mesh
from morphobench.geometry import isosurface, meshes, region
from morphobench.mask import pieces
from morphobench.mask.polymorphic import DEFAULTS, EXTENT, START

# A mesh in another unit would ask for billions of voxels.
_MAX_VOXELS, _BLOCK = 2**27, 2**20


def run(shard_in: FilePath, shard_out: FilePath, *, min_voxels: int, max_failed_fraction: float) -> None:
    """Cut one shard of meshes from stage `align` into voxels, in the layout of segmented structures.

    Writes segmentation.npy (uint8, 0 and 1, cropped to the mesh), vertices_um.npy and faces.npy, as they
    came; columns as for kind polymorphic: measures of the surface are those of the mesh, measures of pieces
    those of the voxels. The shard fails when too many of its cells do.

    Parameters
    ----------
    min_voxels
        A cell with fewer voxels inside fails.
    """

    def mask_cell(row: dict[str, Any]) -> shards.Result:
        vertices_um, faces = stored_mesh(shard_in, row)
        inside_zyx = voxels_inside(vertices_um, faces, row["spacing_um"])
        if (n_voxels := np.count_nonzero(inside_zyx)) < min_voxels:
            few = f"has {n_voxels} voxels inside, fewer than mask.min_voxels = {min_voxels}"
            raise InputError(f"the mesh {few}. Lower voxel_um or min_voxels, or remove the cell.")
        box = region.bounds(inside_zyx)
        mask_zyx, starts = inside_zyx[box], [span.start for span in box]
        areas_um2 = np.linalg.norm(isosurface.face_vectors(vertices_um, faces), axis=1)
        columns = {"n_voxels": n_voxels, "area_um2": float(areas_um2.sum())}
        columns["volume_um3"] = isosurface.enclosed_volume(vertices_um.astype(np.float64), faces)
        places = (*starts, *np.ptp(vertices_um, axis=0).tolist())
        columns |= dict(zip((*START, *EXTENT), places, strict=True))
        columns |= pieces.piece_features(mask_zyx, row["spacing_um"])
        return columns, {"segmentation": mask_zyx, "vertices_um": vertices_um, "faces": faces}

    with shards.create(shard_out, "mask", max_failed_fraction) as shard:
        shard.fill(files.read_cells(shard_in), mask_cell, SEGMENTATION | MESH, DEFAULTS, timed=True)


def voxels_inside(vertices_um: np.ndarray, faces: np.ndarray, spacing_um: float) -> np.ndarray:
    """Return which voxels have their centres inside a mesh, bool (z, y, x), from the origin to beyond it."""
    shape_xyz = np.ceil(vertices_um.max(axis=0) / spacing_um).astype(np.int64) + 1
    if shape_xyz.prod() > _MAX_VOXELS:
        asked = f"{shape_xyz.prod():.2g} voxels of voxel_um = {spacing_um:g}"
        raise InputError(f"the mesh would take {asked}. Raise it, or mend source.mesh.unit_um.")
    x_um, y_um, z_um = ((np.arange(n) + 0.5) * spacing_um for n in shape_xyz)
    blocks = []
    # By blocks of planes: memory stays that of one.
    for part_um in np.array_split(z_um, -(-shape_xyz.prod() // _BLOCK)):
        grid = np.stack(np.meshgrid(part_um, y_um, x_um, indexing="ij"), axis=-1)
        inside = meshes.inside(grid[..., ::-1].reshape(-1, 3), vertices_um, faces)
        blocks.append(inside.reshape(grid.shape[:3]))
    return np.concatenate(blocks)
