"""Names of stored files and columns that several stages share, and one cell's arrays of a shard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files
from morphobench.files import volumes

# Columns and folders of image crops.
CROPS = ("crop_raw", "crop_seg")
# Folders of packings and of the shapes of nuclei: published, and aligned.
PACKINGS, SHAPES, NUCLEI = "packings", "reference_nuclear_shapes", "nuclei"
# Keys of the published JSON files of packings: the first packing, the spheres inside the nucleus.
POSITION_KEYS = ("0", "nucleus_interior_pcna")
# Columns that place a cell's vertices and faces in the arrays of its shard.
VERTICES, FACES = ("first_vertex", "n_vertices"), ("first_face", "n_faces")


def positions_name(rule: str, shape: str, angle: str) -> str:
    """Return the published file name of one packing."""
    return f"positions_pcna_analyze_{rule}_{shape}_{angle}.json"


def crop_folder(shard: str | Path, source: Mapping[str, Any]) -> Path:
    """Return the folder that crop_raw and crop_seg of the cell table of a download shard start from."""
    return Path(shard) if source.get("fovs") or source.get("stack") else Path()


def stored_cell(shard: str | Path, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a cell's intensities and mask, each of shape (z, y, x), out of a shard of align or mask."""
    # Opened for each cell: what a mapped file has read stays in memory for as long as it is mapped.
    flat = (files.read_array(shard, name) for name in ("structure", "mask"))
    return tuple(volumes.volume(one, row) for one in flat)


def stored_mesh(shard: str | Path, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return a cell's closed surface out of a mask shard.

    Returns
    -------
    vertices_um
        float32, shape (n_vertices, 3), x, y, z from the corner of the aligned crop.
    faces
        int32, shape (n_faces, 3), outward.
    """
    vertices_um, faces = (files.read_array(shard, name) for name in ("vertices_um", "faces"))
    return np.array(volumes.rows(vertices_um, row, *VERTICES)), np.array(volumes.rows(faces, row, *FACES))
