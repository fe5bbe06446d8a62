"""Batches of a training, for one process or several."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Sampler, SequentialSampler

from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.models.cells import EpochOrder, data_loader, open_cells


class DistributedOrder(Sampler[int]):
    """Every n-th cell of an order, for one of n processes: together they take its batches.

    The order is repeated from its start until all processes have as many cells; with unequal numbers, some
    would wait for ever.
    """

    def __init__(self, order: Sampler[int], rank: int, n_processes: int) -> None:
        self.order, self.rank, self.n_processes = order, rank, n_processes

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of an order that has epochs (called by Lightning)."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        rows = list(self.order)
        places = range(self.rank, len(self) * self.n_processes, self.n_processes)
        return iter([rows[place % len(rows)] for place in places])

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.n_processes)


class ResumedOrder(Sampler[int]):
    """An order that skips, in the epoch that was interrupted, the cells already trained on.

    Its length stays that of a whole epoch.
    """

    def __init__(self, order: Sampler[int], epoch: int, n_done: int) -> None:
        self.order, self.epoch, self.n_done, self.current_epoch = order, epoch, n_done, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch (called by Lightning)."""
        self.current_epoch = epoch
        self.order.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return islice(self.order, self.n_done if self.current_epoch == self.epoch else 0, None)

    def __len__(self) -> int:
        return len(self.order)


def batch_size_per_device(batch_size: int, devices: int) -> int:
    """Return the cells per step and device.

    Raises
    ------
    InputError
        When the batch cannot be divided evenly.
    """
    if batch_size % devices:
        uneven = f"training.batch_size = {batch_size} is no multiple of train.devices = {devices}"
        raise InputError(f"{uneven}; change it in the model's yaml, or take fewer devices.")
    return batch_size // devices


class Batches(pl.LightningDataModule):
    """Loaders of the splits train and val of sampled shards, opened in the process that trains.

    The seed is that of the order of training cells.
    """

    def __init__(
        self, manifest: FilePath, shards: Sequence[FilePath], model_config: Mapping[str, Any], seed: int
    ) -> None:
        super().__init__()
        self.manifest, self.shards, self.model_config, self.seed = manifest, list(shards), model_config, seed
        self._done = {"epoch": 0, "n_batches": 0}

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches trained on."""
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed
        return {"epoch": self.trainer.current_epoch, "n_batches": done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume from there."""
        self._done = dict(state)

    def _loader(self, split: str) -> DataLoader:
        cells = open_cells(self.manifest, self.shards, self.model_config, split)
        n_processes, is_training = self.trainer.world_size, split == "train"
        size = batch_size_per_device(self.model_config["training"]["batch_size"], n_processes)
        order = EpochOrder(len(cells), self.seed) if is_training else SequentialSampler(cells)
        if n_processes > 1:
            order = DistributedOrder(order, self.trainer.global_rank, n_processes)
        if is_training:
            order = ResumedOrder(order, self._done["epoch"], self._done["n_batches"] * size)
        pinned = self.trainer.strategy.root_device.type == "cuda"
        return data_loader(cells, self.model_config, batch_size=size, order=order, pinned=pinned)

    def train_dataloader(self) -> DataLoader:
        """Return batches of training cells in the epoch's order."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        """Return batches of validation cells in the order of the manifest."""
        return self._loader("val")
