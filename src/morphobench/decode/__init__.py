"""Shapes out of codes: what any model decodes becomes point clouds or meshes in micrometres."""

from morphobench.decode.clouds import cube_to_points_um, decode_points_um, published_cloud, thin, to_points_um
from morphobench.decode.device import accelerated, device_of, home_of
from morphobench.decode.shapes import (
    VOLUMES,
    decode_shapes,
    flaw,
    model_sizes_um,
    posed_mesh,
    shapes_of,
    stored_codes,
    voxel_edges_um,
)
from morphobench.decode.surfaces import volume_mesh

__all__ = [
    "VOLUMES",
    "accelerated",
    "cube_to_points_um",
    "decode_points_um",
    "decode_shapes",
    "device_of",
    "flaw",
    "home_of",
    "posed_mesh",
    "published_cloud",
    "shapes_of",
    "model_sizes_um",
    "stored_codes",
    "thin",
    "to_points_um",
    "volume_mesh",
    "voxel_edges_um",
]
