"""Export embeddings: every cell as it is, and the test cells under many rotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from morphobench import models, seeds
from morphobench.embed.reconstruction import REASON, SHAPE_COLUMNS, cloud_errors, shape_errors
from morphobench.files import write_table
from morphobench.geometry import rotation
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.cells import POINT_CLOUDS, Cells, cell_batch, open_cells
from morphobench.models.decode import POSE_COLUMNS, VECTORS, VOLUMES, decoder_inputs
from morphobench.models.device import autocast, configure_torch, select_device


class Codes(NamedTuple):
    """What a model makes of cells under each of some rotations.

    Attributes
    ----------
    z
        The embedding, float32, shape (n_turns, n_cells, D).
    pose
        Canonical to observed frame, shape (n_turns, n_cells, 3, 3); None for a model without one.
    vectors
        What is decoded, where that is not z: vectors in the canonical frame, shape (n_turns, n_cells, D, 3).
    """

    z: np.ndarray
    pose: np.ndarray | None
    vectors: np.ndarray | None


def encode_cells(
    model: Autoencoder,
    cells: Cells,
    turns: np.ndarray,
    settings: Mapping[str, Any],
    *,
    batch_size: int,
    device: torch.device,
    subsample_seed: int = 0,
    precision: str = "32-true",
    decodable: bool = False,
) -> Codes:
    """Encode all cells under every rotation; cells are read once, and poses of a cell share a batch.

    Parameters
    ----------
    model, cells, settings
        Trained model, cells in its representation, content of its yaml.
    turns
        Rotations, shape (n_turns, 3, 3).
    batch_size
        Cells times rotations encoded together; no result depends on it beyond rounding.
    subsample_seed
        See `cell_batch`.
    precision
        See `autocast`.
    decodable
        Whether to return poses and vectors.
    """
    if not len(cells):
        return Codes(np.empty((len(turns), 0, model.latent_dim), np.float32), None, None)
    found: dict[str, np.ndarray] = {}
    for rows, some in _batches(len(cells), len(turns), batch_size):
        raw = cells.raw(range(len(cells))[rows])
        x = torch.cat(
            [
                cell_batch(
                    cells,
                    range(len(cells))[rows],
                    settings,
                    rotation=turn,
                    seed=subsample_seed,
                    raw=raw,
                ).x
                for turn in turns[some]
            ]
        ).to(device)
        with autocast(precision, device):
            encoded = _encoded(model, x, decodable)
        for name, tensor in encoded.items():
            array = tensor.float().cpu().numpy()
            whole = found.setdefault(name, np.empty((len(turns), len(cells), *array.shape[1:]), np.float32))
            part = whole[some, rows]
            part[...] = array.reshape(part.shape)
        if some.stop == len(turns):
            logger.info("encoded %d of %d cells under %d rotations", rows.stop, len(cells), len(turns))
    return Codes(*(found.get(name) for name in Codes._fields))


def _batches(n_cells: int, n_turns: int, batch_size: int) -> Iterator[tuple[slice, slice]]:
    """Yield which cells and which rotations go together, at most `batch_size` in all, evenly shared out."""
    n_together = min(n_turns, batch_size)
    for rows in _shares(n_cells, batch_size // n_together):
        for some in _shares(n_turns, n_together):
            yield rows, some


def _shares(n: int, most: int) -> list[slice]:
    return [slice(part[0], part[-1] + 1) for part in np.array_split(np.arange(n), -(-n // most))]


def _encoded(model: Autoencoder, x: torch.Tensor, decodable: bool) -> dict[str, torch.Tensor]:
    latent = model.encode_with_pose(x)
    found = {"z": latent.z}
    if decodable and latent.pose is not None:
        found["pose"] = latent.pose
    if decodable and type(model).decoder_input is not Autoencoder.decoder_input:
        found["vectors"] = model.decoder_input(x) @ latent.pose
    return found


def _table(cells: Cells, turns: np.ndarray, codes: Codes) -> pd.DataFrame:
    known = cells.table[["CellId", "group", "split"]]
    tables = []
    for index, turn in enumerate(turns):
        matrix = pd.DataFrame([turn.ravel()] * len(known), columns=rotation.MATRIX_COLUMNS)
        mu = pd.DataFrame(codes.z[index], columns=[f"mu_{i}" for i in range(codes.z.shape[2])])
        tables.append(pd.concat([known.assign(rotation=index), matrix, mu], axis=1))
    table = pd.concat(tables, ignore_index=True)
    if codes.pose is not None:
        poses = codes.pose.reshape(-1, 9).astype(np.float64)
        table = pd.concat([table, pd.DataFrame(poses, columns=POSE_COLUMNS)], axis=1)
    if codes.vectors is not None:
        table[VECTORS] = list(codes.vectors.reshape(len(table), -1))
    return table


@torch.inference_mode()
def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    model_path: str | Path,
    out: str | Path,
    *,
    meshes: Sequence[str | Path] = (),
    pose: str,
    dataset: str,
    settings: Mapping[str, Any],
    side_um: float | None,
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write the embedding table of one model and one pose set.

    Pose "identity" holds every cell, with reconstruction errors for the test cells; the others hold the test
    cells once per rotation. Columns: CellId, group, split, rotation (index in the pose set), r_00 ... r_22
    (the matrix), mu_0 ... mu_{D-1}. Pose "identity" adds pose_00 ... pose_22 (canonical to observed frame) of
    models with a pose; `vectors` (x, y, z of each of D, canonical frame) of the implicit model, whose mu are
    their lengths and do not hold the shape; and the errors: `reconstruction.CLOUD_COLUMNS`, or, where the
    model decodes surfaces, SHAPE_COLUMNS and the reason where they are NaN.

    Parameters
    ----------
    manifest, shards
        Of stage `sample`.
    model_path
        Trained model.
    out
        Parquet file to write.
    meshes
        Shard folders of stage `mask` with the surfaces to compare with; without them, surfaces get no error.
    pose
        "identity", "lattice" or "uniform".
    dataset, seed
        Parts of the seed of what is drawn.
    settings
        Section `embed` of the configuration.
    side_um
        Side of the dataset's cubes, micrometres; None without cubes.
    accelerator
        See `select_device`.
    threads
        Of torch.
    """
    configure_torch(threads)
    model, model_settings = models.load(model_path)
    device = select_device(accelerator)
    model = model.export().to(device)
    identity = pose == "identity"
    cells = open_cells(manifest, shards, model_settings, None if identity else "test", required=identity)
    turns = rotation.of_pose(pose, settings["n_uniform"], seed, dataset)
    codes = encode_cells(
        model,
        cells,
        turns,
        model_settings,
        batch_size=settings["batch_size"],
        device=device,
        subsample_seed=seeds.integer(seed, dataset, "embed"),
        precision=settings["precision"],
        decodable=identity,
    )
    table = _table(cells, turns, codes)
    if identity and (table["split"] == "test").any():
        test = open_cells(manifest, shards, model_settings, "test")
        codes_of_test = decoder_inputs(table.set_index("CellId").loc[test.table["CellId"]])
        if model_settings["representation"] in VOLUMES:
            measured = _shape_errors(model, test, meshes, *codes_of_test, model_settings, settings)
        else:
            clouds = open_cells(manifest, shards, POINT_CLOUDS, "test")
            place = {"dataset": dataset, "side_um": side_um, "seed": seed}
            measured = cloud_errors(model, test, clouds, *codes_of_test, model_settings, settings, **place)
        measured = measured.assign(CellId=test.table["CellId"])
        table = table.merge(measured, on="CellId", how="left", validate="1:1")
    write_table(table, out)


def _shape_errors(model: Autoencoder, cells: Cells, meshes: Sequence[str | Path], *rest: Any) -> pd.DataFrame:
    if meshes:
        return shape_errors(model, cells, meshes, *rest)
    reason = "no masked surface to compare with"
    logger.warning("%s: the reconstruction error stays empty", reason)
    empty = dict.fromkeys(SHAPE_COLUMNS, np.nan)
    return pd.DataFrame({**empty, REASON: reason}, index=range(len(cells)))
