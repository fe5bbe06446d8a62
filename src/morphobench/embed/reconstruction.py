"""How far reconstructions are from the cells, in micrometres: clouds from clouds, surfaces from surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench import seeds
from morphobench.geometry.overlap import (
    Mesh,
    common_grid,
    iou_error,
    mean_surface_distance_um,
    voxelised,
)
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, cell_batch
from morphobench.models.decode import decode_batches, invalid_reason, model_sizes_um, to_shapes_um
from morphobench.models.decode_clouds import subsample, to_points_um
from morphobench.models.decode_surfaces import masked_mesh
from morphobench.models.device import model_device
from morphobench.models.losses import chamfer, sinkhorn
from morphobench.models.reconstruction_legacy import iou_legacy, legacy_clouds, sinkhorn_legacy

CLOUD_COLUMNS = (
    "reconstruction_sinkhorn_um",
    "reconstruction_chamfer_um",
    "noise_floor_sinkhorn_um",
    "noise_floor_chamfer_um",
    "reconstruction_sinkhorn_legacy",
)
SHAPE_COLUMNS = ("reconstruction_iou", "reconstruction_surface_um", "reconstruction_iou_legacy")
# Of models that read the volume they decode.
SHAPE_FLOORS = ("noise_floor_iou", "noise_floor_surface_um")
REASON = "reconstruction_reason"
_Pair = tuple[torch.Tensor, torch.Tensor]


def cloud_errors(
    model: Autoencoder,
    cells: Cells,
    clouds: Cells,
    codes: np.ndarray,
    pose: np.ndarray | None,
    settings: Mapping[str, Any],
    embed: Mapping[str, Any],
    *,
    dataset: str,
    side_um: float | None,
    seed: int,
) -> pd.DataFrame:
    """Compare decoded clouds, or clouds drawn from decoded cubes, with the cells' stored clouds.

    Parameters
    ----------
    model
        Trained model.
    cells, clouds
        The same cells in the model's representation and as stored clouds.
    codes, pose
        Of these cells, see `decode.decoder_inputs`; they are decoded in the observed frame.
    settings
        Content of the model's yaml.
    embed
        batch_size, error_points, sinkhorn_blur_um, sinkhorn_scaling and precision.
    dataset, seed
        Name and seed of the run, parts of each cell's own seed.
    side_um
        Side of the dataset's cubes, micrometres.

    Returns
    -------
    pandas.DataFrame
        `CLOUD_COLUMNS`. Sinkhorn divergence (p = 1) and mean distance to the nearest point (half of the
        symmetric Chamfer distance), micrometres; the same between two independent samplings of the cell,
        which a perfect autoencoder would get: two disjoint choices from its stored cloud, or that cloud and
        one drawn from the cell's own cube; and the published divergence between reconstruction and what the
        model read, in model units or, for cubes, voxels.
    """
    device = model_device(model)
    rows_found = []
    for rows, decoded in decode_batches(model, codes, pose, embed["batch_size"], embed["precision"]):
        chosen = range(*rows.indices(len(cells)))
        given = cell_batch(cells, chosen, settings, seed=seeds.integer(seed, dataset, "embed")).x
        truth_um = torch.from_numpy(clouds.raw(chosen)["points_um"])
        pairs = [
            _pairs_of_cell(
                decoded[[place]].cpu(),
                given[[place]],
                truth_um[[place]],
                settings,
                embed["error_points"],
                side_um,
                torch.Generator().manual_seed(
                    seeds.integer(seed, dataset, "embed", cells.table["CellId"][row])
                ),
            )
            for place, row in enumerate(chosen)
        ]
        rows_found.append(_distances(_stacked(pairs, device), embed))
        logger.info("reconstructed %d of %d test cells", chosen[-1] + 1, len(cells))
    return pd.DataFrame(np.concatenate(rows_found), columns=list(CLOUD_COLUMNS))


def _pairs_of_cell(
    found: torch.Tensor,
    given: torch.Tensor,
    truth_um: torch.Tensor,
    settings: Mapping[str, Any],
    n_points: int,
    side_um: float | None,
    generator: torch.Generator,
) -> tuple[_Pair, _Pair, _Pair]:
    """Return what to compare of one cell: for the error, for its floor, and as published."""
    sampling = {"side_um": side_um, "n_points": n_points, "generator": generator}
    target = subsample(truth_um, n_points, generator)
    found_um = to_points_um(found, settings, **sampling)
    if settings["representation"] == "cube":
        floor = to_points_um(given, settings, **sampling), target
    else:
        order = torch.randperm(truth_um.shape[1], generator=generator)
        half = min(n_points, truth_um.shape[1] // 2)
        floor = truth_um[:, order[:half]], truth_um[:, order[half : 2 * half]]
    return (found_um, target), floor, legacy_clouds(found, given, settings, n_points, generator)


def _stacked(cells: list[tuple[_Pair, ...]], device: torch.device) -> list[_Pair]:
    return [
        tuple(torch.cat(side).to(device) for side in zip(*pairs, strict=True))
        for pairs in zip(*cells, strict=True)
    ]


def _distances(pairs: list[_Pair], embed: Mapping[str, Any]) -> np.ndarray:
    blur = {"blur": embed["sinkhorn_blur_um"], "scaling": embed["sinkhorn_scaling"]}
    error, floor, published = pairs
    columns = [
        sinkhorn(*error, **blur),
        chamfer(*error) / 2,
        sinkhorn(*floor, **blur),
        chamfer(*floor) / 2,
        sinkhorn_legacy(*published),
    ]
    return torch.stack(columns, dim=1).cpu().numpy()


def shape_errors(
    model: Autoencoder,
    cells: Cells,
    meshes: Sequence[str | Path],
    codes: np.ndarray,
    pose: np.ndarray | None,
    settings: Mapping[str, Any],
    embed: Mapping[str, Any],
) -> pd.DataFrame:
    """Compare decoded surfaces with the masked meshes of the cells, in the observed frame.

    Parameters
    ----------
    model, cells, codes, pose, settings
        See `cloud_errors`.
    meshes
        Shard folders of stage `mask`, see `masked_mesh`.
    embed
        batch_size, error_voxels, error_points and precision.

    Returns
    -------
    pandas.DataFrame
        `SHAPE_COLUMNS` and `REASON`, see `compared`; and for volumes `SHAPE_FLOORS`, the first two for the
        volume that the model read, whose grid is coarser than the mesh: what a perfect autoencoder would get.
    """
    representation = settings["representation"]
    sizes = model_sizes_um(cells.table, representation)
    found_rows, floors = [], []
    for rows, decoded in decode_batches(model, codes, pose, embed["batch_size"], embed["precision"]):
        place = {"settings": settings, "model": model, "sizes_um": sizes[rows]}
        described = cells.table.iloc[rows].to_dict("records")
        truths = [masked_mesh(row, meshes) for row in described]
        found = to_shapes_um(decoded, **place)
        # Only occupancies are cut differently in the published score.
        published = to_shapes_um(decoded, **place, legacy=True) if representation == "seg" else found
        found_rows += [
            compared(*shapes, row["spacing_um"], embed)
            for *shapes, row in zip(found, published, truths, described, strict=True)
        ]
        if representation != "surface":
            given = cell_batch(cells, range(*rows.indices(len(cells))), settings).x
            perfect = to_shapes_um(given, **place)
            floors += [agreement(one, truth, embed) for one, truth in zip(perfect, truths, strict=True)]
        logger.info("reconstructed %d of %d test cells", len(found_rows), len(cells))
    table = pd.DataFrame(found_rows, columns=[*SHAPE_COLUMNS, REASON])
    if floors:
        table[list(SHAPE_FLOORS)] = floors
    n_empty = int((table[REASON] != "").sum())
    if n_empty:
        logger.warning(
            "%d of %d test cells decode to no surface: they share nothing with their cells (error 1) "
            "and have no surface distance",
            n_empty,
            len(cells),
        )
    return table


def agreement(found: Mesh, truth: Mesh, embed: Mapping[str, Any]) -> tuple[float, float]:
    """Return 1 - Jaccard index in one common grid, and the mean symmetric surface distance in micrometres.

    Without a surface `found` shares nothing with the cell, and has no distance: 1 and NaN. A model that
    decodes nothing of its hardest cells must not gain by that. Parameters as in `compared`.
    """
    if invalid_reason(found):
        return 1.0, np.nan
    grid = common_grid([found, truth], embed["error_voxels"])
    error = iou_error(voxelised(found, grid), voxelised(truth, grid))
    return error, mean_surface_distance_um(found, truth, n_points=embed["error_points"])


def compared(
    found: Mesh, published: Mesh, truth: Mesh, spacing_um: float, embed: Mapping[str, Any]
) -> tuple[float, float, float, str]:
    """Compare one decoded surface with the cell's own.

    Parameters
    ----------
    found, published
        Decoded surface, as it is and with the published threshold, micrometres.
    truth
        Surface of the cell, in the same frame.
    spacing_um
        Edge of the source's voxels, which set the published grid.
    embed
        error_voxels along the longest side of the common box, and error_points on each surface.

    Returns
    -------
    tuple
        1 - Jaccard index in one common grid; mean symmetric surface distance, micrometres; the published
        1 - Jaccard index of own boxes; and why a value is NaN, if one is.
    """
    return *agreement(found, truth, embed), iou_legacy(published, truth, spacing_um), invalid_reason(found)
