"""Reconstruction errors of test cells, in micrometres: clouds against clouds, surfaces against surfaces."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from morphobench import seeds
from morphobench.embed.references import CloudReferences, cloud_references, mean_mesh, other_cells
from morphobench.files import FilePath, read_table, write_table
from morphobench.geometry.overlap import Mesh, common_grid, iou_error, mean_surface_distance_um, voxelise
from morphobench.log import logger
from morphobench.models import decode
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, cell_batch, open_cells
from morphobench.models.decode_clouds import subsample, to_points_um
from morphobench.models.decode_surfaces import masked_mesh
from morphobench.models.device import load_for_inference, model_device
from morphobench.models.losses import chamfer
from morphobench.models.losses.sinkhorn import sinkhorn
from morphobench.models.reconstruction_legacy import iou_legacy, legacy_clouds, sinkhorn_legacy

# What a perfect model gets, a model that mistakes cells of a stratum, and one that knows no cell.
REFERENCES = ("sampling_distance", "other_cell", "mean_shape")
CLOUD_COLUMNS = (
    *(f"{of}_{by}_um" for of in ("reconstruction", *REFERENCES) for by in ("sinkhorn", "chamfer")),
    "reconstruction_sinkhorn_legacy",
)
SHAPE_REFERENCES = tuple(f"{of}_{by}" for of in ("other_cell", "mean_shape") for by in ("iou", "surface_um"))
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
    stratum: str | None = None,
    packing: Mapping[str, Any] | None = None,
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write CellId, split, success, reason and the errors (`cloud_errors`, `shape_errors`) of the test cells.

    `embedding` is the table of rotations "identity"; `meshes` are the shard folders of stage `mask`, without
    which surfaces have no error. `stratum` is a column of the manifest; `packing` holds the arguments of
    `upsample`, under "points", where clouds were made of spheres.
    """
    model, model_config = load_for_inference(model_path, accelerator, threads)
    cells = open_cells(manifest, shards, model_config, "test", required=False)
    table = cells.table[["CellId", "split"]].assign(success=True, reason="")
    if len(cells):
        embedded = read_table(embedding).set_index("CellId").loc[cells.table["CellId"]]
        decoded = (model, cells, *decode.decoder_inputs(embedded), model_config, embed_config)
        if model_config["representation"] not in decode.VOLUMES:
            own = {"dataset": dataset, "stratum": stratum, "packing": packing, "seed": seed}
            references = cloud_references(manifest, shards, **own, n_points=embed_config["error_points"])
            errors = cloud_errors(*decoded, references, dataset=dataset, side_um=side_um, seed=seed)
        elif meshes:
            others = other_cells(cells.table, stratum, seeds.integer(seed, dataset, "other cell"))
            known = open_cells(manifest, shards, model_config, "train", required=False).table
            draw = seeds.integer(seed, dataset, "mean shape")
            mean = mean_mesh(known, meshes, embed_config, draw)
            errors = shape_errors(*decoded, meshes, others, mean)
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
    references: CloudReferences,
    *,
    dataset: str,
    side_um: float | None,
    seed: int,
) -> pd.DataFrame:
    """Compare clouds, decoded or drawn from decoded cubes, with the stored clouds, in the observed frame.

    Returns `reason` and `CLOUD_COLUMNS`: Sinkhorn divergence (p = 1) and mean distance to the nearest point
    (half of the symmetric Chamfer distance), micrometres; the same, with as many points, of `REFERENCES`; and
    the published divergence, see `sinkhorn_legacy`.

    The sampling distance is that of two samplings of the cell, what a perfect autoencoder that samples anew
    gets, and no lower bound: two disjoint parts of the stored cloud (NaN where it has too few points); for
    packings the stored cloud and other jittered copies of the spheres; for cubes the stored cloud and one
    drawn from the cell's own cube. "other_cell" is a test cell of the same stratum, "mean_shape" the density
    of all training cells.

    Parameters
    ----------
    cells
        The test cells in the model's representation.
    z, pose
        `decoder_inputs` of these cells.
    references
        The same cells as stored clouds, and what they are compared with.
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
        target_um = torch.from_numpy(references.clouds.raw(numbers)["points_um"])
        pairs = []
        for place, cell in enumerate(cells.table["CellId"].iloc[rows]):
            sampling["generator"] = torch.Generator().manual_seed(seeds.integer(seed, dataset, "embed", cell))
            own = [part[[place]].cpu() for part in (decoded, inputs, target_um)]
            pairs.append(_cloud_pairs(*own, references, numbers[place], model_config, sampling))
        # A list of cells with their pairs -> pairs of stacked clouds.
        *compared, legacy = [
            tuple(torch.cat(side).to(device) for side in zip(*cells_of_pair, strict=True))
            for cells_of_pair in zip(*pairs, strict=True)
        ]
        columns = []
        for pair in compared:
            columns += [sinkhorn(*pair, **annealing), chamfer(*pair) / 2]
        columns.append(sinkhorn_legacy(*legacy))
        batches.append(torch.stack(columns, dim=1).cpu().numpy())
        logger.info("reconstructed %d of %d test cells", numbers[-1] + 1, len(cells))
    errors = pd.DataFrame(np.concatenate(batches), columns=list(CLOUD_COLUMNS))
    finite = np.isfinite(errors[CLOUD_COLUMNS[0]])
    return errors.assign(reason=np.where(finite, "", "decodes to points that are not finite"))


def _cloud_pairs(
    decoded: Tensor,
    inputs: Tensor,
    target_um: Tensor,
    references: CloudReferences,
    row: int,
    model_config: Mapping[str, Any],
    sampling: dict,
) -> list[_Pair]:
    """Return the clouds to compare of one cell: of the error, of `REFERENCES`, and of the published error."""
    n_points, generator = sampling["n_points"], sampling["generator"]
    target = subsample(target_um, n_points, generator)
    decoded_um = to_points_um(decoded, model_config, **sampling)
    again, target_again = references.again_um(row), target
    if model_config["representation"] == "cube":
        again = to_points_um(inputs, model_config, **sampling)
    elif again is None and target_um.shape[1] >= 2 * n_points:
        order = torch.randperm(target_um.shape[1], generator=generator)
        again, target_again = target_um[:, order[:n_points]], target_um[:, order[n_points : 2 * n_points]]
    legacy = legacy_clouds(decoded, inputs, model_config, n_points, generator)
    drawn = [(again, target_again), (references.other_um(row), target), (references.mean_um, target)]
    # What there is not is NaN, and so are the distances from it.
    absent = torch.full_like(target, torch.nan)
    compared = [
        (absent if cloud is None else subsample(cloud, n_points, generator), side) for cloud, side in drawn
    ]
    return [(decoded_um, target), *compared, legacy]


def shape_errors(
    model: Autoencoder,
    cells: Cells,
    z: np.ndarray,
    pose: np.ndarray | None,
    model_config: Mapping[str, Any],
    embed_config: Mapping[str, Any],
    meshes: Sequence[FilePath],
    others: np.ndarray,
    mean: Mesh | None,
) -> pd.DataFrame:
    """Compare decoded surfaces with the masked meshes of the cells, in the observed frame.

    Returns `SHAPE_COLUMNS` (`mesh_errors`, `iou_legacy`), `reason`, `SHAPE_REFERENCES`, the errors of
    another cell of the same stratum (`other_cells`) and of the mean shape (`mean_mesh`) in place of a decoded
    shape, NaN where there is none; and for volumes `SHAPE_FLOORS`: the errors of the volume that the model
    read, a perfect autoencoder's, for its grid is coarser than the mesh.
    """
    representation = model_config["representation"]
    sizes = decode.model_sizes_um(cells.table, representation)
    errors, floors, batching = [], [], (embed_config["batch_size"], embed_config["precision"])
    every, references = cells.table.to_dict("records"), []
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
        for other, target in zip(others[rows], targets, strict=True):
            another = masked_mesh(every[other], meshes) if other >= 0 else None
            pairs = ((shape, target) for shape in (another, mean))
            references.append([error for pair in pairs for error in _reference_errors(*pair, embed_config)])
        if representation != "surface":
            inputs = cell_batch(cells, range(*rows.indices(len(cells))), model_config).x
            floors += map(partial(mesh_errors, embed_config=embed_config), to_shapes(inputs), targets)
        logger.info("reconstructed %d of %d test cells", len(errors), len(cells))
    table = pd.DataFrame(errors, columns=[*SHAPE_COLUMNS, "reason"])
    table[list(SHAPE_REFERENCES)] = references
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
    grid = common_grid([shape, target], embed_config["error_voxels"], embed_config["speck_share"])
    error = iou_error(voxelise(shape, grid), voxelise(target, grid))
    return error, mean_surface_distance_um(shape, target, n_points=embed_config["error_points"])


def _reference_errors(
    shape: Mesh | None, target: Mesh, embed_config: Mapping[str, Any]
) -> tuple[float, float]:
    return (np.nan, np.nan) if shape is None else mesh_errors(shape, target, embed_config)
