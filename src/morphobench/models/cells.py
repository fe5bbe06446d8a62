"""From shard arrays to batches: memory-mapped reading, one seeded order for every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import read_array, read_table
from morphobench.log import logger
from morphobench.models.inputs import INTENSITY, Batch, arrays_of, drawn, to_batch, turned

# What to open for the clouds alone, whatever a model reads.
CLOUDS: Mapping[str, Any] = {"representation": "points"}


class Cells(Dataset):
    """The successfully sampled cells of a manifest, read from the shards in batches.

    Parameters
    ----------
    manifest
        Rows with columns CellId, split, shard, index, success.
    shards
        Folder of each shard number.
    settings
        Content of a model's yaml, or `CLOUDS`.

    Raises
    ------
    InputError
        When a cell's structure has no range for the intensities that the settings ask for.
    """

    def __init__(
        self, manifest: pd.DataFrame, shards: Mapping[int, Path], settings: Mapping[str, Any]
    ) -> None:
        self.table = manifest[manifest["success"]].reset_index(drop=True)
        self._shard = self.table["shard"].to_numpy()
        self._index = self.table["index"].to_numpy()
        self._ranges = _intensity_ranges(self.table, settings)
        self._arrays = {
            name: {
                number: read_array(folder, name)
                for number, folder in shards.items()
                if number in set(self._shard)
            }
            for name in arrays_of(settings)
        }

    def __len__(self) -> int:
        return len(self.table)

    def raw(self, rows: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Return the stored arrays of these rows by name, stacked; see `inputs.to_batch`."""
        found = {
            name: np.stack([arrays[self._shard[row]][self._index[row]] for row in rows])
            for name, arrays in self._arrays.items()
        }
        if self._ranges is not None:
            low, high = self._ranges[np.asarray(rows)].T
            found[INTENSITY] = (found[INTENSITY] - low[:, None]) / (high - low)[:, None]
        return found

    def __getitems__(self, rows: list[int]) -> dict[str, np.ndarray]:
        return self.raw(rows)


def _intensity_ranges(table: pd.DataFrame, settings: Mapping[str, Any]) -> np.ndarray | None:
    """Return the range of each cell's structure, camera counts, shape (n, 2); None if counts stay counts."""
    norms = (settings.get(INTENSITY) or {}).get("structure_norms")
    if not norms:
        return None
    strangers = sorted(set(table["structure_name"]) - set(norms))
    if strangers:
        raise InputError(
            f"structure {strangers[0]} has no range of intensities. Add it to structure_norms in the data "
            "set's yaml, or set intensity.structure_norm to false in the model's."
        )
    return np.array([norms[name] for name in table["structure_name"]], dtype=np.float32)


def open_cells(
    manifest: str | Path,
    shards: Sequence[str | Path],
    settings: Mapping[str, Any],
    split: str | None = None,
    needed: bool = True,
) -> Cells:
    """Open the cells of a manifest file, all or those of one split; shard number = place in `shards`.

    Raises
    ------
    InputError
        When no cell is left, though one is `needed`.
    """
    table = read_table(manifest)
    if split is not None:
        table = table[table["split"] == split]
    cells = Cells(table, {number: Path(folder) for number, folder in enumerate(shards)}, settings)
    if not len(cells):
        problem = f"{manifest}: no sampled cell in split {split or 'any'}; see the column `error` in it."
        if needed:
            raise InputError(problem)
        logger.warning("%s", problem)
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


def loader(
    cells: Cells, settings: Mapping[str, Any], *, batch_size: int, order_seed: int | None = None
) -> DataLoader:
    """Make a loader of batches in model units; with `order_seed` each epoch has its own seeded order."""
    sampler = None if order_seed is None else EpochOrder(len(cells), order_seed)
    # In the loader, where it overlaps with the training step.
    collate = partial(to_batch, settings=settings)
    return DataLoader(cells, batch_size=batch_size, sampler=sampler, shuffle=False, collate_fn=collate)


def cell_batch(
    cells: Cells,
    rows: Sequence[int] | np.ndarray,
    settings: Mapping[str, Any],
    *,
    turn: np.ndarray | None = None,
    draw_seed: int = 0,
    raw: Mapping[str, np.ndarray] | None = None,
) -> Batch:
    """Return cells as a model is to be judged on them, in model units.

    Parameters
    ----------
    cells, rows
        Which cells.
    settings
        Content of the model's yaml.
    turn
        Rotation, shape (3, 3), of all of them; None for none.
    draw_seed
        With the CellId, seed of what is drawn from a stored cloud: the same for every rotation and batch.
    raw
        Their stored arrays, where the caller has read them already.
    """
    raw = cells.raw(rows) if raw is None else raw
    batch = to_batch(raw if turn is None else turned(raw, turn, settings), settings)
    if not settings.get("draw"):
        return batch
    own = [seeds.integer(draw_seed, cells.table["CellId"][row]) for row in rows]
    ones = zip(*(part.split(1) for part in batch if part is not None), strict=True)
    drawings = [
        drawn(Batch(*one), settings, torch.Generator().manual_seed(seed))
        for one, seed in zip(ones, own, strict=True)
    ]
    return Batch(*(None if parts[0] is None else torch.cat(parts) for parts in zip(*drawings, strict=True)))
