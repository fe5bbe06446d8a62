"""Embeddings of all cells as they are, and of the test cells under rotations."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from morphobench import seeds
from morphobench.embed import freeze
from morphobench.files import FilePath, write_table
from morphobench.files.tables import embedding_table
from morphobench.geometry import rotation
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, cell_batch, open_cells
from morphobench.models.decode import POSE_COLUMNS, VECTORS
from morphobench.models.device import autocast, load_for_inference, model_device
from morphobench.models.encode import encode_batch


class Encoded(NamedTuple):
    """Embeddings, poses and vectors of cells under rotations, float32.

    Attributes
    ----------
    z
        Shape (n_rotations, n_cells, D).
    pose
        Canonical to observed frame, shape (n_rotations, n_cells, 3, 3); None for a model without one.
    vectors
        Input of the implicit model's decoder, canonical frame, shape (n_rotations, n_cells, D, 3); else None.
    """

    z: np.ndarray
    pose: np.ndarray | None
    vectors: np.ndarray | None


def encode_cells(
    model: Autoencoder,
    cells: Cells,
    rotations: np.ndarray,
    model_config: Mapping[str, Any],
    *,
    batch_size: int,
    back: bool = False,
    subsample_seed: int = 0,
    precision: str = "32-true",
    decoder_inputs: bool = False,
) -> Encoded:
    """Encode n cells under their rotations (k, n, 3, 3); cells are read once, those of one share a batch.

    With `back`, each is rotated back again. `batch_size` counts cells times rotations; no result depends on
    it beyond rounding. Poses and vectors are returned with `decoder_inputs` alone. See `cell_batch` for
    `subsample_seed`, `autocast` for `precision`.
    """
    if not len(cells):
        return Encoded(np.empty((len(rotations), 0, model.latent_dim), np.float32), None, None)
    arrays: dict[str, np.ndarray] = {}
    device = model_device(model)
    for rows, some in _batches(len(cells), len(rotations), batch_size):
        numbers = range(len(cells))[rows]
        raw = cells.raw(numbers)
        batch = partial(cell_batch, cells, numbers, model_config, seed=subsample_seed, raw=raw, back=back)
        x = torch.cat([batch(rotation=matrices).x for matrices in rotations[some, rows]]).to(device)
        with autocast(precision, device):
            encoded = encode_batch(model, x) if decoder_inputs else {"z": model.encode(x)}
        for name, tensor in encoded.items():
            values = tensor.float().cpu().numpy()
            shape = (len(rotations), len(cells), *values.shape[1:])
            part = arrays.setdefault(name, np.empty(shape, np.float32))[some, rows]
            part[...] = values.reshape(part.shape)
        if some.stop == len(rotations):
            logger.info("encoded %d of %d cells under %d rotations", rows.stop, len(cells), len(rotations))
    return Encoded(*(arrays.get(name) for name in Encoded._fields))


def _batches(n_cells: int, n_rotations: int, batch_size: int) -> Iterator[tuple[slice, slice]]:
    """Return rows and rotations of each batch, at most `batch_size` in all and of nearly equal sizes."""
    n_together = min(n_rotations, batch_size)
    cells = _equal_parts(n_cells, batch_size // n_together)
    return itertools.product(cells, _equal_parts(n_rotations, n_together))


def _equal_parts(n: int, largest: int) -> list[slice]:
    return [slice(part[0], part[-1] + 1) for part in np.array_split(np.arange(n), -(-n // largest))]


@torch.inference_mode()
def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    out: FilePath,
    *,
    rotations: str,
    cube: Mapping[str, Any] | None = None,
    frozen: FilePath | None = None,
    dataset: str,
    embed_config: Mapping[str, Any],
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write the embedding table (`embedding_table`) of one model under one set of rotations.

    The set "identity" has every cell, "lattice" and "uniform" the test cells. "uniform" also has each cell
    rotated by its first rotation and back (column `rotated_back`), which differs from "identity" by what
    resampling does alone; for `cube`, of packings, see `Cells`. "identity" also has pose_00 ...
    pose_22 (canonical to observed frame) of models with a pose, and `vectors` (x, y, z of each of D,
    canonical frame) of the implicit model, whose mu are their lengths and do not hold the shape. Cells of
    the table `frozen` keep their rows and are not encoded.
    """
    model, model_config = load_for_inference(model_path, accelerator, threads)
    identity = rotations == "identity"
    cells = open_cells(
        manifest, shards, model_config, None if identity else "test", required=identity, cube=cube
    )
    kept = freeze.kept_rows(frozen, cells.table) if frozen else None
    if kept is not None:
        cells = cells.without(kept["CellId"])
    matrices = rotation.rotation_sets(
        rotations, cells.table["CellId"], embed_config["n_uniform"], seed, dataset
    )
    options = {key: embed_config[key] for key in ("batch_size", "precision")}
    options |= {"subsample_seed": seeds.integer(seed, dataset, "embed"), "decoder_inputs": identity}
    encoded = encode_cells(model, cells, matrices, model_config, **options)
    table = embedding_table(cells.table, matrices, encoded.z)
    if rotations == "uniform":
        back = encode_cells(model, cells, matrices[:1], model_config, **options, back=True)
        parts = [(matrices, encoded.z, False), (matrices[:1], back.z, True)]
        tables = [embedding_table(cells.table, *part[:2], rotated_back=part[2]) for part in parts]
        table = pd.concat(tables, ignore_index=True)
    if encoded.pose is not None:
        table[POSE_COLUMNS] = encoded.pose.reshape(-1, 9).astype(np.float64)
    if encoded.vectors is not None:
        table[VECTORS] = list(encoded.vectors.reshape(len(table), -1))
    write_table(table if kept is None else freeze.with_kept(table, kept, len(matrices)), out)
