"""Evolution energy: how far decoded shapes stray on the straight line between two codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench import models, seeds
from morphobench.files import read_table, write_table
from morphobench.log import logger
from morphobench.models.cells import POINT_CLOUDS, open_cells
from morphobench.models.decode import invalid_reason
from morphobench.models.device import configure_torch, select_device
from morphobench.score.evolution_distances import (
    Distances,
    cloud_distances,
    own_box_distances,
    shape_distances,
)
from morphobench.score.ways import Way, given_ends, ways

ENERGIES = ("energy", "energy_input", "energy_legacy")
_SIDES = ("start", "end")


def evolution_energy(d_to_start: np.ndarray, d_to_end: np.ndarray, d_ends: np.ndarray) -> np.ndarray:
    """Measure the detour that decoded interpolants make between the two ends of a pair.

    Formula: ``(d(x_f, x_a) + d(x_f, x_b)) / d(x_a, x_b)``; 1 is the straight way if d is a metric.

    Parameters
    ----------
    d_to_start, d_to_end
        Distances from the interpolants to the ends, shape (pairs, fractions), in one unit.
    d_ends
        Distance between the ends, shape (pairs,), same unit.

    Returns
    -------
    np.ndarray
        Shape (pairs, fractions), pure number; NaN where the ends coincide or a distance is not finite.

    Notes
    -----
    Source: Vasan et al. 2025, "Evolution Energy". All shapes must be in one frame: decode the ends with the
    decoder that decodes the interpolants.
    """
    detour = np.asarray(d_to_start, np.float64) + np.asarray(d_to_end, np.float64)
    d_ends = np.asarray(d_ends, np.float64)[..., None]
    usable = np.isfinite(detour) & np.isfinite(d_ends) & (d_ends > 0)
    return np.divide(detour, d_ends, out=np.full(detour.shape, np.nan), where=usable)


def energies_of(way: Way, n_voxels: int) -> pd.DataFrame:
    """Return energy, energy_input, energy_legacy and the reason where one is NaN, a row per interpolant.

    Parameters
    ----------
    way
        Of one pair.
    n_voxels
        Of the common grid of meshes, along its longest side.
    """
    end_sets = [way.ends] if way.inputs is None else [way.ends, way.inputs]
    if isinstance(way.ends[0], tuple):
        found = shape_distances(way.between, end_sets, n_voxels)
        legacy = own_box_distances(way.published_between, way.published, way.voxel_um)
    else:
        *found, legacy = cloud_distances(way.between, [*end_sets, way.published])
    of_inputs = found[-1] if len(found) > 1 else Distances(*[np.full(len(way.between), np.nan)] * 2, np.nan)
    columns = zip(ENERGIES, (found[0], of_inputs, legacy), strict=True)
    table = pd.DataFrame({name: _energy(distances) for name, distances in columns})
    missing = table[list(ENERGIES)].isna()
    reasons = [_reason(way, one, found[0].ends) for one in way.between]
    return table.assign(reason=np.where(missing.any(axis=1), reasons, ""))


def _energy(found: Distances) -> np.ndarray:
    return evolution_energy(found.to_start, found.to_end, found.ends)


def _reason(way: Way, one: Any, d_ends: float) -> str:
    """Say what may be wrong about an interpolant, the ends first, which are to blame for a whole pair."""
    for side, end in zip(_SIDES, way.ends, strict=True):
        if invalid_reason(end):
            return f"the {side} {invalid_reason(end)}"
    if d_ends == 0:
        return "the end points decode to one shape"
    if invalid_reason(one):
        return f"the interpolant {invalid_reason(one)}"
    if way.inputs is None:
        return "no masked surface to take for the input"
    return "a shape that the published definition takes is missing, or its ends are alike"


def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    model_path: str | Path,
    embedding: str | Path,
    pairs: str | Path,
    out: str | Path,
    *,
    meshes: Sequence[str | Path] = (),
    dataset: str,
    n_fractions: int,
    embed: Mapping[str, Any],
    side_um: float | None,
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write one row per pair and fraction: pair, start, end, fraction, the energies, and the reason of NaN.

    `energy` decodes the end points like the interpolants, in the canonical frame. `energy_input` takes the
    cells themselves, turned into that frame by their poses, and so counts the reconstruction error too.
    `energy_legacy` takes the cells as they were given, as published, which for a model with a pose adds the
    rotation between the two frames; for the implicit model, whose published end points are decoded, it
    interpolates in the observed frame; and shapes are compared each in its own box.

    Clouds: Chamfer distance; shapes: 1 - Jaccard index. Where cells have different scales on the grid, the
    size of an interpolant, which codes do not hold, goes linearly from one to the other.

    Parameters
    ----------
    manifest, shards
        Of stage `sample`.
    model_path
        Trained model.
    embedding
        Table of pose "identity".
    pairs
        Table of pairs: pair, start, end.
    out
        Table to write.
    meshes
        Shard folders of stage `mask`, for polymorphic datasets.
    dataset, seed
        Parts of the seed of what is drawn.
    n_fractions
        Interior points of each interpolation.
    embed
        Section `embed` of the configuration.
    side_um
        Side of the dataset's cubes, micrometres.
    accelerator
        See `select_device`.
    threads
        Of torch.
    """
    configure_torch(threads)
    model, settings = models.load(model_path)
    model = model.export().to(select_device(accelerator))
    # Read as text: a CellId such as 007 is no number.
    table = pd.read_csv(pairs, dtype={"start": str, "end": str})
    if table.empty:
        logger.warning("there is no pair of test cells to interpolate between: no energy")
        write_table(table.assign(**dict.fromkeys(("fraction", *ENERGIES), np.nan), reason=""), out)
        return
    fractions = np.arange(1, n_fractions + 1) / (n_fractions + 1)
    cells, clouds = (open_cells(manifest, shards, of) for of in (settings, POINT_CLOUDS))
    row_of = {cell: row for row, cell in enumerate(cells.table["CellId"])}
    rows = [[row_of[cell] for cell in table[side]] for side in _SIDES]
    drawn_by = seeds.integer(seed, dataset, "score", "evolution")
    place = {"side_um": side_um, "n_points": embed["error_points"]}
    codes = read_table(embedding).set_index("CellId")
    given = given_ends(
        model,
        settings,
        [codes.loc[table[side]] for side in _SIDES],
        cells,
        clouds,
        rows,
        meshes,
        {**place, "generator": torch.Generator().manual_seed(drawn_by + 1)},
        subsample_seed=seeds.integer(seed, dataset, "embed"),
    )
    place["generator"] = torch.Generator().manual_seed(drawn_by)
    found = []
    for way in ways(model, settings, given, fractions, embed, place):
        found.append(energies_of(way, embed["error_voxels"]).assign(fraction=fractions))
        if len(found) % 20 == 0:
            logger.info("interpolated %d of %d pairs", len(found), len(table))
    columns = pd.concat(found, ignore_index=True)[["fraction", *ENERGIES, "reason"]]
    repeated = table.loc[table.index.repeat(n_fractions)].reset_index(drop=True)
    write_table(pd.concat([repeated, columns], axis=1), out)
