"""The shapes on the way between two cells: decoded in batches, in the frames that energies compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from morphobench.geometry import rotation
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, cell_batch
from morphobench.models.decode import (
    VOLUMES,
    decode_shapes,
    decoder_inputs,
    model_sizes_um,
    rotate_mesh,
    to_shapes_um,
    voxel_edges_um,
)
from morphobench.models.decode_clouds import subsample
from morphobench.models.decode_surfaces import masked_mesh


class Given(NamedTuple):
    """The end points of pairs, of which only codes are decoded.

    Attributes
    ----------
    codes
        What is decoded, canonical frame, shape (2, n_pairs, D) or (2, n_pairs, D, 3).
    pose
        Shape (2, n_pairs, 3, 3), None for a model without one.
    sizes_um
        See `model_sizes_um`, shape (2, n_pairs); None for clouds and cubes.
    inputs
        For each side, the cells' own shapes as they are, micrometres; None where there are none.
    published
        For each side, the shapes that the published definition takes; None where it decodes them.
    """

    codes: np.ndarray
    pose: np.ndarray | None
    sizes_um: np.ndarray | None
    inputs: list[list[Any]] | None
    published: list[list[Any]] | None


class Way(NamedTuple):
    """The shapes of one pair, micrometres: clouds, or meshes.

    Attributes
    ----------
    between, ends
        Decoded interpolants and end points, in the canonical frame.
    inputs
        The cells' own shapes, turned into that frame by their poses; None where there are none.
    published_between, published
        Interpolants and end points of the published definition.
    voxel_um
        Of the published grid of meshes.
    """

    between: list[Any]
    ends: list[Any]
    inputs: list[Any] | None
    published_between: list[Any]
    published: list[Any]
    voxel_um: float = 1.0


def given_ends(
    model: Autoencoder,
    settings: Mapping[str, Any],
    tables: list[pd.DataFrame],
    cells: Cells,
    clouds: Cells,
    rows: list[list[int]],
    meshes: Sequence[str | Path],
    place: Mapping[str, Any],
    subsample_seed: int,
) -> Given:
    """Collect what is known of the end points; `tables` and `rows` are those of both sides."""
    codes, poses = zip(*map(decoder_inputs, tables), strict=True)
    pose = None if poses[0] is None else np.stack(poses)
    representation = settings["representation"]
    if representation not in VOLUMES:
        if representation == "cube":
            shapes = [
                to_shapes_um(
                    cell_batch(cells, side, settings, seed=subsample_seed).x, settings, model, **place
                )
                for side in rows
            ]
        else:
            stored = (torch.from_numpy(clouds.raw(side)["points_um"]) for side in rows)
            shapes = [list(subsample(side, place["n_points"], place["generator"]).numpy()) for side in stored]
        return Given(np.stack(codes), pose, None, shapes, shapes)
    described = [cells.table.iloc[side] for side in rows]
    sizes = np.stack([model_sizes_um(side, representation) for side in described])
    inputs = None
    if meshes:
        inputs = [[masked_mesh(row, meshes) for row in side.to_dict("records")] for side in described]
    published = None
    if representation != "surface":
        published = [
            to_shapes_um(cell_batch(cells, side, settings).x, settings, model, sizes_um=size, legacy=True)
            for side, size in zip(rows, sizes, strict=True)
        ]
    return Given(np.stack(codes), pose, sizes, inputs, published)


def ways(
    model: Autoencoder,
    settings: Mapping[str, Any],
    given: Given,
    fractions: np.ndarray,
    embed: Mapping[str, Any],
    place: Mapping[str, Any],
) -> Iterator[Way]:
    """Yield the shapes of every pair; ends and interpolants of some pairs are decoded together."""
    n_pairs, n_steps = given.codes.shape[1], len(fractions) + 2
    steps = np.array([0.0, *fractions, 1.0])
    n_together = max(1, embed["batch_size"] // n_steps)
    for first in range(0, n_pairs, n_together):
        some = slice(first, first + n_together)
        part = Given(*(_of_pairs(field, some) for field in given))
        decoded, published = _decoded(model, settings, part, steps, embed, place)
        for number in range(len(decoded) // n_steps):
            mine = slice(number * n_steps, (number + 1) * n_steps)
            start, *between, end = decoded[mine]
            first_published, *published_between, last_published = published[mine]
            ends_published = [first_published, last_published]
            if part.published is not None:
                ends_published = [side[number] for side in part.published]
            voxel_um = 1.0
            if part.sizes_um is not None:
                voxel_um = float(voxel_edges_um(settings, model, part.sizes_um[0, [number]])[0])
            inputs = _canonical(part, number)
            yield Way(between, [start, end], inputs, published_between, ends_published, voxel_um)


def _of_pairs(field: Any, some: slice) -> Any:
    if isinstance(field, list):
        return [side[some] for side in field]
    return None if field is None else field[:, some]


def _between(ends: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return points on the lines between ends of shape (2, n_pairs, ...), shape (n_pairs * n_steps, ...)."""
    share = steps.reshape(1, -1, *[1] * (ends.ndim - 2))
    line = ends[0][:, None] + share * (ends[1] - ends[0])[:, None]
    return line.reshape(-1, *ends.shape[2:])


def _decoded(
    model: Autoencoder,
    settings: Mapping[str, Any],
    part: Given,
    steps: np.ndarray,
    embed: Mapping[str, Any],
    place: Mapping[str, Any],
) -> tuple[list[Any], list[Any]]:
    """Return all shapes on the ways of some pairs: canonical, and as the published definition has them."""
    how = {"batch_size": embed["batch_size"], "precision": embed["precision"]}
    if part.sizes_um is None:
        shapes = decode_shapes(model, _between(part.codes, steps), settings, **how, **place)
        return shapes, shapes
    how["sizes_um"] = _between(part.sizes_um, steps)
    shapes = decode_shapes(model, _between(part.codes, steps), settings, **how)
    if part.published is None:
        # The implicit model's published way runs between vectors as they were observed.
        observed = part.codes @ np.swapaxes(part.pose, -1, -2)
        return shapes, decode_shapes(model, _between(observed, steps), settings, **how)
    if settings["representation"] != "seg":
        return shapes, shapes
    return shapes, decode_shapes(model, _between(part.codes, steps), settings, **how, legacy=True)


def _canonical(part: Given, number: int) -> list[Any] | None:
    """Return the own shapes of the ends of a pair, turned by the inverse of their poses."""
    if part.inputs is None:
        return None
    shapes = [side[number] for side in part.inputs]
    if part.pose is None:
        return shapes
    return [
        rotate_mesh(shape, pose.T) if isinstance(shape, tuple) else rotation.rotate_points(shape, pose.T)
        for shape, pose in zip(shapes, part.pose[:, number], strict=True)
    ]
