"""Evolution energy: how far decoded shapes stray on the straight line between two codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench import models, seeds
from morphobench.decode import decode_points_um, thin
from morphobench.files import read_table, write_table
from morphobench.loading import CLOUDS, open_cells
from morphobench.models.losses import chamfer
from morphobench.score import evolution_energy
from morphobench.tables import embedding_matrix


def energies(clouds: Sequence[torch.Tensor], start: torch.Tensor, end: torch.Tensor) -> np.ndarray:
    """Return the evolution energy (Vasan et al. 2025) of every interpolant, shape (pairs, fractions).

    Parameters
    ----------
    clouds
        One tensor per fraction, shape (pairs, n_points, 3), micrometres.
    start, end
        The end points, shape (pairs, n_points, 3), micrometres.
    """
    to_start, to_end = (
        np.stack([chamfer(cloud, x).numpy() for cloud in clouds], axis=1) for x in (start, end)
    )
    return evolution_energy(to_start, to_end, chamfer(start, end).numpy())


def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    model_path: str | Path,
    embedding: str | Path,
    pairs: str | Path,
    out: str | Path,
    *,
    dataset: str,
    n_fractions: int,
    embed: Mapping[str, Any],
    side_um: float,
    seed: int,
) -> None:
    """Write one row per pair and fraction: pair, start, end, fraction, energy, energy_legacy.

    `energy` decodes the end points like the interpolants, in the canonical frame; `energy_legacy` takes the
    cells as they were given, as published, which for a model with a pose adds the rotation between the
    two frames to the energy.
    """
    model, settings = models.load(model_path)
    # Read as text: a CellId such as 007 is no number.
    table = pd.read_csv(pairs, dtype={"start": str, "end": str})
    codes = read_table(embedding).set_index("CellId")
    z_start, z_end = (embedding_matrix(codes.loc[table[side]]) for side in ("start", "end"))
    fractions = np.arange(1, n_fractions + 1) / (n_fractions + 1)
    generator = torch.Generator().manual_seed(seeds.integer(seed, dataset, "score", "evolution"))
    start, end, *between = (
        decode_points_um(
            model,
            z_start + fraction * (z_end - z_start),
            settings,
            batch_size=embed["batch_size"],
            side_um=side_um,
            n_points=embed["error_points"],
            generator=generator,
        )
        for fraction in (0.0, 1.0, *fractions)
    )
    cells = open_cells(manifest, shards, CLOUDS)
    row_of = {cell: row for row, cell in enumerate(cells.table["CellId"])}
    given = (
        thin(
            torch.from_numpy(cells.raw([row_of[cell] for cell in table[side]])["points_um"]),
            embed["error_points"],
            generator,
        )
        for side in ("start", "end")
    )
    rows = table.loc[table.index.repeat(n_fractions)].reset_index(drop=True)
    write_table(
        rows.assign(
            fraction=np.tile(fractions, len(table)),
            energy=energies(between, start, end).ravel(),
            energy_legacy=energies(between, *given).ravel(),
        ),
        out,
    )
