"""Evolution energy of decoded interpolants between pairs of cells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from morphobench import files, seeds
from morphobench.files import FilePath, read_table, write_table
from morphobench.geometry import rotation
from morphobench.log import logger
from morphobench.models import decode
from morphobench.models.base import Autoencoder
from morphobench.models.cells import POINT_CLOUDS, open_cells
from morphobench.models.decode_clouds import common_points_um
from morphobench.models.device import load_for_inference
from morphobench.score.pair_ends import Ends, read_ends
from morphobench.score.shape_distances import (
    Distances,
    chamfer_distances,
    evolution_energy,
    mesh_distances,
    no_distances,
    own_box_distances,
    transport_distances,
)

ENERGIES = ("energy", "energy_input", "energy_sampling", "energy_legacy")
# Of ends that decode to one shape, or to none: that of an interpolant as far from both as they are apart.
CONSTANT = 2.0
_SIDES = ("start", "end")


class Interpolation(NamedTuple):
    """Shapes of one pair, micrometres: clouds, or meshes.

    `interpolants` and `ends` are decoded in the canonical frame; `inputs` are the cells' own shapes, rotated
    into it by their poses, None where there are none, and `again` the start's, sampled once more;
    `interpolants_legacy` and `ends_legacy` are those of the published definition, whose grid has voxels of
    edge `voxel_um`.
    """

    interpolants: list[Any]
    ends: list[Any]
    inputs: list[Any] | None
    interpolants_legacy: list[Any]
    ends_legacy: list[Any]
    again: Any = None
    voxel_um: float = 1.0


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
            inputs, again = _canonical_inputs(part, pair)
            published = interpolants_legacy, ends_legacy
            yield Interpolation(decoded[1:-1], [decoded[0], decoded[-1]], inputs, *published, again, voxel_um)


def linear_interpolants(ends: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return points between ends of shape (2, n_pairs, ...), shape (n_pairs * n_steps, ...)."""
    fraction, (start, end) = steps.reshape(1, -1, *[1] * (ends.ndim - 2)), ends[:, :, None]
    return (start + fraction * (end - start)).reshape(-1, *ends.shape[2:])


def _decode(
    model: Autoencoder, model_config: Mapping[str, Any], ends: Ends, steps: np.ndarray, **options: Any
) -> tuple[list[Any], list[Any]]:
    """Decode ends and interpolants of some pairs: canonical shapes, and those of the published definition."""
    z = linear_interpolants(ends.z, steps)
    if ends.sizes_um is None:
        return _decode_clouds(model, model_config, ends, z, **options)
    options["sizes_um"] = linear_interpolants(ends.sizes_um, steps)
    shapes = decode.decode_shapes(model, z, model_config, **options)
    if ends.legacy is None:
        # The published interpolation of the implicit model is between vectors as they were observed.
        observed = linear_interpolants(ends.z @ np.swapaxes(ends.pose, -1, -2), steps)
        return shapes, decode.decode_shapes(model, observed, model_config, **options)
    if model_config["representation"] == "seg":
        return shapes, decode.decode_shapes(model, z, model_config, **options, legacy=True)
    return shapes, shapes


def _decode_clouds(
    model: Autoencoder,
    model_config: Mapping[str, Any],
    ends: Ends,
    z: np.ndarray,
    *,
    batch_size: int,
    precision: str,
    side_um: float | None,
    **sampling: Any,
) -> tuple[list[Any], list[Any]]:
    """Decode into clouds: all of a pair drawn with the same random numbers; and as `sampling` draws them."""
    batches = decode.decode_batches(model, z, None, batch_size, precision)
    decoded = torch.cat([batch.cpu() for _, batch in batches])
    legacy = decode.to_shapes_um(decoded, model_config, model, side_um=side_um, **sampling)
    options = {"side_um": side_um, "n_points": len(ends.inputs[0][0])}
    pairs = zip(decoded.split(len(z) // len(ends.draws)), ends.draws, strict=True)
    common = [common_points_um(shapes, model_config, **options, seed=draw) for shapes, draw in pairs]
    return list(torch.cat(common).numpy()), legacy


def _canonical_inputs(ends: Ends, pair: int) -> tuple[list[Any] | None, Any]:
    """Return the cells' own shapes and the start's second sampling, rotated by the inverse of their poses."""
    if ends.inputs is None:
        return None, None
    shapes, again = [side[pair] for side in ends.inputs], ends.again and ends.again[pair]
    if ends.pose is None:
        return shapes, again
    start, end = ends.pose[:, pair]
    rotate = decode.rotate_mesh if isinstance(shapes[0], tuple) else rotation.rotate_points
    shapes = [rotate(shape, pose.T) for shape, pose in zip(shapes, (start, end), strict=True)]
    return shapes, None if again is None else rotate(again, start.T)


def energies(shapes: Interpolation, n_voxels: int, speck_share: float) -> pd.DataFrame:
    """Return `ENERGIES`, a row per interpolant, whether the energy is `CONSTANT`, and the reason of NaN.

    `n_voxels` is the longest side of the common grid of meshes, see `common_grid`.
    """
    n, sampling = len(shapes.interpolants), np.nan
    end_sets = [shapes.ends] if shapes.inputs is None else [shapes.ends, shapes.inputs]
    own, *to_inputs = metric_distances(shapes, end_sets, n_voxels, speck_share)
    if shapes.again is not None:
        sampling = evolution_energy(*transport_distances([shapes.again], shapes.inputs))[0]
    columns = {"energy": own, "energy_input": to_inputs[0] if to_inputs else no_distances(n)}
    table = pd.DataFrame({name: evolution_energy(*one) for name, one in columns.items()})
    table = table.assign(energy_sampling=sampling, energy_legacy=evolution_energy(*legacy_distances(shapes)))
    constant = own.ends == 0 or any(_is_nothing(end) for end in shapes.ends)
    if constant:
        table["energy"] = CONSTANT
    missing = table.drop(columns="energy_sampling").isna().any(axis=1) | constant
    reasons = [_reason(shapes, one, own.ends) for one in shapes.interpolants]
    return table.assign(constant=constant, reason=np.where(missing, reasons, ""))


def metric_distances(
    shapes: Interpolation, end_sets: Sequence[Sequence[Any]], n_voxels: int, speck_share: float
) -> list[Distances]:
    """Return the distances of the corrected definition to each pair of shapes to take for the ends."""
    if isinstance(shapes.ends[0], tuple):
        return mesh_distances(shapes.interpolants, end_sets, n_voxels, speck_share)
    return [transport_distances(shapes.interpolants, ends) for ends in end_sets]


def legacy_distances(shapes: Interpolation) -> Distances:
    """Return the distances of the published definition."""
    if isinstance(shapes.ends[0], tuple):
        return own_box_distances(shapes.interpolants_legacy, shapes.ends_legacy, shapes.voxel_um)
    return chamfer_distances(shapes.interpolants_legacy, shapes.ends_legacy)


def _is_nothing(shape: Any) -> bool:
    return isinstance(shape, tuple) and not len(shape[1])


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
    energy_points: int,
    embed_config: Mapping[str, Any],
    side_um: float | None,
    packing: Mapping[str, Any] | None = None,
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write one row per pair and fraction: pair, start, end, fraction, `ENERGIES`, and the reason of NaN.

    `energy` decodes the end points like the interpolants, in the canonical frame; it is at least 1, on a
    shortest path as in a superposition of both ends, and `CONSTANT` where these decode to one shape or to
    none (column `constant`). `energy_input` takes the
    cells themselves, rotated into that frame by their poses, and so counts the reconstruction error too;
    `energy_sampling` is that of the start sampled once more, as high above 1 as sampling leads.
    `energy_legacy` takes the cells in the observed frame, as published, which for a model with a pose adds
    the rotation between the two frames; for the implicit model, whose published end points are decoded, it
    interpolates in the observed frame; and shapes are compared each in its own box.

    Clouds: earth mover's distance of `energy_points`, all of a pair drawn with the same random numbers
    (published: Chamfer distance of embed.error_points); shapes: 1 - Jaccard index. Where cells have different
    scales on the grid, the size of an interpolant, which embeddings do not hold, is interpolated linearly.

    Reads manifest and shards of stage `sample`, the embedding of pose "identity", the table of pairs and, for
    polymorphic datasets, the shard folders `meshes` of stage `mask`; `side_um` is the side of cubes.
    """
    model, model_config = load_for_inference(model_path, accelerator, threads)
    # Read as text: a CellId such as 007 is no number.
    table = files.read_csv(pairs, ["start", "end"])
    if table.empty:
        logger.warning("there is no pair of test cells to interpolate between: no energy")
        nothing = dict.fromkeys(("fraction", *ENERGIES), np.nan)
        write_table(table.assign(**nothing, constant=False, reason=""), out)
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
    names = zip(*(table[side] for side in _SIDES), strict=True)
    drawing = {"draws": [seeds.integer(own_seed, *pair) for pair in names], "energy_points": energy_points}
    drawing |= {"packing": packing and packing["points"], "generator": generators[1]}
    ends = read_ends(model, model_config, z, cells, clouds, rows, meshes, **sampling, **drawing)
    options = {key: embed_config[key] for key in ("batch_size", "precision")} | sampling
    pairs_decoded = interpolate(model, model_config, ends, fractions, **options, generator=generators[0])
    parts, grid = [], (embed_config["error_voxels"], embed_config["speck_share"])
    for shapes in pairs_decoded:
        parts.append(energies(shapes, *grid).assign(fraction=fractions))
        if len(parts) % 20 == 0:
            logger.info("interpolated %d of %d pairs", len(parts), len(table))
    columns = pd.concat(parts, ignore_index=True)[["fraction", *ENERGIES, "constant", "reason"]]
    repeated = table.loc[table.index.repeat(n_fractions)].reset_index(drop=True)
    write_table(pd.concat([repeated, columns], axis=1), out)
