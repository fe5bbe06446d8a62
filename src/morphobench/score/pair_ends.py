"""Both ends of pairs of cells to interpolate between: embeddings, and the cells' own shapes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import torch

from morphobench.files import FilePath
from morphobench.geometry.packing import upsample
from morphobench.models import decode
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, cell_batch
from morphobench.models.decode_clouds import common_points_um, subsample
from morphobench.models.decode_surfaces import masked_mesh

# Stored clouds, as a model that reads micrometres.
_STORED = {"representation": "points", "input_scale": 1.0}


class Ends(NamedTuple):
    """Both ends of pairs: the first axis, or the list, holds start and end, the next the pairs.

    Clouds, also those drawn from cubes, have equally many points.

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
    again
        The starts' own clouds sampled once more, one for each pair; None for shapes that are not sampled.
    draws
        Seed of the random numbers with which all clouds of a pair are drawn.
    """

    z: np.ndarray
    pose: np.ndarray | None
    sizes_um: np.ndarray | None
    inputs: list[list[Any]] | None
    legacy: list[list[Any]] | None
    again: list[Any] | None
    draws: list[int]

    def of_pairs(self, pairs: slice) -> Self:
        """Return the ends of some pairs."""
        arrays = [None if field is None else field[:, pairs] for field in self[:3]]
        sides = [field and [side[pairs] for side in field] for field in self[3:5]]
        return Ends(*arrays, *sides, self.again and self.again[pairs], self.draws[pairs])


def read_ends(
    model: Autoencoder,
    model_config: Mapping[str, Any],
    embeddings: Sequence[pd.DataFrame],
    cells: Cells,
    clouds: Cells,
    rows: Sequence[Sequence[int]],
    meshes: Sequence[FilePath],
    *,
    draws: Sequence[int],
    energy_points: int,
    packing: Mapping[str, Any] | None = None,
    **sampling: Any,
) -> Ends:
    """Read the ends of pairs; `embeddings` and `rows` in `cells` and `clouds` are those of start and end.

    Clouds are drawn by `draws`, of at most `energy_points`; those of packings anew of their spheres
    (`packing`: arguments of `upsample`). `sampling` (`to_shapes_um`) is the published definition's.
    """
    z, poses = zip(*map(decode.decoder_inputs, embeddings), strict=True)
    z, pose = np.stack(z), None if poses[0] is None else np.stack(poses)
    representation, common = model_config["representation"], {"again": None, "draws": list(draws)}
    if representation in decode.VOLUMES:
        return _read_shapes(model, model_config, z, pose, cells, rows, meshes, common)
    if representation == "cube":
        stored = [cell_batch(cells, side, model_config).x for side in rows]
        legacy = [decode.to_shapes_um(cubes, model_config, model, **sampling) for cubes in stored]
        kind, packing = model_config, None
    else:
        stored = [torch.from_numpy(clouds.raw(side)["points_um"]) for side in rows]
        parts = (subsample(side, sampling["n_points"], sampling["generator"]) for side in stored)
        legacy, kind = [list(part.numpy()) for part in parts], _STORED
        (_, decoded), *_ = decode.decode_batches(model, z[0, :1], None, 1, "32-true")
        few = min(energy_points, decoded.shape[1])
        energy_points = few if packing else min(few, stored[0].shape[1])

    def sample_um(side: int, first: int = 0) -> list[np.ndarray]:
        options = {"side_um": sampling["side_um"], "n_points": energy_points, "first": first}
        if packing:
            numbered = zip(rows[side], draws, strict=True)
            return [_packing_um(clouds, row, energy_points, packing, draw + first) for row, draw in numbered]
        one_each = zip(stored[side].split(1), draws, strict=True)
        return [common_points_um(one, kind, **options, seed=draw)[0].numpy() for one, draw in one_each]

    again = sample_um(0, first=energy_points)
    again = again if len(again[0]) == energy_points else None
    return Ends(z, pose, None, [sample_um(0), sample_um(1)], legacy, again, list(draws))


def _packing_um(clouds: Cells, row: int, n_points: int, jitter: Mapping[str, Any], draw: int) -> np.ndarray:
    rng = np.random.default_rng(draw)
    return upsample(clouds.centres_um(row), **{**jitter, "n_points": n_points}, rng=rng)


def _read_shapes(
    model: Autoencoder,
    model_config: Mapping[str, Any],
    z: np.ndarray,
    pose: np.ndarray | None,
    cells: Cells,
    rows: Sequence[Sequence[int]],
    meshes: Sequence[FilePath],
    common: Mapping[str, Any],
) -> Ends:
    """Read the ends of pairs that are shapes with a surface."""
    representation = model_config["representation"]
    described = [cells.table.iloc[side] for side in rows]
    sizes_um = np.stack([decode.model_sizes_um(side, representation) for side in described])
    inputs = legacy = None
    if meshes:
        inputs = [[masked_mesh(row, meshes) for row in side.to_dict("records")] for side in described]
    if representation != "surface":
        both = zip((cell_batch(cells, side, model_config).x for side in rows), sizes_um, strict=True)
        legacy = [decode.to_shapes_um(x, model_config, model, sizes_um=size, legacy=True) for x, size in both]
    return Ends(z, pose, sizes_um, inputs, legacy, **common)
