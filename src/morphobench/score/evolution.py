"""Evolution energy of decoded interpolants between pairs of cells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import torch

from morphobench import seeds
from morphobench.files import FilePath, read_table, write_table
from morphobench.geometry import rotation
from morphobench.geometry.overlap import Mesh, common_grid, iou_error, voxelise, voxelise_own_box
from morphobench.log import logger
from morphobench.models import decode
from morphobench.models.base import Autoencoder
from morphobench.models.cells import POINT_CLOUDS, Cells, cell_batch, open_cells
from morphobench.models.decode_clouds import subsample
from morphobench.models.decode_surfaces import masked_mesh
from morphobench.models.device import load_for_inference

ENERGIES = ("energy", "energy_input", "energy_legacy")
_SIDES = ("start", "end")


def evolution_energy(d_to_start: np.ndarray, d_to_end: np.ndarray, d_ends: np.ndarray | float) -> np.ndarray:
    """Evolution energy of decoded interpolants, shape (..., fractions).

    Formula: ``(d(x_f, x_a) + d(x_f, x_b)) / d(x_a, x_b)`` from the distances of the interpolants to both
    ends, shape (..., fractions), and between the ends, shape (...); at least 1 if d is a metric, 1 on a
    shortest path. NaN where the ends coincide or a distance is not finite.

    Source: Vasan et al. 2025, "Evolution Energy". All shapes must be in one frame: decode the ends with the
    decoder that decodes the interpolants.
    """
    path = np.asarray(d_to_start, np.float64) + np.asarray(d_to_end, np.float64)
    d_ends = np.asarray(d_ends, np.float64)[..., None]
    usable = np.isfinite(path) & np.isfinite(d_ends) & (d_ends > 0)
    return np.divide(path, d_ends, out=np.full(path.shape, np.nan), where=usable)


class Distances(NamedTuple):
    """Distances from each interpolant to both ends of a pair, shape (n,), and between the ends."""

    to_start: np.ndarray
    to_end: np.ndarray
    ends: float


def _no_distances(n: int) -> Distances:
    return Distances(*[np.full(n, np.nan)] * 2, np.nan)


def cloud_distances(
    interpolants: Sequence[np.ndarray], end_sets: Sequence[Sequence[np.ndarray]]
) -> list[Distances]:
    """Symmetric Chamfer distances of clouds, shape (n_points, 3) each, indexed once.

    Mean distance to the nearest point, there and back, summed. One result for each pair of clouds to take for
    the ends; NaN for clouds that are not finite.
    """
    from scipy.spatial import cKDTree

    def tree(cloud: np.ndarray) -> cKDTree | None:
        return cKDTree(cloud) if np.isfinite(cloud).all() else None

    def chamfer(a: cKDTree | None, b: cKDTree | None) -> float:
        if a is None or b is None:
            return np.nan
        return float(b.query(a.data)[0].mean() + a.query(b.data)[0].mean())

    between, distances = list(map(tree, interpolants)), []
    for ends in end_sets:
        start, end = map(tree, ends)
        to_start, to_end = (np.array([chamfer(one, side) for one in between]) for side in (start, end))
        distances.append(Distances(to_start, to_end, chamfer(start, end)))
    return distances


def mesh_distances(
    interpolants: Sequence[Mesh], end_sets: Sequence[Sequence[Mesh]], n_voxels: int
) -> list[Distances]:
    """1 - Jaccard index of closed meshes, all in one common grid of `n_voxels` along its longest side.

    One result for each pair of meshes to take for the ends. An interpolant without faces is at 1 from both
    ends; an end without faces has no distances: NaN.
    """
    n = len(interpolants)
    meshes = [*interpolants, *(mesh for ends in end_sets for mesh in ends)]
    missing = np.array([len(faces) == 0 for _, faces in meshes])
    if missing.all():
        return [_no_distances(n)] * len(end_sets)
    grid = common_grid(meshes, n_voxels)
    masks_zyx = np.stack([voxelise(mesh, grid) for mesh in meshes])
    distances = []
    for place in range(n, len(meshes), 2):
        start, end = masks_zyx[place], masks_zyx[place + 1]
        errors = iou_error(masks_zyx[:n], start), iou_error(masks_zyx[:n], end), iou_error(start, end)
        distances.append(_no_distances(n) if missing[place : place + 2].any() else Distances(*errors))
    return distances


def own_box_distances(interpolants: Sequence[Mesh], ends: Sequence[Mesh], voxel_um: float) -> Distances:
    """1 - Jaccard index as published, each mesh scaled to its own box, see `iou_error_legacy`.

    The grid has as many voxels of edge `voxel_um` as the larger of both ends along each axis.
    """
    if any(len(faces) == 0 for _, faces in ends):
        return _no_distances(len(interpolants))
    extents_um = np.max([np.ptp(vertices, axis=0) for vertices, _ in ends], axis=0)
    n_xyz = np.ceil(extents_um / voxel_um - 1e-4).astype(int).clip(min=1)
    *between, start, end = (voxelise_own_box(mesh, n_xyz) for mesh in (*interpolants, *ends))
    masks_zyx = np.stack(between)
    missing = np.array([len(faces) == 0 for _, faces in interpolants])
    to_ends = (np.where(missing, np.nan, iou_error(masks_zyx, side)) for side in (start, end))
    return Distances(*to_ends, float(iou_error(start, end)))


class Ends(NamedTuple):
    """Both ends of pairs: the first axis, or the list, holds start and end, the next the pairs.

    Attributes
    ----------
    z
        Decoder inputs in the canonical frame, shape (2, n_pairs, D) or (2, n_pairs, D, 3).
    pose
        Shape (2, n_pairs, 3, 3), None for a model without one.
    sizes_um
        See `model_sizes_um`, shape (2, n_pairs); None for clouds and cubes.
    inputs
        The cells' own shapes in the observed frame, micrometres; None where there are none.
    legacy
        The shapes that the published definition takes for the ends; None where it decodes them.
    """

    z: np.ndarray
    pose: np.ndarray | None
    sizes_um: np.ndarray | None
    inputs: list[list[Any]] | None
    legacy: list[list[Any]] | None

    def of_pairs(self, pairs: slice) -> Self:
        """Return the ends of some pairs."""
        arrays = [None if field is None else field[:, pairs] for field in self[:3]]
        return Ends(*arrays, *(field and [side[pairs] for side in field] for field in self[3:]))


class Interpolation(NamedTuple):
    """Shapes of one pair, micrometres: clouds, or meshes.

    `interpolants` and `ends` are decoded in the canonical frame; `inputs` are the cells' own shapes, rotated
    into it by their poses, None where there are none; `interpolants_legacy` and `ends_legacy` are those of
    the published definition, whose grid has voxels of edge `voxel_um`.
    """

    interpolants: list[Any]
    ends: list[Any]
    inputs: list[Any] | None
    interpolants_legacy: list[Any]
    ends_legacy: list[Any]
    voxel_um: float = 1.0


def read_ends(
    model: Autoencoder,
    model_config: Mapping[str, Any],
    embeddings: Sequence[pd.DataFrame],
    cells: Cells,
    clouds: Cells,
    rows: Sequence[Sequence[int]],
    meshes: Sequence[FilePath],
    **sampling: Any,
) -> Ends:
    """Read the ends of pairs; `embeddings` and `rows` in `cells` and `clouds` are those of start and end."""
    z, poses = zip(*map(decode.decoder_inputs, embeddings), strict=True)
    z, pose = np.stack(z), None if poses[0] is None else np.stack(poses)
    representation = model_config["representation"]
    if representation == "cube":
        cubes = (cell_batch(cells, side, model_config).x for side in rows)
        inputs = [decode.to_shapes_um(cube, model_config, model, **sampling) for cube in cubes]
        return Ends(z, pose, None, inputs, inputs)
    if representation not in decode.VOLUMES:
        stored = (torch.from_numpy(clouds.raw(side)["points_um"]) for side in rows)
        drawn = (subsample(side, sampling["n_points"], sampling["generator"]) for side in stored)
        inputs = [list(points.numpy()) for points in drawn]
        return Ends(z, pose, None, inputs, inputs)
    described = [cells.table.iloc[side] for side in rows]
    sizes_um = np.stack([decode.model_sizes_um(side, representation) for side in described])
    inputs = legacy = None
    if meshes:
        inputs = [[masked_mesh(row, meshes) for row in side.to_dict("records")] for side in described]
    if representation != "surface":
        both = zip((cell_batch(cells, side, model_config).x for side in rows), sizes_um, strict=True)
        legacy = [decode.to_shapes_um(x, model_config, model, sizes_um=size, legacy=True) for x, size in both]
    return Ends(z, pose, sizes_um, inputs, legacy)


def interpolate(
    model: Autoencoder, model_config: Mapping[str, Any], ends: Ends, fractions: np.ndarray, **options: Any
) -> Iterator[Interpolation]:
    """Decode linear interpolants between the ends of every pair, some pairs together (`decode_shapes`)."""
    steps = np.array([0.0, *fractions, 1.0])
    n_together = max(1, options["batch_size"] // len(steps))
    for first in range(0, ends.z.shape[1], n_together):
        part = ends.of_pairs(slice(first, first + n_together))
        shapes, legacy = _decode(model, model_config, part, steps, **options)
        for pair in range(part.z.shape[1]):
            own = slice(pair * len(steps), (pair + 1) * len(steps))
            decoded, (start, *interpolants_legacy, end) = shapes[own], legacy[own]
            ends_legacy = [start, end] if part.legacy is None else [side[pair] for side in part.legacy]
            voxel_um = 1.0
            if part.sizes_um is not None:
                voxel_um = float(decode.voxel_edges_um(model_config, model, part.sizes_um[0, [pair]])[0])
            both, inputs = [decoded[0], decoded[-1]], _canonical_inputs(part, pair)
            yield Interpolation(decoded[1:-1], both, inputs, interpolants_legacy, ends_legacy, voxel_um)


def linear_interpolants(ends: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return points between ends of shape (2, n_pairs, ...), shape (n_pairs * n_steps, ...)."""
    fraction, (start, end) = steps.reshape(1, -1, *[1] * (ends.ndim - 2)), ends[:, :, None]
    return (start + fraction * (end - start)).reshape(-1, *ends.shape[2:])


def _decode(
    model: Autoencoder, model_config: Mapping[str, Any], ends: Ends, steps: np.ndarray, **options: Any
) -> tuple[list[Any], list[Any]]:
    """Decode ends and interpolants of some pairs: canonical shapes, and those of the published definition."""
    if ends.sizes_um is not None:
        options["sizes_um"] = linear_interpolants(ends.sizes_um, steps)
    z = linear_interpolants(ends.z, steps)
    shapes = decode.decode_shapes(model, z, model_config, **options)
    if ends.legacy is None:
        # The published interpolation of the implicit model is between vectors as they were observed.
        observed = linear_interpolants(ends.z @ np.swapaxes(ends.pose, -1, -2), steps)
        return shapes, decode.decode_shapes(model, observed, model_config, **options)
    if model_config["representation"] == "seg":
        return shapes, decode.decode_shapes(model, z, model_config, **options, legacy=True)
    return shapes, shapes


def _canonical_inputs(ends: Ends, pair: int) -> list[Any] | None:
    """Return the cells' own shapes, rotated by the inverse of their poses."""
    if ends.inputs is None:
        return None
    shapes = [side[pair] for side in ends.inputs]
    if ends.pose is None:
        return shapes
    rotate = decode.rotate_mesh if isinstance(shapes[0], tuple) else rotation.rotate_points
    return [rotate(shape, pose.T) for shape, pose in zip(shapes, ends.pose[:, pair], strict=True)]


def energies(shapes: Interpolation, n_voxels: int) -> pd.DataFrame:
    """Return energy, energy_input, energy_legacy and the reason where one is NaN, a row per interpolant.

    `n_voxels` is the longest side of the common grid of meshes.
    """
    end_sets = [shapes.ends] if shapes.inputs is None else [shapes.ends, shapes.inputs]
    if isinstance(shapes.ends[0], tuple):
        distances = mesh_distances(shapes.interpolants, end_sets, n_voxels)
        legacy = own_box_distances(shapes.interpolants_legacy, shapes.ends_legacy, shapes.voxel_um)
    else:
        *distances, legacy = cloud_distances(shapes.interpolants, [*end_sets, shapes.ends_legacy])
    if shapes.inputs is None:
        distances.append(_no_distances(len(shapes.interpolants)))
    columns = zip(ENERGIES, (*distances, legacy), strict=True)
    table = pd.DataFrame({name: evolution_energy(*one) for name, one in columns})
    missing = table.isna().any(axis=1)
    reasons = [_reason(shapes, one, distances[0].ends) for one in shapes.interpolants]
    return table.assign(reason=np.where(missing, reasons, ""))


def _reason(shapes: Interpolation, interpolant: Any, d_ends: float) -> str:
    """Say what may be wrong about an interpolant, the ends first, which are to blame for a whole pair."""
    for side, end in zip(_SIDES, shapes.ends, strict=True):
        if reason := decode.invalid_reason(end):
            return f"the {side} {reason}"
    if d_ends == 0:
        return "the end points decode to one shape"
    if reason := decode.invalid_reason(interpolant):
        return f"the interpolant {reason}"
    if shapes.inputs is None:
        return "no masked surface to take for the input"
    return "a shape that the published definition takes is missing, or its ends are alike"


def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    embedding: FilePath,
    pairs: FilePath,
    out: FilePath,
    *,
    meshes: Sequence[FilePath] = (),
    dataset: str,
    n_fractions: int,
    embed_config: Mapping[str, Any],
    side_um: float | None,
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write one row per pair and fraction: pair, start, end, fraction, the energies, and the reason of NaN.

    `energy` decodes the end points like the interpolants, in the canonical frame. `energy_input` takes the
    cells themselves, rotated into that frame by their poses, and so counts the reconstruction error too.
    `energy_legacy` takes the cells in the observed frame, as published, which for a model with a pose adds
    the rotation between the two frames; for the implicit model, whose published end points are decoded, it
    interpolates in the observed frame; and shapes are compared each in its own box.

    Clouds: Chamfer distance; shapes: 1 - Jaccard index. Where cells have different scales on the grid, the
    size of an interpolant, which embeddings do not hold, is interpolated linearly too.

    Reads manifest and shards of stage `sample`, the embedding of pose "identity", the table of pairs and, for
    polymorphic datasets, the shard folders `meshes` of stage `mask`; `side_um` is the side of cubes.
    """
    model, model_config = load_for_inference(model_path, accelerator, threads)
    # Read as text: a CellId such as 007 is no number.
    table = pd.read_csv(pairs, dtype={"start": str, "end": str})
    if table.empty:
        logger.warning("there is no pair of test cells to interpolate between: no energy")
        write_table(table.assign(**dict.fromkeys(("fraction", *ENERGIES), np.nan), reason=""), out)
        return
    fractions = np.arange(1, n_fractions + 1) / (n_fractions + 1)
    cells, clouds = (open_cells(manifest, shards, config) for config in (model_config, POINT_CLOUDS))
    row_of = pd.Series(range(len(cells.table)), cells.table["CellId"])
    embeddings = read_table(embedding).set_index("CellId")
    own_seed = seeds.integer(seed, dataset, "score", "evolution")
    generators = [torch.Generator().manual_seed(own_seed + number) for number in (0, 1)]
    sampling = {"side_um": side_um, "n_points": embed_config["error_points"]}
    rows = [row_of.loc[table[side]].tolist() for side in _SIDES]
    z = [embeddings.loc[table[side]] for side in _SIDES]
    ends = read_ends(model, model_config, z, cells, clouds, rows, meshes, **sampling, generator=generators[1])
    options = {key: embed_config[key] for key in ("batch_size", "precision")} | sampling
    pairs_decoded = interpolate(model, model_config, ends, fractions, **options, generator=generators[0])
    parts = []
    for shapes in pairs_decoded:
        parts.append(energies(shapes, embed_config["error_voxels"]).assign(fraction=fractions))
        if len(parts) % 20 == 0:
            logger.info("interpolated %d of %d pairs", len(parts), len(table))
    columns = pd.concat(parts, ignore_index=True)[["fraction", *ENERGIES, "reason"]]
    repeated = table.loc[table.index.repeat(n_fractions)].reset_index(drop=True)
    write_table(pd.concat([repeated, columns], axis=1), out)
