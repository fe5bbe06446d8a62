"""What happened in each epoch of a training; from it, what is worth a checkpoint and when to stop."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from morphobench.files import atomic_file
from morphobench.log import bar, logger
from morphobench.models.inputs import Batch
from morphobench.train.record import peak_memory_mib

BEST, LAST = "best.ckpt", "last.ckpt"


def finished(val_losses: Sequence[float], patience: int, min_epochs: int) -> bool:
    """Tell whether early stopping ends a training: `patience` epochs without a new lowest validation loss.

    A function of the losses alone, so that an interrupted training stops where it would have stopped.
    """
    best = min(range(len(val_losses)), key=val_losses.__getitem__, default=0)
    return len(val_losses) >= min_epochs and len(val_losses) - 1 - best >= patience


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    )


class EndedEarly(Exception):
    """What ends a training that was told to end; unlike SystemExit, a failure in every process."""


class Told:
    """Whether this process was told to end: by a scheduler whose time is up, or by a person."""

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def listen(self) -> None:
        """Take note of the signals from now on, and hand them on to the processes that train for this one."""
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.by = signal.Signals(number)
        for child in multiprocessing.active_children():
            os.kill(child.pid, number)


class History(Callback):
    """Losses, seconds and memory of every epoch; it keeps the checkpoints and ends the training.

    A training that is told to end stops after the batch at hand, with a checkpoint of that moment; so that a
    lost machine costs little, there is one every `save_every_s` seconds too.

    Lightning's own callbacks for the two forget, in a resumed training, that it had stopped, and which
    checkpoint was the best one when the results have moved to another folder.
    """

    def __init__(self, folder: Path, patience: int, min_epochs: int, save_every_s: float) -> None:
        self.folder, self.patience, self.min_epochs = folder, patience, min_epochs
        self.save_every_s = save_every_s
        self.rows: list[dict[str, float]] = []
        self.told = Told()
        self._start = self._shown = self._saved = time.perf_counter()
        self._seconds, self._loss = 0.0, torch.zeros(2)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far and, of an epoch that has not ended, its seconds and sum of losses."""
        spent = self._seconds + time.perf_counter() - self._start
        return {"rows": self.rows, "seconds": spent, "loss": self._loss.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over from an interrupted run."""
        self.rows = list(state["rows"])
        self._seconds, self._loss = state["seconds"], state["loss"]

    def _finished(self) -> bool:
        return finished([row["val_loss"] for row in self.rows], self.patience, self.min_epochs)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop at once when the training that is resumed had come to its end."""
        trainer.should_stop = self._finished()
        # In place of Lightning's, which would end the training without a checkpoint.
        self.told.listen()
        self._start = self._saved = time.perf_counter()
        self._loss = self._loss.to(module.device)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock and the sums of an epoch."""
        self._start, self._seconds = time.perf_counter(), 0.0
        self._loss = torch.zeros_like(self._loss)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add up the loss, for an epoch may be trained in parts; save when told to end, or after a while."""
        n_cells = len(batch.x)
        self._loss += torch.stack(
            [outputs["loss"].detach().float() * n_cells, self._loss.new_tensor(n_cells)]
        )
        if trainer.is_last_batch:  # the epoch's own end is near, and with it a checkpoint
            return
        told = self._agreed(trainer, self.told.by is not None)
        if told or self._agreed(trainer, time.perf_counter() - self._saved > self.save_every_s):
            self._save(trainer, LAST)
        if told:
            self._stop(f"in epoch {trainer.current_epoch + 1}, after {batch_idx + 1} batches of it")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Note an epoch, save it and decide whether to go on."""
        seconds = self._seconds + time.perf_counter() - self._start
        total, n_cells = trainer.strategy.reduce(self._loss, reduce_op="sum").tolist()
        losses = {"train_loss": total / n_cells, "val_loss": float(trainer.callback_metrics["val/loss"])}
        is_best = losses["val_loss"] < min((row["val_loss"] for row in self.rows), default=float("inf"))
        measured = {"seconds": seconds, "peak_memory_mib": peak_memory_mib(module.device)}
        self.rows.append({"epoch": trainer.current_epoch, **losses, **measured})
        for name in (BEST, LAST) if is_best else (LAST,):
            self._save(trainer, name)
        trainer.should_stop = self._finished()
        self._tell(trainer)
        if self._agreed(trainer, self.told.by is not None) and not self._over(trainer):
            self._stop(f"after epoch {trainer.current_epoch + 1}")

    def _over(self, trainer: pl.Trainer) -> bool:
        return trainer.should_stop or len(self.rows) == trainer.max_epochs

    def _agreed(self, trainer: pl.Trainer, mine: bool) -> bool:
        """Tell all processes of the training what any of them found."""
        return mine if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(mine, all=False)

    def _stop(self, where: str) -> None:
        name = self.told.by.name if self.told.by else "another process"
        logger.warning("told to end (%s): stopped %s, with a checkpoint to go on from", name, where)
        raise EndedEarly

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        if not trainer.is_global_zero:
            # All processes take part in saving, though the first alone writes.
            trainer.save_checkpoint(self.folder / name)
            return
        with atomic_file(self.folder / name) as part:
            trainer.save_checkpoint(part)
        self._saved = time.perf_counter()

    def _tell(self, trainer: pl.Trainer) -> None:
        row = self.rows[-1]
        done, planned = row["epoch"] + 1, trainer.max_epochs
        if time.perf_counter() - self._shown > 10 or done in (1, planned):
            self._shown = time.perf_counter()
            left = (planned - done) * row["seconds"]
            shown, at_most = bar(done, planned), _clock(left)
            loss = row["val_loss"]
            logger.info(
                "%s epoch %d of %d, val loss %.4g, at most %s left", shown, done, planned, loss, at_most
            )


def _readable(path: Path) -> bool:
    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a half-written file fails in as many ways as there are bytes in it
        logger.warning("checkpoint %s is not readable (%s); not used", path, type(error).__name__)
        return False
    return True


def resumable(folder: Path) -> Path | None:
    """Return the checkpoint that an interrupted training goes on from, or None to start anew.

    The last one, or the best if the last is damaged; none if the best is, which could not be given back.
    """
    best, last = folder / BEST, folder / LAST
    usable = last.exists() and _readable(last)
    if usable and not rows_of(last):  # left in its first epoch, before anything could be the best
        return last
    if not best.exists() or not _readable(best):
        return None
    return last if usable else best


def rows_of(checkpoint: Path) -> list[dict[str, float]]:
    """Return one row per epoch (losses, seconds, memory) that a checkpoint has behind it."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    return state["callbacks"][History.__qualname__]["rows"]
