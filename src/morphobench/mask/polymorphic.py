"""Stage `mask` for multi-piece structures: fill their holes, find their pieces and their surface."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, shards
from morphobench.files.layout import MESH, SEGMENTATION, stored_cell
from morphobench.geometry import isosurface, labels, region
from morphobench.mask import pieces

START = tuple(f"start_{axis}_voxel" for axis in "zyx")
EXTENT = tuple(f"extent_{axis}_um" for axis in "xyz")
DEFAULTS = (
    dict.fromkeys((*START, "n_voxels", "n_pieces"), 0)
    | dict.fromkeys((*EXTENT, "volume_um3", "area_um2", *pieces.FEATURES), np.nan)
    | {"touches_border": False, "n_pieces_label": ""}
)


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    role: str | Mapping[str, str],
    fill_holes: str = "volume",
    min_voxels: int = 1,
    max_failed_fraction: float,
) -> None:
    """Convert one shard of segmented structures from stage `align` to filled masks and closed surfaces.

    The structure is its foreground (see `geometry.labels.occupancy`) inside the mask that stage `align` kept,
    all pieces of it. Writes segmentation.npy (uint8, 0 and 1, cropped to the structure's bounding box),
    vertices_um.npy (float32, x, y, z from the corner of the aligned crop, where the centre of voxel (k, j, i)
    lies at ((i, j, k) + 1/2) edges) and faces.npy (int32, outward, indices into the cell's own vertices).

    Adds start_{z,y,x}_voxel, where the stored volume begins in the aligned crop; n_voxels, filled;
    extent_{x,y,z}_um, volume_um3 and area_um2 of the surface; touches_border, whether the structure reaches
    the border of the aligned crop, beyond which part of it may be missing; and the columns of
    `pieces.piece_features`. The shard fails when too many of its cells do.

    Parameters
    ----------
    role
        Which mask stage `align` kept, for messages.
    fill_holes
        See `isosurface.fill`.
    min_voxels
        A cell whose structure has fewer voxels, before filling, fails.
    """

    def mask_cell(row: dict[str, Any]) -> shards.Result:
        structure_zyx, core_zyx = stored_cell(shard_in, row)
        inside_zyx = labels.foreground(structure_zyx) & (core_zyx > 0)
        n_voxels, where = np.count_nonzero(inside_zyx), shards.by_structure(role, row, "mask.role")
        if not n_voxels:
            raise InputError(f"the segmentation is empty inside the mask ({where}). Check both.")
        if n_voxels < min_voxels:
            few = f"{n_voxels} voxels inside the mask ({where}), fewer than mask.min_voxels = {min_voxels}"
            raise InputError(f"the structure has {few}. Lower it, or remove the cell.")
        mask_zyx, vertices_um, faces, columns = measure_structure(inside_zyx, fill_holes, row["spacing_um"])
        return columns, {"segmentation": mask_zyx, "vertices_um": vertices_um, "faces": faces}

    with shards.create(shard_out, "mask", max_failed_fraction) as shard:
        cells = files.read_cells(shard_in)
        shard.fill(cells, mask_cell, SEGMENTATION | MESH, DEFAULTS, timed=True)


def measure_structure(
    inside_zyx: np.ndarray, fill_holes: str, spacing_um: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fill a structure in its aligned crop, and measure its surface and its pieces; see `run`.

    Returns
    -------
    mask_zyx
        Bool, filled and cropped.
    vertices_um, faces
        Its surface, in the frame of the aligned crop.
    columns
        Measures of the cell table.
    """
    # Not in the crop: whether a slice is the first one of the image counts for slice2d.
    filled_zyx = isosurface.fill(inside_zyx, fill_holes)
    box = region.bounds(filled_zyx)
    mask_zyx = filled_zyx[box]
    starts_zyx = np.array([span.start for span in box])
    vertices_um, faces = isosurface.isosurface(mask_zyx, spacing_um)
    features = pieces.piece_features(mask_zyx, spacing_um, (vertices_um, faces))
    touches = any(span.start == 0 or span.stop == n for span, n in zip(box, filled_zyx.shape, strict=True))
    columns = {
        "n_voxels": int(np.count_nonzero(mask_zyx)),
        "volume_um3": isosurface.enclosed_volume(vertices_um, faces),
        "area_um2": float(np.linalg.norm(isosurface.face_vectors(vertices_um, faces), axis=1).sum()),
        "touches_border": touches,
    }
    places = (*starts_zyx.tolist(), *np.ptp(vertices_um, axis=0).tolist())
    columns |= dict(zip((*START, *EXTENT), places, strict=True))
    return mask_zyx, vertices_um + starts_zyx[::-1] * spacing_um, faces, columns | features
