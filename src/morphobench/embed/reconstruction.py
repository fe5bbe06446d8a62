"""Reconstruction errors of test cells, in micrometres: clouds against clouds, surfaces against surfaces."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from morphobench import seeds
from morphobench.files import FilePath, read_table, write_table
from morphobench.geometry.overlap import Mesh, common_grid, iou_error, mean_surface_distance_um, voxelise
from morphobench.log import logger
from morphobench.models import decode
from morphobench.models.base import Autoencoder
from morphobench.models.cells import POINT_CLOUDS, Cells, cell_batch, open_cells
from morphobench.models.decode_clouds import subsample, to_points_um
from morphobench.models.decode_surfaces import masked_mesh
from morphobench.models.device import load_for_inference, model_device
from morphobench.models.losses import chamfer
from morphobench.models.losses.sinkhorn import sinkhorn
from morphobench.models.reconstruction_legacy import iou_legacy, legacy_clouds, sinkhorn_legacy

CLOUD_COLUMNS = (
    *(f"{of}_{by}_um" for of in ("reconstruction", "noise_floor") for by in ("sinkhorn", "chamfer")),
    "reconstruction_sinkhorn_legacy",
)
SHAPE_COLUMNS = ("reconstruction_iou", "reconstruction_surface_um", "reconstruction_iou_legacy")
# Of models that read the volume they decode.
SHAPE_FLOORS = ("noise_floor_iou", "noise_floor_surface_um")
_NO_MESHES = "no masked surface to compare with"
_Pair = tuple[Tensor, Tensor]


@torch.inference_mode()
def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    embedding: FilePath,
    out: FilePath,
    *,
    meshes: Sequence[FilePath] = (),
    dataset: str,
    embed_config: Mapping[str, Any],
    side_um: float | None,
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write CellId, split, success, reason and the errors (`cloud_errors`, `shape_errors`) of the test cells.

    `embedding` is the table of rotations "identity"; `meshes` are the shard folders of stage `mask`, without
    which surfaces have no error.
    """
    model, model_config = load_for_inference(model_path, accelerator, threads)
    cells = open_cells(manifest, shards, model_config, "test", required=False)
    table = cells.table[["CellId", "split"]].assign(success=True, reason="")
    if len(cells):
        embedded = read_table(embedding).set_index("CellId").loc[cells.table["CellId"]]
        decoded = (model, cells, *decode.decoder_inputs(embedded), model_config, embed_config)
        if model_config["representation"] not in decode.VOLUMES:
            clouds = open_cells(manifest, shards, POINT_CLOUDS, "test")
            errors = cloud_errors(*decoded, clouds, dataset=dataset, side_um=side_um, seed=seed)
        elif meshes:
            errors = shape_errors(*decoded, meshes)
        else:
            logger.warning("%s: the reconstruction error stays empty", _NO_MESHES)
            missing = dict.fromkeys(SHAPE_COLUMNS, np.nan) | {"reason": _NO_MESHES}
            errors = pd.DataFrame(missing, index=table.index)
        table = table.assign(success=errors["reason"] == "", **errors)
    write_table(table, out)


def cloud_errors(
    model: Autoencoder,
    cells: Cells,
    z: np.ndarray,
    pose: np.ndarray | None,
    model_config: Mapping[str, Any],
    embed_config: Mapping[str, Any],
    clouds: Cells,
    *,
    dataset: str,
    side_um: float | None,
    seed: int,
) -> pd.DataFrame:
    """Compare clouds, decoded or drawn from decoded cubes, with the stored clouds, in the observed frame.

    Returns `reason` and `CLOUD_COLUMNS`: Sinkhorn divergence (p = 1) and mean distance to the nearest point
    (half of the symmetric Chamfer distance), micrometres; the same between two independent samplings of the
    cell, which a perfect autoencoder would get: two disjoint halves of its stored cloud, or that cloud and
    one drawn from the cell's own cube; and the published divergence, see `sinkhorn_legacy`.

    Parameters
    ----------
    cells, clouds
        The same cells in the model's representation and as stored clouds.
    z, pose
        `decoder_inputs` of these cells.
    dataset, seed
        Parts of each cell's own seed.
    side_um
        Side of the dataset's cubes.
    """
    device = model_device(model)
    subsample_seed = seeds.integer(seed, dataset, "embed")
    annealing = {"blur": embed_config["sinkhorn_blur_um"], "scaling": embed_config["sinkhorn_scaling"]}
    sampling = {"side_um": side_um, "n_points": embed_config["error_points"]}
    batching, batches = (embed_config["batch_size"], embed_config["precision"]), []
    for rows, decoded in decode.decode_batches(model, z, pose, *batching):
        numbers = range(*rows.indices(len(cells)))
        inputs = cell_batch(cells, numbers, model_config, seed=subsample_seed).x
        target_um = torch.from_numpy(clouds.raw(numbers)["points_um"])
        pairs = []
        for place, cell in enumerate(cells.table["CellId"].iloc[rows]):
            sampling["generator"] = torch.Generator().manual_seed(seeds.integer(seed, dataset, "embed", cell))
            clouds_of_cell = [part[[place]].cpu() for part in (decoded, inputs, target_um)]
            pairs.append(_cloud_pairs(*clouds_of_cell, model_config, sampling))
        # A list of cells with their pairs -> pairs of stacked clouds.
        stacked = [
            tuple(torch.cat(side).to(device) for side in zip(*cells_of_pair, strict=True))
            for cells_of_pair in zip(*pairs, strict=True)
        ]
        columns = []
        for pair in stacked[:2]:
            columns += [sinkhorn(*pair, **annealing), chamfer(*pair) / 2]
        columns.append(sinkhorn_legacy(*stacked[2]))
        batches.append(torch.stack(columns, dim=1).cpu().numpy())
        logger.info("reconstructed %d of %d test cells", numbers[-1] + 1, len(cells))
    errors = pd.DataFrame(np.concatenate(batches), columns=list(CLOUD_COLUMNS))
    finite = np.isfinite(errors[CLOUD_COLUMNS[0]])
    return errors.assign(reason=np.where(finite, "", "decodes to points that are not finite"))


def _cloud_pairs(
    decoded: Tensor, inputs: Tensor, target_um: Tensor, model_config: Mapping[str, Any], sampling: dict
) -> tuple[_Pair, _Pair, _Pair]:
    """Return the clouds to compare of one cell: for the error, its noise floor, and the published error."""
    n_points, generator = sampling["n_points"], sampling["generator"]
    target = subsample(target_um, n_points, generator)
    decoded_um = to_points_um(decoded, model_config, **sampling)
    if model_config["representation"] == "cube":
        floor = to_points_um(inputs, model_config, **sampling), target
    else:
        order = torch.randperm(target_um.shape[1], generator=generator)
        half = min(n_points, target_um.shape[1] // 2)
        floor = target_um[:, order[:half]], target_um[:, order[half : 2 * half]]
    return (decoded_um, target), floor, legacy_clouds(decoded, inputs, model_config, n_points, generator)


def shape_errors(
    model: Autoencoder,
    cells: Cells,
    z: np.ndarray,
    pose: np.ndarray | None,
    model_config: Mapping[str, Any],
    embed_config: Mapping[str, Any],
    meshes: Sequence[FilePath],
) -> pd.DataFrame:
    """Compare decoded surfaces with the masked meshes of the cells, in the observed frame.

    Returns `SHAPE_COLUMNS` (`mesh_errors`, `iou_legacy`), `reason`, and for volumes `SHAPE_FLOORS`: the
    errors of the volume that the model read, a perfect autoencoder's, for its grid is coarser than the mesh.
    """
    representation = model_config["representation"]
    sizes = decode.model_sizes_um(cells.table, representation)
    errors, floors, batching = [], [], (embed_config["batch_size"], embed_config["precision"])
    for rows, decoded in decode.decode_batches(model, z, pose, *batching):
        to_shapes = partial(decode.to_shapes_um, model_config=model_config, model=model, sizes_um=sizes[rows])
        described = cells.table.iloc[rows].to_dict("records")
        targets = [masked_mesh(row, meshes) for row in described]
        shapes = to_shapes(decoded)
        # Only occupancies are cut differently in the published score.
        legacy = to_shapes(decoded, legacy=True) if representation == "seg" else shapes
        for shape, published, target, row in zip(shapes, legacy, targets, described, strict=True):
            legacy_error = iou_legacy(published, target, row["spacing_um"])
            reason = decode.invalid_reason(shape)
            errors.append((*mesh_errors(shape, target, embed_config), legacy_error, reason))
        if representation != "surface":
            inputs = cell_batch(cells, range(*rows.indices(len(cells))), model_config).x
            floors += map(partial(mesh_errors, embed_config=embed_config), to_shapes(inputs), targets)
        logger.info("reconstructed %d of %d test cells", len(errors), len(cells))
    table = pd.DataFrame(errors, columns=[*SHAPE_COLUMNS, "reason"])
    if floors:
        table[list(SHAPE_FLOORS)] = floors
    if n_empty := int((table["reason"] != "").sum()):
        message = "%d of %d test cells decode to no surface: error 1, and no surface distance"
        logger.warning(message, n_empty, len(cells))
    return table


def mesh_errors(shape: Mesh, target: Mesh, embed_config: Mapping[str, Any]) -> tuple[float, float]:
    """Return 1 - Jaccard index in one common grid, and the mean symmetric surface distance in micrometres.

    A shape without a surface has 1 and NaN: a model that decodes nothing of its hardest cells must not gain
    by that. The grid has `error_voxels` along its longest side, each surface `error_points`.
    """
    if decode.invalid_reason(shape):
        return 1.0, np.nan
    grid = common_grid([shape, target], embed_config["error_voxels"])
    error = iou_error(voxelise(shape, grid), voxelise(target, grid))
    return error, mean_surface_distance_um(shape, target, n_points=embed_config["error_points"])
