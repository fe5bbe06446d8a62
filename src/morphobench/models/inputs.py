"""Batches in model units from the stored arrays of cells: rotation, padding, z-score, subsampling."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from morphobench.errors import InputError
from morphobench.geometry.rotation import rotate_cube_lattice, rotate_points

# Content of a model's yaml, and stored arrays of cells by name.
Config: TypeAlias = Mapping[str, Any]
Arrays: TypeAlias = Mapping[str, np.ndarray]
# Arrays of stage `sample` behind each representation; models with intensity read the array of that name too.
ARRAYS = {name: (name,) for name in ("cube", "sdf", "seg")}
ARRAYS |= {"points": ("points_um",), "surface": ("surface", "queries", "distances")}
INTENSITY = "intensity"
# Value of a volume beyond its border: nothing, or far outside.
_BACKGROUND = {"cube": 0.0, "seg": 0.0, "sdf": 2.0}
_CLIP_VOXEL = 2.0
_POINTS = ("surface", "queries", "points_um")


class Batch(NamedTuple):
    """A batch of cells in model units.

    `x`: clouds (batch, n_points, 3), xyz, with intensity as a fourth column for models that read it; or
    volumes (batch, 1, s, s, s), zyx. For implicit models, `queries` (batch, n_queries, 3), xyz, and the
    signed `distances` there, (batch, n_queries). `target` is what explicit models are to decode, if not `x`.
    """

    x: torch.Tensor
    queries: torch.Tensor | None = None
    distances: torch.Tensor | None = None
    target: torch.Tensor | None = None


def check_batch(x: torch.Tensor, kind: str, shape: tuple[int | str, ...], note: str) -> None:
    """Raise an InputError unless a batch has this shape (names: any size) and finite values."""
    sizes = dict(enumerate(shape))
    if x.ndim != len(shape) or any(n != x.shape[i] for i, n in sizes.items() if isinstance(n, int)):
        reads = ", ".join(map(str, shape))
        raise InputError(f"batch of {kind} has shape {tuple(x.shape)}, the model reads ({reads}){note}")
    if len(x) == 0:
        raise InputError(f"batch of {kind} is empty. Check that the split and the shard hold cells.")
    if finite_or_training(x):
        return
    bad = (~torch.isfinite(x).flatten(1).all(dim=1)).nonzero().flatten().tolist()
    if bad:
        problem = f"{len(bad)} of {len(x)} {kind} hold NaN or infinite values, the first at row {bad[0]}."
        raise InputError(f"{problem} Sample these cells again, or leave them out.")


def finite_or_training(x: torch.Tensor) -> bool:
    """Return whether all of a batch is finite; of one that a GPU trains on, whatever it holds.

    To look there would make a training wait in every step; its loss says when something is not finite.
    """
    # One number tells of any.
    return (x.device.type != "cpu" and torch.is_grad_enabled()) or math.isfinite(x.detach().sum().item())


def required_arrays(model_config: Config) -> tuple[str, ...]:
    """Return the names of the arrays that a model reads; it encodes the first."""
    intensity = model_config.get(INTENSITY) or _by_intensity(model_config)
    return ARRAYS[model_config["representation"]] + ((INTENSITY,) if intensity else ())


def _by_intensity(model_config: Config) -> bool:
    return (model_config.get("subsample") or {}).get("weight") == INTENSITY


def rotate_arrays(raw: Arrays, rotation: np.ndarray, model_config: Config) -> dict[str, np.ndarray]:
    """Rotate stored arrays (n_cells, ...) about the origin by one matrix (3, 3), or each cell by its own.

    Exact, except for volumes by other than quarter turns. Volumes are padded to the size of the model, whose
    middle is the origin of a smaller grid.
    """
    return {name: _rotate_array(name, array, rotation, model_config) for name, array in raw.items()}


def _rotate_array(name: str, array: np.ndarray, rotation: np.ndarray, model_config: Config) -> np.ndarray:
    if name in _POINTS:
        return rotate_points(array, rotation.astype(array.dtype))
    if name not in _BACKGROUND:
        return array
    volumes = _padded(array, model_config["architecture"]["size"], _BACKGROUND[name])
    if not on_lattice(rotation):
        return rotate_trilinear(volumes, rotation, _BACKGROUND[name])
    matrices = np.broadcast_to(rotation, (len(volumes), 3, 3))
    return np.stack([rotate_cube_lattice(*pair) for pair in zip(volumes, matrices, strict=True)])


def on_lattice(rotation: np.ndarray) -> bool:
    """Return whether rotations (..., 3, 3) map the grid of a cube to itself."""
    return bool(np.allclose(np.rint(rotation), rotation, atol=1e-6))


def rotate_trilinear(volumes_zyx: np.ndarray, rotation: np.ndarray, background: float = 0.0) -> np.ndarray:
    """Rotate volumes (batch, s, s, s) by matrices (3, 3) or (batch, 3, 3), see `rotate_volumes`; float32."""
    volumes = torch.from_numpy(np.ascontiguousarray(volumes_zyx, dtype=np.float32)).unsqueeze(1)
    matrices = torch.tensor(rotation, dtype=torch.float32).expand(len(volumes), 3, 3)
    return rotate_volumes(volumes, matrices, background)[:, 0].numpy()


def rotate_volumes(volumes_zyx: torch.Tensor, rotation: torch.Tensor, background: float) -> torch.Tensor:
    """Rotate volumes (batch, channels, s, s, s) about their centres with trilinear interpolation.

    Rotations have shape (batch, 3, 3) and act on columns (x, y, z); outside is `background`.
    """
    # The value at p of the rotated volume is the value at R^-1 p of the given one; the grid is in x, y, z.
    theta = F.pad(rotation.transpose(1, 2), [0, 1])
    grid = F.affine_grid(theta, list(volumes_zyx.shape), align_corners=False)
    return F.grid_sample(volumes_zyx - background, grid, align_corners=False) + background


def rotate_clouds(points: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Rotate clouds (batch, n_points, 3 or more) by (batch, 3, 3); columns after x, y, z stay."""
    rotated = points[..., :3] @ rotation.to(points, non_blocking=True).transpose(1, 2)
    return rotated if points.shape[-1] == 3 else torch.cat((rotated, points[..., 3:]), dim=-1)


def to_batch(raw: Arrays, model_config: Config) -> Batch:
    """Convert the `required_arrays` of cells, first axis for cells, to model units.

    Stored units: points_um, micrometres; intensity, camera counts, or ranges of the structure; cube, counts;
    sdf, voxels; seg, 0 or 1; surface, queries and distances, the cell's unit cube.

    Raises
    ------
    InputError
        When a volume is larger than the model's, or the model has no factor for its intensities.
    """
    representation, scale = model_config["representation"], model_config["input_scale"]
    if representation == "points":
        x = _float32(raw["points_um"]) * scale
        if INTENSITY in raw:
            intensity_scale = (model_config.get(INTENSITY) or {}).get("input_scale", 1.0)
            if intensity_scale is None:
                unknown = "the model does not say by what intensities are multiplied"
                raise InputError(f"{unknown}. Set intensity.input_scale in its yaml, or train it.")
            x = torch.cat((x, _float32(raw[INTENSITY]).unsqueeze(-1) * intensity_scale), dim=-1)
        return Batch(x)
    if representation == "surface":
        return Batch(*(scale * _float32(raw[name]) for name in ARRAYS["surface"]))
    size = model_config["architecture"]["size"]
    volumes = _float32(_padded(raw[representation], size, _BACKGROUND[representation]))
    if representation == "cube" and model_config.get("z_score", True):
        std, mean = torch.std_mean(volumes.flatten(1), dim=1)
        volumes = (volumes - mean.view(-1, 1, 1, 1)) / std.clamp_min(1e-6).view(-1, 1, 1, 1)
    if representation == "sdf":
        volumes = volumes.clamp(-_CLIP_VOXEL, _CLIP_VOXEL)
    return Batch(scale * volumes.unsqueeze(1))


def _float32(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _padded(volumes: np.ndarray, size: int, value: float) -> np.ndarray:
    """Pad cubes (batch, s, s, s) to the edge of the model; the odd voxel goes after, as published."""
    missing = size - volumes.shape[-1]
    if missing < 0:
        problem = f"volumes have an edge of {volumes.shape[-1]} voxels, more than the model's {size}."
        raise InputError(f"{problem} Raise architecture.size, or sample smaller volumes.")
    before = missing // 2
    return np.pad(volumes, [(0, 0), *[(before, missing - before)] * 3], constant_values=value)


def subsample(batch: Batch, model_config: Config, generator: torch.Generator) -> Batch:
    """Subsample the points (and query points) of stored clouds with a CPU generator.

    Key `subsample` of `model_config`, none for all points, holds n_points, n_queries (implicit models) and
    weight: "uniform", without replacement; "intensity", as published, with replacement and a probability
    proportional to the fourth column, which only models with intensity keep.

    Raises
    ------
    InputError
        When a cloud has too few points, or no positive intensity.
    """
    sizes = model_config.get("subsample")
    if not sizes:
        return batch
    weights = batch.x[..., 3].clamp_min(0).cpu() if _by_intensity(model_config) else None
    device = batch.x.device
    points = _sample_rows(batch.x.shape[:2], sizes["n_points"], weights, generator, device)
    n_columns = batch.x.shape[-1] if model_config.get(INTENSITY) else 3
    x = _take_rows(batch.x, points)[..., :n_columns]
    if batch.queries is None:
        return Batch(x)
    queries = _sample_rows(batch.queries.shape[:2], sizes["n_queries"], None, generator, device)
    distances = _take_rows(batch.distances.unsqueeze(-1), queries).squeeze(-1)
    return Batch(x, _take_rows(batch.queries, queries), distances)


def _take_rows(points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return rows (batch, n) of points (batch, n_stored, columns)."""
    return points.gather(1, rows[..., None].expand(-1, -1, points.shape[-1]))


def _sample_rows(
    shape: tuple[int, ...],
    n: int,
    weights: torch.Tensor | None,
    generator: torch.Generator,
    device: torch.device,
) -> torch.Tensor:
    """Return random indices (batch, n) into rows of `shape` (batch, n_stored), on a device."""
    if weights is not None:
        if not (weights.sum(dim=1) > 0).all():
            raise InputError("a cloud has no positive intensity. Set subsample.weight: uniform.")
        return torch.multinomial(weights, n, replacement=True, generator=generator).to(device)
    if n > shape[1]:
        raise InputError(f"subsample asks for {n} points of clouds that have {shape[1]}. Lower it.")
    # Ranks of random numbers: samples without replacement for all cells at once. Ranked on the device, which
    # would otherwise wait for a CPU.
    numbers = torch.rand(shape, generator=generator).to(device, non_blocking=True)
    return numbers.topk(n, dim=1).indices
