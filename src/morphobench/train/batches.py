"""The batches of a training, on one device or dealt out to several processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Sampler

from morphobench.errors import InputError
from morphobench.models.cells import data_loader, open_cells


class Share(Sampler[int]):
    """What one of several processes sees of an order: every n-th cell, so that together they see the order.

    Their batches at a step are then the cells of one batch on a single device. The order is continued from
    its start until all processes have as many cells: unequal numbers would leave some waiting for ever.
    """

    def __init__(self, order: Sampler[int], rank: int, n_processes: int) -> None:
        self.order, self.rank, self.n_processes = order, rank, n_processes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of an order that has epochs (Lightning calls this before each)."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        rows = list(self.order)
        places = range(self.rank, len(self) * self.n_processes, self.n_processes)
        return iter([rows[place % len(rows)] for place in places])

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.n_processes)


class Rest(Sampler[int]):
    """An order of which one epoch was left in its middle: there it starts after the cells already seen.

    Its length stays that of the whole, which is how many cells an epoch has.
    """

    def __init__(self, order: Sampler[int], epoch: int, n_seen: int) -> None:
        self.order, self.epoch, self.n_seen = order, epoch, n_seen
        self.now = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the order (Lightning calls this before each)."""
        self.now = epoch
        self.order.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return islice(self.order, self.n_seen if self.now == self.epoch else 0, None)

    def __len__(self) -> int:
        return len(self.order)


def share_of_batch(batch_size: int, devices: int) -> int:
    """Return the cells per step of each device, so that all together take `batch_size`.

    Raises
    ------
    InputError
        When the batch cannot be divided evenly.
    """
    if batch_size % devices:
        raise InputError(
            f"training.batch_size = {batch_size} cannot be shared evenly by train.devices = {devices}. "
            f"Choose a batch size that is a multiple of {devices} in the model's yaml, or fewer devices."
        )
    return batch_size // devices


class Batches(pl.LightningDataModule):
    """Loaders of the splits train and val, opened in the process that trains.

    Parameters
    ----------
    manifest, shards
        Cell table with splits, and the shard folders of stage sample in order.
    settings
        Content of the model's yaml.
    order_seed
        Seed of the order of training cells in every epoch.
    """

    def __init__(
        self,
        manifest: str | Path,
        shards: Sequence[str | Path],
        settings: Mapping[str, Any],
        order_seed: int,
    ) -> None:
        super().__init__()
        self.manifest, self.shards = manifest, list(shards)
        self.model_settings, self.order_seed = settings, order_seed
        self._left = {"epoch": 0, "n_batches": 0}

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of which epoch have been trained on."""
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed
        return {"epoch": self.trainer.current_epoch, "n_batches": done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self._left = dict(state)

    def _loader(self, split: str, order_seed: int | None) -> DataLoader:
        settings, n_processes = self.model_settings, self.trainer.world_size
        made = data_loader(
            open_cells(self.manifest, self.shards, settings, split),
            settings,
            batch_size=share_of_batch(settings["training"]["batch_size"], n_processes),
            order_seed=order_seed,
        )
        order = made.sampler
        if n_processes > 1:
            order = Share(order, self.trainer.global_rank, n_processes)
        if order_seed is not None:
            order = Rest(order, self._left["epoch"], self._left["n_batches"] * made.batch_size)
        return DataLoader(made.dataset, made.batch_size, sampler=order, collate_fn=made.collate_fn)

    def train_dataloader(self) -> DataLoader:
        """Return batches of training cells in the epoch's order."""
        return self._loader("train", self.order_seed)

    def val_dataloader(self) -> DataLoader:
        """Return batches of validation cells in the order of the manifest."""
        return self._loader("val", None)
