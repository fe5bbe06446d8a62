"""From shard arrays to batches: memory-mapped reading, normalisation, one seeded order for every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import read_array, read_table

ARRAYS = {"points": "points_um", "cube": "cube"}


def normalise(raw: np.ndarray, representation: str, input_scale: float) -> torch.Tensor:
    """Turn stored arrays into a batch in model units.

    Parameters
    ----------
    raw
        "points": (batch, n_points, 3), micrometres; "cube": (batch, s, s, s), counts.
    representation
        "points" or "cube".
    input_scale
        Points: model units per micrometre. Cube: factor on the z-scored counts.

    Returns
    -------
    torch.Tensor
        float32, (batch, n_points, 3) or (batch, 1, s, s, s).
    """
    x = torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))
    if representation == "points":
        return x * input_scale
    flat = x.flatten(1)
    std, mean = torch.std_mean(flat, dim=1, keepdim=True)
    z = (flat - mean) / std.clamp_min(1e-6)
    return (z * input_scale).view_as(x).unsqueeze(1)


class Cells(Dataset):
    """The successfully sampled cells of a manifest, read from the shards in batches.

    Parameters
    ----------
    manifest
        Rows with columns CellId, split, shard, index, success.
    shards
        Folder of each shard number.
    representation
        "points" or "cube".
    """

    def __init__(self, manifest: pd.DataFrame, shards: Mapping[int, Path], representation: str) -> None:
        self.table = manifest[manifest["success"]].reset_index(drop=True)
        self._shard = self.table["shard"].to_numpy()
        self._index = self.table["index"].to_numpy()
        self._arrays = {
            number: read_array(folder, ARRAYS[representation])
            for number, folder in shards.items()
            if number in set(self._shard)
        }

    def __len__(self) -> int:
        return len(self.table)

    def raw(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the stored arrays of these rows, stacked: points in micrometres or counts."""
        return np.stack([self._arrays[self._shard[row]][self._index[row]] for row in rows])

    def __getitems__(self, rows: list[int]) -> np.ndarray:
        return self.raw(rows)


def open_cells(
    manifest: str | Path, shards: Sequence[str | Path], representation: str, split: str | None = None
) -> Cells:
    """Open the cells of a manifest file, all or those of one split; shard number = place in `shards`.

    Raises
    ------
    InputError
        When no cell is left.
    """
    table = read_table(manifest)
    if split is not None:
        table = table[table["split"] == split]
    cells = Cells(table, {number: Path(folder) for number, folder in enumerate(shards)}, representation)
    if not len(cells):
        raise InputError(
            f"{manifest}: no sampled cell in split {split or 'any'}; see the column `error` in it."
        )
    return cells


class EpochOrder(Sampler[int]):
    """A permutation that depends on seed and epoch alone, so that a resumed training sees the same."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (Lightning calls this before each)."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(seeds.integer(self.seed, "order", self.epoch))
        return iter(rng.permutation(self.n).tolist())

    def __len__(self) -> int:
        return self.n


class _Collate:
    """Normalise a batch in the loader, where it overlaps with the training step."""

    def __init__(self, representation: str, input_scale: float) -> None:
        self.representation, self.input_scale = representation, input_scale

    def __call__(self, raw: np.ndarray) -> torch.Tensor:
        return normalise(raw, self.representation, self.input_scale)


def loader(cells: Cells, settings: Mapping, *, batch_size: int, order_seed: int | None = None) -> DataLoader:
    """Make a loader of normalised batches; with `order_seed` each epoch has its own seeded order."""
    sampler = None if order_seed is None else EpochOrder(len(cells), order_seed)
    collate = _Collate(settings["representation"], settings["input_scale"])
    return DataLoader(cells, batch_size=batch_size, sampler=sampler, shuffle=False, collate_fn=collate)
