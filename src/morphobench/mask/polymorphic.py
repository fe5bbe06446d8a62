"""Stage `mask` for multi-piece structures: fill their holes, find their pieces and their surface."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import shards, volumes
from morphobench.files.layout import FACES, VERTICES, stored_cell
from morphobench.geometry import isosurface, region, segmentation
from morphobench.mask import pieces

_START = tuple(f"start_{axis}_voxel" for axis in "zyx")
_EXTENT = tuple(f"extent_{axis}_um" for axis in "xyz")
_COUNTS = ("first_voxel", *volumes.SIZE_COLUMNS, *_START, "n_voxels", *VERTICES, *FACES, "n_pieces")
_DEFAULTS = (
    dict.fromkeys(_COUNTS, 0)
    | dict.fromkeys((*_EXTENT, "volume_um3", "area_um2", *pieces.FEATURES), np.nan)
    | {"touches_border": False, "n_pieces_label": "", "seconds": 0.0}
)


def run(
    shard_in: str | Path,
    shard_out: str | Path,
    *,
    role: str | Mapping[str, str],
    fill_holes: str = "volume",
    min_voxels: int = 1,
    max_failed_fraction: float,
) -> None:
    """Turn one shard of segmented structures into filled masks and closed surfaces.

    The structure is its foreground (see `geometry.segmentation.occupancy`) inside the mask that stage
    `align` kept, all pieces of it. Writes segmentation.npy (uint8, 0 and 1, cropped to the structure's
    bounding box), vertices_um.npy (float32, x, y, z from the corner of the aligned crop, where the centre of
    voxel (k, j, i) lies at ((i, j, k) + 1/2) edges) and faces.npy (int32, outward, indices into the cell's
    own vertices), all cells end to end.

    Sets first_voxel and size_{z,y,x}. Adds start_{z,y,x}_voxel, where the stored volume begins in the aligned
    crop; n_voxels, filled; first_vertex, n_vertices, first_face and n_faces (see `files.layout.stored_mesh`);
    extent_{x,y,z}_um, volume_um3 and area_um2 of the surface; touches_border, whether the structure reaches
    the border of the aligned crop, beyond which part of it may be missing; the columns of
    `pieces.piece_features`; and `seconds`.

    Parameters
    ----------
    shard_in
        Shard folder of stage `align`.
    shard_out
        Folder to write, whole or not at all.
    role
        Which mask stage `align` kept, for messages.
    fill_holes
        See `surface_mesh.fill`.
    min_voxels
        A cell whose structure has fewer voxels, before filling, fails.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When the settings are wrong, or too many cells fail.
    """
    isosurface.check_filling(fill_holes)
    with (
        files.atomic_folder(shard_out) as part,
        volumes.VolumeWriter(part / "segmentation.npy", np.uint8) as masks,
        volumes.VolumeWriter(part / "vertices_um.npy", np.float32, (3,)) as vertices,
        volumes.VolumeWriter(part / "faces.npy", np.int32, (3,)) as triangles,
    ):

        def work(row: dict[str, Any]) -> dict[str, Any]:
            start = time.perf_counter()
            structure_zyx, core_zyx = stored_cell(Path(shard_in), row)
            inside_zyx = segmentation.foreground(structure_zyx) & (core_zyx > 0)
            _check_size(inside_zyx, min_voxels, shards.by_structure(role, row, "mask.role"))
            mask_zyx, vertices_um, faces, columns = shape_of(inside_zyx, fill_holes, row["spacing_um"])
            columns |= volumes.placed(masks.append(mask_zyx), mask_zyx)
            columns |= dict(zip(VERTICES, (vertices.append(vertices_um), len(vertices_um)), strict=True))
            columns |= dict(zip(FACES, (triangles.append(faces), len(faces)), strict=True))
            return columns | {"seconds": time.perf_counter() - start}

        cells = shards.each_cell(files.read_cells(shard_in), work, _DEFAULTS, "mask")
        shards.finish(part, cells, max_failed_fraction, "mask")


def shape_of(
    inside_zyx: np.ndarray, fill_holes: str, spacing_um: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fill a structure, crop to it, and find its surface and its pieces.

    Parameters
    ----------
    inside_zyx
        Bool, the structure in the aligned crop, shape (z, y, x), at least one voxel.
    fill_holes
        See `run`.
    spacing_um
        Edge of a voxel, micrometres.

    Returns
    -------
    mask_zyx
        Bool, filled and cropped.
    vertices_um, faces
        Its surface, in the frame of the aligned crop.
    columns
        What `run` says of them, but for where they are stored.
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
        **dict(zip(_START, starts_zyx.tolist(), strict=True)),
        **dict(zip(_EXTENT, np.ptp(vertices_um, axis=0).tolist(), strict=True)),
        "n_voxels": int(np.count_nonzero(mask_zyx)),
        "volume_um3": isosurface.enclosed_volume(vertices_um, faces),
        "area_um2": float(np.linalg.norm(isosurface.face_vectors(vertices_um, faces), axis=1).sum()),
        "touches_border": touches,
    }
    return mask_zyx, vertices_um + starts_zyx[::-1] * spacing_um, faces, columns | features


def _check_size(inside_zyx: np.ndarray, min_voxels: int, role: str) -> None:
    n_voxels = int(np.count_nonzero(inside_zyx))
    if n_voxels == 0:
        raise InputError(
            f"the segmentation is empty inside the mask ({role}). Check both, or remove the cell."
        )
    if n_voxels < min_voxels:
        raise InputError(
            f"the structure has {n_voxels} voxels inside the mask ({role}), fewer than mask.min_voxels = "
            f"{min_voxels}. Lower it, or remove the cell."
        )
