"""Stored cells of a manifest, memory-mapped, and the loader of their batches."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, intensities, read_array, read_table
from morphobench.files.file_rows import FileRows
from morphobench.files.layout import stored_centres
from morphobench.files.tables import missing_split
from morphobench.geometry.packing import rasterise
from morphobench.geometry.rotation import rotate_points
from morphobench.log import logger
from morphobench.models.inputs import (
    INTENSITY,
    Arrays,
    Batch,
    Config,
    on_lattice,
    required_arrays,
    rotate_arrays,
    subsample,
    to_batch,
)

# In place of a model's configuration: reads the point clouds alone.
POINT_CLOUDS: Config = {"representation": "points"}


class Cells(Dataset):
    """The successfully sampled cells of a manifest, with the arrays that a model reads.

    Parameters
    ----------
    manifest
        Columns CellId, split, shard, index (row in the shard) and success.
    shards
        Folder of each shard number.
    model_config
        Content of the model's yaml, or `POINT_CLOUDS`.
    cube
        For packings, the arguments of `rasterise` with which their cubes were made.

    Raises
    ------
    InputError
        When a structure has no range for intensities normalised by structure.
    """

    def __init__(
        self,
        manifest: pd.DataFrame,
        shards: Mapping[int, Path],
        model_config: Config,
        cube: Config | None = None,
    ) -> None:
        self.table = manifest[manifest["success"]].reset_index(drop=True)
        self._shard = self.table["shard"].to_numpy()
        self._index = self.table["index"].to_numpy()
        self._ranges = intensities.ranges(self.table, model_config.get(INTENSITY))
        self._model_config, self._cube = model_config, cube
        self._shards = used = {number: shards[number] for number in shards if number in set(self._shard)}
        names = required_arrays(model_config)
        self._arrays = {name: {i: read_array(folder, name) for i, folder in used.items()} for name in names}

    def __len__(self) -> int:
        return len(self.table)

    def without(self, cell_ids: Iterable[str]) -> Self:
        """Return these cells but for some."""
        table = self.table[~self.table["CellId"].isin(set(cell_ids))]
        return type(self)(table, self._shards, self._model_config, self._cube)

    def raw(self, rows: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Return the stored arrays of these rows by name, stacked; see `inputs.to_batch`."""
        places = [(self._shard[row], self._index[row]) for row in rows]
        raw = {name: np.stack([of[i][j] for i, j in places]) for name, of in self._arrays.items()}
        if self._ranges is not None:
            low, high = self._ranges[np.asarray(rows)].T
            raw[INTENSITY] = intensities.within(raw[INTENSITY], low[:, None], high[:, None])
        return raw

    def centres_um(self, row: int) -> np.ndarray:
        """Return the spheres of a packing, shape (n, 3)."""
        return stored_centres(self._shards[self._shard[row]], self.table.iloc[row])

    def rotated(self, rows: Sequence[int], raw: Arrays, rotation: np.ndarray, back: bool) -> Arrays:
        """Rotate the stored arrays of these rows, and `back` again, by one rotation or each by its own.

        Cubes of packings are drawn anew of the rotated spheres, other volumes resampled (`rotate_arrays`).
        """
        inverse = np.swapaxes(rotation, -1, -2)
        if self._cube is None or "cube" not in raw or on_lattice(rotation):
            arrays = rotate_arrays(raw, rotation, self._model_config)
            return rotate_arrays(arrays, inverse, self._model_config) if back else arrays
        matrices = np.broadcast_to(inverse @ rotation if back else rotation, (len(rows), 3, 3))
        clouds_um = (
            rotate_points(self.centres_um(row), one) for row, one in zip(rows, matrices, strict=True)
        )
        return {"cube": np.stack([rasterise(cloud_um, **self._cube) for cloud_um in clouds_um])}

    def digest(self) -> str:
        """Return the SHA-256 of the arrays of these cells in their order, and of nothing else about them."""
        found = hashlib.sha256(b"" if self._ranges is None else self._ranges.tobytes())
        for name, of in self._arrays.items():
            for shard, index in zip(self._shard, self._index, strict=True):
                if isinstance(of[shard], FileRows):
                    found.update(of[shard].identity(index))
                else:
                    row = np.ascontiguousarray(of[shard][index])
                    found.update(f"{name}{row.dtype}{row.shape}".encode())
                    found.update(row)
        return found.hexdigest()

    def __getitems__(self, rows: list[int]) -> dict[str, np.ndarray]:
        return self.raw(rows)


def with_intensity_scale(model_config: Config, cells: Cells, most_cells: int) -> dict[str, Any]:
    """Return a model's configuration with a factor for its intensities, from training cells if none is set.

    It is measured on up to `most_cells`: the same cells give the same factor. What it was measured on stands
    beside it.
    """
    intensity = model_config.get(INTENSITY)
    if not intensity or intensity.get("input_scale") is not None:
        return dict(model_config)
    rows = intensities.chosen_rows(cells.table["CellId"].tolist(), most_cells)
    clouds = (cells.raw([row]) for row in rows)
    measured = intensities.measure(
        ((raw["points_um"], raw[INTENSITY]) for raw in clouds), intensity["quantile"]
    )
    factor = measured.factor(model_config["input_scale"])
    logger.info("intensities are multiplied by %.4g, from %d training cells", factor, measured.n_cells)
    measurement = {"quantile": intensity["quantile"], **measured._asdict()}
    return {**model_config, INTENSITY: {**intensity, "input_scale": factor, "measured": measurement}}


def open_cells(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_config: Config,
    split: str | None = None,
    required: bool = True,
    cube: Config | None = None,
) -> Cells:
    """Open the cells of a manifest file, of one split or all; shard numbers count `shards` from 0.

    For `cube`, see `Cells`.

    Raises
    ------
    InputError
        When no cell is left, unless not `required`.
    """
    table = whole = read_table(manifest)
    if split is not None:
        table = table[table["split"] == split]
    cells = Cells(table, {number: Path(folder) for number, folder in enumerate(shards)}, model_config, cube)
    if not len(cells):
        reason = missing_split(whole, split) if split else "no cell is usable; see the column `error` in it."
        problem = f"{manifest}: {reason}"
        if required:
            raise InputError(problem)
        logger.warning("%s", problem)
    return cells


class EpochOrder(Sampler[int]):
    """A permutation that depends on seed and epoch alone, so that a resumed training repeats it."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch (called by Lightning)."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(seeds.integer(self.seed, "order", self.epoch))
        return iter(rng.permutation(self.n).tolist())

    def __len__(self) -> int:
        return self.n


def data_loader(
    cells: Cells,
    model_config: Config,
    *,
    batch_size: int,
    order: Sampler[int] | None = None,
    pinned: bool = False,
) -> DataLoader:
    """Return a loader of batches in model units, in the order given or that of the manifest.

    Batches in pinned memory reach a GPU while it computes.
    """
    # In the loader, where it overlaps with the training step.
    collate = partial(to_batch, model_config=model_config)
    return DataLoader(cells, batch_size=batch_size, sampler=order, collate_fn=collate, pin_memory=pinned)


def cell_batch(
    cells: Cells,
    rows: Sequence[int] | np.ndarray,
    model_config: Config,
    *,
    rotation: np.ndarray | None = None,
    back: bool = False,
    seed: int = 0,
    raw: Arrays | None = None,
) -> Batch:
    """Return the batch of these rows for evaluation, in model units.

    Cells are rotated by `rotation`, shape (3, 3) or (n, 3, 3), and with `back` by its inverse too: what
    resampling alone does. Points are subsampled by `seed` and CellId, so alike for every rotation and batch.
    `raw` holds the stored arrays where the caller has read them already.
    """
    raw = cells.raw(rows) if raw is None else raw
    batch = to_batch(raw if rotation is None else cells.rotated(rows, raw, rotation, back), model_config)
    if not model_config.get("subsample"):
        return batch
    return subsample_each(batch, cells.table["CellId"].iloc[list(rows)], model_config, seed)


def subsample_each(batch: Batch, cell_ids: Iterable[str], model_config: Config, seed: int) -> Batch:
    """Subsample each cell of a batch by `seed` and its CellId; see `subsample`."""
    if not model_config.get("subsample"):
        return batch
    parts = zip(*(part.split(1) for part in batch if part is not None), strict=True)
    subsampled = [
        subsample(Batch(*part), model_config, torch.Generator().manual_seed(seeds.integer(seed, cell)))
        for part, cell in zip(parts, cell_ids, strict=True)
    ]
    return Batch(*(None if part[0] is None else torch.cat(part) for part in zip(*subsampled, strict=True)))
