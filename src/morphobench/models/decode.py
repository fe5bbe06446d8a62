"""Decoding for every representation: clouds or meshes in micrometres, in the frame of the cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from morphobench.models.decode_surfaces import volume_meshes
from morphobench.models.device import autocast, model_device

# Representations whose decoded volumes have a surface.
VOLUMES = ("sdf", "seg", "surface")
VECTORS = "vectors"
POSE_COLUMNS = [f"pose_{row}{column}" for row in range(3) for column in range(3)]


def model_sizes_um(table: pd.DataFrame, representation: str) -> np.ndarray:
    """Return how large each cell's shape is in its model, shape (n,): micrometres per unit.

    Parameters
    ----------
    table
        Rows of the manifest of a polymorphic dataset.
    representation
        "sdf" or "seg": the unit is a voxel of the grid (column scale_factor). "surface": the longest side of
        the cell (column scale_um).

    Raises
    ------
    InputError
        When the manifest does not tell.
    """
    column = "scale_um" if representation == "surface" else "scale_factor"
    if column not in table:
        raise InputError(
            f"the manifest has no column {column}, so the size of decoded shapes is unknown. Sample the "
            "dataset again."
        )
    sizes = table[column].to_numpy(np.float64)
    return sizes if representation == "surface" else 1 / sizes


def decoder_inputs(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what `decode` reads of an embedding table, and the poses in it.

    Parameters
    ----------
    table
        Rows of an embedding table of pose "identity".

    Returns
    -------
    codes
        The embedding, shape (n, D); or, for a model whose embedding is the lengths of its vectors, those
        vectors in the canonical frame, shape (n, D, 3), from the column `vectors`.
    pose
        Canonical to observed frame, shape (n, 3, 3); None for a model without a pose.
    """
    codes = embedding_matrix(table)
    if VECTORS in table:
        codes = np.stack(table[VECTORS].to_list()).astype(np.float64).reshape(len(table), -1, 3)
    if POSE_COLUMNS[0] not in table:
        return codes, None
    return codes, table[POSE_COLUMNS].to_numpy(np.float64).reshape(-1, 3, 3)


def decode_shapes(
    model: Autoencoder,
    z: np.ndarray,
    settings: Mapping[str, Any],
    *,
    batch_size: int,
    pose: np.ndarray | None = None,
    precision: str = "32-true",
    **place: Any,
) -> list[np.ndarray] | list[Mesh]:
    """Decode codes into shapes in micrometres, in batches; origin in the middle of the cell.

    Parameters
    ----------
    model
        Trained model; it decodes where its weights are.
    z
        Codes, shape (n, D), or vectors (n, D, 3) of the implicit model: what `decoder_inputs` returns.
    settings
        Content of the model's yaml.
    batch_size
        Codes decoded together; no result depends on it beyond rounding.
    pose
        Rotations to the observed frame, shape (n, 3, 3); None decodes canonical shapes.
    precision
        See `autocast`.
    **place
        Arguments of `to_shapes_um`: sizes_um (shape (n,)) for volumes with a surface; side_um, n_points and
        generator for the others.

    Returns
    -------
    list
        For clouds and cubes, arrays of shape (n_points, 3), xyz, micrometres. For sdf, seg and surface,
        closed meshes (vertices_um, faces), without faces where nothing was decoded.
    """
    shapes: list[Any] = []
    for rows, decoded in decode_batches(model, z, pose, batch_size, precision):
        shapes += to_shapes_um(decoded, settings, model, **of_rows(place, rows))
    return shapes


def of_rows(place: Mapping[str, Any], rows: slice | np.ndarray) -> dict[str, Any]:
    """Return arguments of `to_shapes_um` for some of the cells."""
    sizes = place.get("sizes_um")
    return {**place, "sizes_um": None if sizes is None else np.asarray(sizes)[rows]}


@torch.inference_mode()
def decode_batches(
    model: Autoencoder, z: np.ndarray, pose: np.ndarray | None, batch_size: int, precision: str
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield the rows of each batch and what the model decodes of them, single precision."""
    device = model_device(model)
    for start in range(0, len(z), batch_size):
        rows = slice(start, start + batch_size)
        inputs = [
            None if part is None else torch.tensor(part[rows], dtype=torch.float32, device=device)
            for part in (z, pose)
        ]
        with autocast(precision, device):
            decoded = model.decode(*inputs)
        yield rows, decoded.float()


def to_shapes_um(
    decoded: torch.Tensor,
    settings: Mapping[str, Any],
    model: Autoencoder,
    *,
    sizes_um: Sequence[float] | np.ndarray | None = None,
    side_um: float | None = None,
    n_points: int = 0,
    generator: torch.Generator | None = None,
    legacy: bool = False,
) -> list[np.ndarray] | list[Mesh]:
    """Turn what a model decoded, or reads, of a batch into shapes in micrometres.

    Parameters
    ----------
    decoded
        Clouds or volumes in model units.
    settings
        Content of the model's yaml.
    model
        The model, which knows its grid.
    sizes_um
        See `model_sizes_um`; for volumes with a surface.
    side_um, n_points, generator
        See `to_points_um`; for clouds and cubes.
    legacy
        Whether to cut occupancies at Otsu's threshold, as published, instead of one half.

    Raises
    ------
    InputError
        When the sizes of shapes are missing.
    """
    representation, scale = settings["representation"], settings["input_scale"]
    if representation not in VOLUMES:
        clouds = to_points_um(decoded, settings, side_um=side_um, n_points=n_points, generator=generator)
        return list(clouds.numpy())
    if sizes_um is None:
        raise InputError(f"{representation}: shapes have no size without `sizes_um`.")
    volumes = decoded.detach().float().cpu().numpy()[:, 0]
    size = volumes.shape[-1]
    # Where `inputs` puts the origin of a stored grid, see conventions.md; grids of queries are centred.
    origin = (size - 1) / 2 if representation == "surface" else size // 2
    edges_um = voxel_edges_um(settings, model, sizes_um)
    return volume_meshes(volumes, representation, scale, edges_um, origin, legacy=legacy)


def voxel_edges_um(
    settings: Mapping[str, Any], model: Autoencoder, sizes_um: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Return the distance of neighbouring values in what a model decodes of each cell, micrometres.

    Parameters as in `to_shapes_um`.
    """
    if settings["representation"] != "surface":
        return np.asarray(sizes_um)
    side = 2 * float(model.grid.max()) / settings["input_scale"]
    return np.asarray(sizes_um) * side / (model.grid_size - 1)


def rotate_mesh(mesh: Mesh, turn: np.ndarray) -> Mesh:
    """Rotate a mesh about the origin, exactly."""
    return rotation.rotate_points(mesh[0], turn), mesh[1]


def invalid_reason(shape: np.ndarray | Mesh) -> str:
    """Return what keeps a decoded shape from being compared, in words; nothing for a sound one."""
    if isinstance(shape, tuple):
        return "" if len(shape[1]) else "decodes to no surface"
    return "" if np.isfinite(shape).all() else "decodes to points that are not finite"
