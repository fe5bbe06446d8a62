"""What models read: stored arrays of cells, brought into model units, and draws from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

from morphobench.errors import InputError
from morphobench.geometry import rotation

# Arrays of stage `sample` behind each representation; models with intensity read the array of that name too.
ARRAYS = {
    "points": ("points_um",),
    "cube": ("cube",),
    "sdf": ("sdf",),
    "seg": ("seg",),
    "surface": ("surface", "queries", "distances"),
}
INTENSITY = "intensity"
# What a stored volume continues with beyond its border: nothing, or far outside.
_BEYOND = {"cube": 0.0, "seg": 0.0, "sdf": 2.0}
_FARTHEST_VOXEL = 2.0
_IN_PLACE = ("surface", "queries", "points_um")


class Batch(NamedTuple):
    """What a model sees of a batch of cells, in model units.

    Attributes
    ----------
    x
        Clouds (batch, n_points, 3), xyz, with intensity as a fourth column for models that read it; or
        volumes (batch, 1, s, s, s), zyx.
    queries
        For implicit models, points (batch, n_queries, 3), xyz, at which distances are known.
    distances
        The signed distances there, (batch, n_queries).
    """

    x: torch.Tensor
    queries: torch.Tensor | None = None
    distances: torch.Tensor | None = None


def arrays_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the arrays that a model needs, by its settings; the first is the one it encodes."""
    needed = settings.get(INTENSITY) or _draws_by_intensity(settings)
    return ARRAYS[settings["representation"]] + ((INTENSITY,) if needed else ())


def _draws_by_intensity(settings: Mapping[str, Any]) -> bool:
    return (settings.get("draw") or {}).get("weight") == INTENSITY


def turned(
    raw: Mapping[str, np.ndarray], turn: np.ndarray, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Rotate stored arrays about their origin: exactly, except volumes by other than quarter turns.

    Volumes come back as large as the model's: the origin of a smaller grid is the middle of that.

    Parameters
    ----------
    raw
        Arrays by name, the first axis for cells.
    turn
        Rotation, shape (3, 3).
    settings
        Of the model.
    """
    return {name: _turned(name, array, turn, settings) for name, array in raw.items()}


def _turned(name: str, array: np.ndarray, turn: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    if name in _IN_PLACE:
        return rotation.rotate_points(array, turn.astype(array.dtype))
    if name not in _BEYOND:
        return array
    volumes = _padded(array, settings["architecture"]["size"], _BEYOND[name])
    on_grid = np.allclose(np.rint(turn), turn, atol=1e-6)
    return rotation.rotate_cube_lattice(volumes, turn) if on_grid else resampled(volumes, turn, _BEYOND[name])


def resampled(volumes_zyx: np.ndarray, turn: np.ndarray, beyond: float = 0.0) -> np.ndarray:
    """Rotate cubic volumes by any rotation with trilinear interpolation.

    Parameters
    ----------
    volumes_zyx
        Shape (batch, s, s, s), axes z, y, x.
    turn
        Rotation, shape (3, 3).
    beyond
        Value of what comes from outside.

    Returns
    -------
    numpy.ndarray
        float32, same shape.
    """
    volume = torch.from_numpy(np.ascontiguousarray(volumes_zyx, dtype=np.float32)).unsqueeze(1) - beyond
    # Each output position p looks up the input at R^-1 p = R^T p; grid_sample's coordinates are x, y, z.
    theta = torch.eye(3, 4).repeat(len(volume), 1, 1)
    theta[:, :, :3] = torch.from_numpy(turn.T.astype(np.float32))
    grid = affine_grid(theta, list(volume.shape), align_corners=False)
    found = grid_sample(volume, grid, padding_mode="zeros", align_corners=False) + beyond
    return found[:, 0].numpy()


def to_batch(raw: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Batch:
    """Bring stored arrays into model units.

    Parameters
    ----------
    raw
        The arrays that `arrays_of` names, the first axis for cells: points_um (micrometres), intensity
        (camera counts, or structure units), cube (counts), sdf (voxels), seg (0 or 1), surface, queries and
        distances (the cell's own unit cube).
    settings
        Content of the model's yaml.

    Raises
    ------
    InputError
        When a volume is larger than the model's.
    """
    representation, scale = settings["representation"], settings["input_scale"]
    if representation == "points":
        x = _float32(raw["points_um"]) * scale
        if INTENSITY in raw:
            unit = (settings.get(INTENSITY) or {}).get("scale", 1.0)
            x = torch.cat((x, _float32(raw[INTENSITY]).unsqueeze(-1) * unit), dim=-1)
        return Batch(x)
    if representation == "surface":
        return Batch(*(scale * _float32(raw[name]) for name in ARRAYS["surface"]))
    size, beyond = settings["architecture"]["size"], _BEYOND[representation]
    volumes = _float32(_padded(raw[representation], size, beyond))
    if representation == "cube" and settings.get("z_score", True):
        volumes = _z_scored(volumes)
    if representation == "sdf":
        volumes = volumes.clamp(-_FARTHEST_VOXEL, _FARTHEST_VOXEL)
    return Batch(scale * volumes.unsqueeze(1))


def _float32(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _z_scored(volumes: torch.Tensor) -> torch.Tensor:
    flat = volumes.flatten(1)
    std, mean = torch.std_mean(flat, dim=1, keepdim=True)
    return ((flat - mean) / std.clamp_min(1e-6)).view_as(volumes)


def _padded(volumes: np.ndarray, size: int, value: float) -> np.ndarray:
    """Grow cubes (batch, s, s, s) to the model's edge; the odd voxel goes after, as published."""
    missing = size - volumes.shape[-1]
    if missing < 0:
        raise InputError(
            f"volumes have an edge of {volumes.shape[-1]} voxels, more than the model's {size}. "
            "Raise architecture.size in the model's yaml, or sample smaller volumes."
        )
    before = missing // 2
    return np.pad(volumes, [(0, 0), *[(before, missing - before)] * 3], constant_values=value)


def drawn(batch: Batch, settings: Mapping[str, Any], generator: torch.Generator) -> Batch:
    """Draw the points (and query points) that a model sees at one access.

    Parameters
    ----------
    batch
        Whole stored clouds.
    settings
        Of the model. Key `draw`, none for all points, holds n_points, n_queries (implicit models) and
        weight: "uniform" draws without replacement; "intensity", as published, with replacement and a
        probability proportional to the fourth column, which only models with intensity keep.
    generator
        CPU generator.

    Raises
    ------
    InputError
        When a cloud has too few points, or no positive intensity.
    """
    draw = settings.get("draw")
    if not draw:
        return batch
    weights = batch.x[..., 3].clamp_min(0).cpu() if _draws_by_intensity(settings) else None
    points = _chosen(batch.x.shape[:2], draw["n_points"], weights, generator)
    n_columns = batch.x.shape[-1] if settings.get(INTENSITY) else 3
    x = _taken(batch.x, points)[..., :n_columns]
    if batch.queries is None:
        return Batch(x)
    rows = _chosen(batch.queries.shape[:2], draw["n_queries"], None, generator)
    return Batch(x, _taken(batch.queries, rows), _taken(batch.distances.unsqueeze(-1), rows).squeeze(-1))


def _taken(points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Take rows (batch, n) of points (batch, n_stored, columns)."""
    return points.gather(1, rows.to(points.device)[..., None].expand(-1, -1, points.shape[-1]))


def _chosen(
    shape: tuple[int, ...], n: int, weights: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """Return indices of shape (batch, n) into (batch, n_stored)."""
    if weights is not None:
        if not (weights.sum(dim=1) > 0).all():
            raise InputError("a cloud has no positive intensity to draw points by. Set draw.weight: uniform.")
        return torch.multinomial(weights, n, replacement=True, generator=generator)
    if n > shape[1]:
        raise InputError(
            f"draw asks for {n} points of clouds that have {shape[1]}. Sample more, or draw fewer."
        )
    # Ranks of random numbers: a draw without replacement for all cells at once.
    return torch.rand(shape, generator=generator).topk(n, dim=1).indices
