"""Decoding of embeddings into shapes in micrometres: point clouds, or meshes of volumes with a surface."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench.errors import InputError
from morphobench.files.tables import embedding_matrix
from morphobench.geometry import rotation
from morphobench.geometry.overlap import Mesh
from morphobench.models.base import Autoencoder
from morphobench.models.decode_clouds import to_points_um
from morphobench.models.decode_surfaces import inside_field, volume_mesh
from morphobench.models.device import autocast, model_device
from morphobench.models.inputs import Config

# Representations whose decoded volumes have a surface.
VOLUMES = ("sdf", "seg", "surface")
VECTORS = "vectors"
POSE_COLUMNS = [f"pose_{row}{column}" for row in range(3) for column in range(3)]


def model_sizes_um(table: pd.DataFrame, representation: str) -> np.ndarray:
    """Return the micrometres per unit of each cell's shape in its model, shape (n,).

    The unit is a voxel of the grid (sdf, seg), from column scale_factor of the manifest, or the longest side
    of the cell (surface), from scale_um.
    """
    column = "scale_um" if representation == "surface" else "scale_factor"
    if column not in table:
        raise InputError(f"the manifest has no column {column}. Sample the dataset again.")
    sizes = table[column].to_numpy(np.float64)
    return sizes if representation == "surface" else 1 / sizes


def decoder_inputs(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what `decode` reads of an embedding table with rotations "identity".

    First the embedding, shape (n, D), or the vectors of the implicit model in the canonical frame, shape
    (n, D, 3); then the poses, canonical to observed frame, shape (n, 3, 3), None for a model without.
    """
    z = embedding_matrix(table)
    if VECTORS in table:
        z = np.stack(table[VECTORS].to_list()).astype(np.float64).reshape(len(table), -1, 3)
    if POSE_COLUMNS[0] not in table:
        return z, None
    return z, table[POSE_COLUMNS].to_numpy(np.float64).reshape(-1, 3, 3)


def decode_shapes(
    model: Autoencoder,
    z: np.ndarray,
    model_config: Config,
    *,
    batch_size: int,
    pose: np.ndarray | None = None,
    precision: str = "32-true",
    sizes_um: np.ndarray | None = None,
    **options: Any,
) -> list[np.ndarray] | list[Mesh]:
    """Decode embeddings in batches, into clouds (n_points, 3) or closed meshes, micrometres.

    Parameters
    ----------
    model, z
        Trained model, and `decoder_inputs` of it.
    model_config
        Content of the model's yaml.
    batch_size
        Embeddings decoded together; no result depends on it beyond rounding.
    pose
        Rotations to the observed frame, shape (n, 3, 3); None decodes canonical shapes.
    precision
        See `autocast`.
    sizes_um, **options
        See `to_shapes_um`.
    """
    shapes: list[Any] = []
    for rows, decoded in decode_batches(model, z, pose, batch_size, precision):
        sizes = None if sizes_um is None else np.asarray(sizes_um)[rows]
        shapes += to_shapes_um(decoded, model_config, model, sizes_um=sizes, **options)
    return shapes


@torch.inference_mode()
def decode_batches(
    model: Autoencoder, z: np.ndarray, pose: np.ndarray | None, batch_size: int, precision: str
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield the rows of each batch and the decoder's output, single precision."""
    device = model_device(model)
    for start in range(0, len(z), batch_size):
        rows = slice(start, start + batch_size)
        parts = [part[rows] for part in (z, pose) if part is not None]
        inputs = [torch.tensor(part, dtype=torch.float32, device=device) for part in parts]
        with autocast(precision, device):
            decoded = model.decode(*inputs)
        yield rows, decoded.float()


def to_shapes_um(
    decoded: torch.Tensor,
    model_config: Config,
    model: Autoencoder,
    *,
    sizes_um: Sequence[float] | np.ndarray | None = None,
    side_um: float | None = None,
    n_points: int = 0,
    generator: torch.Generator | None = None,
    legacy: bool = False,
) -> list[np.ndarray] | list[Mesh]:
    """Convert a batch in model units, an output or input of a model, into shapes in micrometres.

    Volumes with a surface need `sizes_um` (`model_sizes_um`), cubes and clouds `side_um`, `n_points` and
    `generator` (`to_points_um`). With `legacy`, occupancies are cut at Otsu's threshold, as published.
    """
    representation, scale = model_config["representation"], model_config["input_scale"]
    if representation not in VOLUMES:
        clouds = to_points_um(decoded, model_config, side_um=side_um, n_points=n_points, generator=generator)
        return list(clouds.numpy())
    if sizes_um is None:
        raise InputError(f"{representation}: shapes have no size without `sizes_um`.")
    volumes = decoded.detach().float().cpu().numpy()[:, 0]
    size = volumes.shape[-1]
    # Where `inputs` puts the origin of a stored grid, see conventions.md; grids of queries are centred.
    origin = (size - 1) / 2 if representation == "surface" else size // 2
    edges_um = voxel_edges_um(model_config, model, np.asarray(sizes_um)).tolist()
    fields = (inside_field(volume, representation, scale, legacy) for volume in volumes)
    return [volume_mesh(*pair, origin_voxel=origin) for pair in zip(fields, edges_um, strict=True)]


def voxel_edges_um(model_config: Config, model: Autoencoder, sizes_um: np.ndarray) -> np.ndarray:
    """Return the voxel edge of each cell's decoded volume, micrometres; see `to_shapes_um`."""
    if model_config["representation"] != "surface":
        return sizes_um
    side = 2 * float(model.grid.max()) / model_config["input_scale"]
    return sizes_um * side / (model.grid_size - 1)


def rotate_mesh(mesh: Mesh, matrix: np.ndarray) -> Mesh:
    """Rotate a mesh about the origin."""
    return rotation.rotate_points(mesh[0], matrix), mesh[1]


def invalid_reason(shape: np.ndarray | Mesh) -> str:
    """Return why a decoded shape cannot be compared, "" for a valid one."""
    if isinstance(shape, tuple):
        return "" if len(shape[1]) else "decodes to no surface"
    return "" if np.isfinite(shape).all() else "decodes to points that are not finite"
