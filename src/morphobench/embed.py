"""Export embeddings: every cell as it is, and the test cells under many rotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench import models, rotation, seeds
from morphobench.decode import device_of, thin, to_points_um
from morphobench.files import write_table
from morphobench.loading import CLOUDS, Cells, cell_batch, open_cells
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.losses import chamfer, sinkhorn

# Representations of cells whose clouds the stage `sample` writes too.
WITH_CLOUDS = ("points", "cube")


def rotations_of(pose: str, n_uniform: int, seed: int, dataset: str) -> np.ndarray:
    """Return the rotations of a pose set, shape (n, 3, 3): one, the 24 of the cube, or seeded random ones."""
    if pose == "identity":
        return np.eye(3)[None]
    if pose == "lattice":
        return rotation.cube_rotations()
    return rotation.uniform(n_uniform, seeds.generator(seed, dataset, "embed", "uniform"))


def encode_cells(
    model: Autoencoder,
    cells: Cells,
    turn: np.ndarray,
    settings: Mapping[str, Any],
    batch_size: int,
    device: torch.device,
    draw_seed: int = 0,
) -> np.ndarray:
    """Encode all cells under one rotation; float32, shape (n_cells, latent_dim)."""
    codes = []
    for rows in np.array_split(np.arange(len(cells)), -(-len(cells) // batch_size)):
        x = cell_batch(cells, rows, settings, turn=turn, draw_seed=draw_seed).x
        codes.append(model.encode(x.to(device)).float().cpu().numpy())
    return np.concatenate(codes)


def _distances_um(
    a: torch.Tensor, b: torch.Tensor, embed: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    blur, scaling = embed["sinkhorn_blur_um"], embed["sinkhorn_scaling"]
    # Half of the symmetric sum: the mean distance from a point to the nearest of the other cloud.
    return (chamfer(a, b) / 2).numpy(), sinkhorn(a, b, blur=blur, scaling=scaling).numpy()


def _errors_of_cell(
    found: torch.Tensor,
    given: torch.Tensor,
    truth_um: torch.Tensor,
    settings: Mapping[str, Any],
    embed: Mapping[str, Any],
    sampling: Mapping[str, Any],
) -> np.ndarray:
    generator = sampling["generator"]
    target = thin(truth_um, embed["error_points"], generator)
    nearest, divergence = _distances_um(to_points_um(found, settings, **sampling), target, embed)
    if settings["representation"] == "cube":
        perfect = (to_points_um(given, settings, **sampling), target)
    else:
        order = torch.randperm(truth_um.shape[1], generator=generator)
        perfect = tuple(truth_um[:, half] for half in order.chunk(2))
    return np.concatenate([nearest, divergence, _distances_um(*perfect, embed)[1]])


def errors(
    model: Autoencoder,
    cells: Cells,
    points_um: np.ndarray,
    settings: Mapping[str, Any],
    embed: Mapping[str, Any],
    *,
    dataset: str,
    side_um: float,
    seed: int,
    device: torch.device,
) -> pd.DataFrame:
    """Compare reconstructions with the cells' clouds, in micrometres and in the observed frame.

    Parameters
    ----------
    cells
        Test cells in the model's representation.
    points_um
        The same cells' stored clouds, shape (n_cells, n_points, 3).

    Returns
    -------
    pandas.DataFrame
        Columns reconstruction_um (mean distance to the nearest point), sinkhorn_um (Sinkhorn divergence,
        p = 1) and noise_floor_um: the divergence that a perfect autoencoder of this representation would get,
        between two halves of the cloud, or between the cloud and one drawn from the cell's own cube.
    """
    rows = []
    for batch in np.array_split(np.arange(len(cells)), -(-len(cells) // embed["batch_size"])):
        x = cell_batch(cells, batch, settings, draw_seed=seeds.integer(seed, dataset, "embed")).x
        decoded = model.reconstruct(x.to(device))
        for row, found, given in zip(batch, decoded.split(1), x.split(1), strict=True):
            own = seeds.integer(seed, dataset, "embed", cells.table["CellId"][row])
            sampling = {
                "side_um": side_um,
                "n_points": embed["error_points"],
                "generator": torch.Generator().manual_seed(own),
            }
            truth = torch.from_numpy(np.ascontiguousarray(points_um[[row]]))
            rows.append(_errors_of_cell(found, given, truth, settings, embed, sampling))
        logger.info("reconstructed %d of %d test cells", batch[-1] + 1, len(cells))
    return pd.DataFrame(rows, columns=["reconstruction_um", "sinkhorn_um", "noise_floor_um"])


@torch.inference_mode()
def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    model_path: str | Path,
    out: str | Path,
    *,
    pose: str,
    dataset: str,
    settings: Mapping[str, Any],
    side_um: float,
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write the embedding table of one model and one pose set.

    Pose "identity" holds every cell, with reconstruction errors for the test cells; the others hold the test
    cells once per rotation. Columns: CellId, group, split, rotation (index in the pose set), r_00 ... r_22
    (the matrix), mu_0 ... mu_{D-1}. Errors are measured between clouds, so `WITH_CLOUDS` alone have them.
    """
    torch.set_num_threads(threads)
    model, model_settings = models.load(model_path)
    device = device_of(accelerator)
    model = model.export().to(device)
    cells = open_cells(manifest, shards, model_settings, None if pose == "identity" else "test")
    table = _codes(
        model,
        cells,
        rotations_of(pose, settings["n_uniform"], seed, dataset),
        model_settings,
        batch_size=settings["batch_size"],
        device=device,
        draw_seed=seeds.integer(seed, dataset, "embed"),
    )
    if pose == "identity" and model_settings["representation"] in WITH_CLOUDS:
        test = open_cells(manifest, shards, model_settings, "test")
        clouds = open_cells(manifest, shards, CLOUDS, "test")
        measured = errors(
            model,
            test,
            clouds.raw(range(len(clouds)))["points_um"],
            model_settings,
            settings,
            dataset=dataset,
            side_um=side_um,
            seed=seed,
            device=device,
        )
        table = table.merge(
            measured.assign(CellId=test.table["CellId"]), on="CellId", how="left", validate="1:1"
        )
    write_table(table, out)


def _codes(
    model: Autoencoder, cells: Cells, turns: np.ndarray, model_settings: Mapping[str, Any], **how: Any
) -> pd.DataFrame:
    tables = []
    for index, turn in enumerate(turns):
        codes = encode_cells(model, cells, turn, model_settings, **how)
        table = cells.table[["CellId", "group", "split"]].assign(rotation=index)
        matrix = pd.DataFrame(
            [turn.ravel()] * len(table), columns=[f"r_{i}{j}" for i in range(3) for j in range(3)]
        )
        mu = pd.DataFrame(codes, columns=[f"mu_{i}" for i in range(codes.shape[1])])
        tables.append(pd.concat([table, matrix, mu], axis=1))
        if index % 8 == 0:
            logger.info("rotation %d of %d, %d cells", index + 1, len(turns), len(cells))
    return pd.concat(tables, ignore_index=True)
