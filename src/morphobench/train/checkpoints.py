"""Checkpoints, curves and early stopping of a training; resuming it after an interruption."""

import io
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback

from morphobench.files import FilePath, atomic_file, limits
from morphobench.log import bar, logger
from morphobench.models.inputs import Batch
from morphobench.train.record import peak_memory_mib

BEST, LAST = "best.ckpt", "last.ckpt"
_LOG_EVERY_S = 10
# Without these, Lightning cannot resume a training.
_OF_A_TRAINING = {"state_dict", "optimizer_states", "callbacks", "loops", "epoch", "global_step"}


def stops_early(val_losses: Sequence[float], patience: int, min_epochs: int) -> bool:
    """Return whether the last `patience` epochs brought no new lowest validation loss.

    A function of the losses alone, so that an interrupted training stops where it would have stopped.
    """
    best = min(range(len(val_losses)), key=val_losses.__getitem__, default=0)
    return len(val_losses) >= min_epochs and len(val_losses) - 1 - best >= patience


class TrainingInterrupted(Exception):
    """Ends a training after a signal; unlike SystemExit, a failure in every process."""


class InterruptSignal:
    """The signal to end that this process received, from a scheduler whose time is up or from a person."""

    NUMBERS = (signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def listen(self) -> None:
        """Note the signals from now on, and pass them on to the training processes of this one."""
        if threading.current_thread() is threading.main_thread():
            for number in self.NUMBERS:
                signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for child in multiprocessing.active_children():
            os.kill(child.pid, number)


class Clock:
    """Seconds of an epoch, and CPU seconds of this process; both go on from those of an interrupted part."""

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self._before = before or {"seconds": 0.0, "cpu_seconds": 0.0}
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._start = self._now()

    def seconds(self) -> dict[str, float]:
        """Return the seconds so far."""
        return {name: self._before[name] + now - self._start[name] for name, now in self._now().items()}

    @staticmethod
    def _now() -> dict[str, float]:
        return {"seconds": time.perf_counter(), "cpu_seconds": time.process_time()}


class CheckpointAndEarlyStopping(Callback):
    """Losses, seconds and memory of every epoch; checkpoints and the end of the training.

    There is a checkpoint after every epoch, and within one every `save_every_s` seconds and after a signal to
    end. Lightning's own callbacks forget, in a resumed training, that it had stopped, and which checkpoint
    was the best when the results have moved to another folder.
    """

    def __init__(self, folder: Path, patience: int, min_epochs: int, save_every_s: float) -> None:
        self.folder, self.patience, self.min_epochs = folder, patience, min_epochs
        self.save_every_s = save_every_s
        self.rows: list[dict[str, float]] = []
        self.interrupt = InterruptSignal()
        self._clock, self._loss = Clock(), torch.zeros(2)
        self._logged = self._saved = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, and seconds and sum of losses of the epoch at hand."""
        return {"rows": self.rows, "seconds": self._clock.seconds(), "loss": self._loss.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume an interrupted run."""
        self.rows = list(state["rows"])
        self._clock, self._loss = Clock(state["seconds"]), state["loss"]

    def _stops_early(self) -> bool:
        return stops_early([row["val_loss"] for row in self.rows], self.patience, self.min_epochs)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop at once when the resumed training had come to its end."""
        trainer.should_stop = self._stops_early()
        # In place of Lightning's handler, which would end the training without a checkpoint.
        self.interrupt.listen()
        self._clock.restart()
        self._saved = time.perf_counter()
        self._loss = self._loss.to(module.device)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock and the sum of losses."""
        self._clock = Clock()
        self._loss = torch.zeros_like(self._loss)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add up the loss, for an epoch may be trained in parts; save when it is time or after a signal."""
        n_cells = len(batch.x)
        loss = outputs["loss"].detach().float()
        # Without a copy to the device, for which the step would wait.
        self._loss += torch.stack([loss * n_cells, self._loss.new_full((), n_cells)])
        if trainer.is_last_batch:  # the epoch's own checkpoint is near
            return
        interrupted = self._interrupted(trainer)
        if interrupted or self._any(trainer, time.perf_counter() - self._saved > self.save_every_s):
            module.losses.check()
            self._save(trainer, LAST)
        if interrupted:
            self._stop(f"in epoch {trainer.current_epoch + 1}, after {batch_idx + 1} batches of it")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Add the epoch's row, save it and decide whether to stop."""
        seconds = self._clock.seconds()
        total, n_cells = trainer.strategy.reduce(self._loss, reduce_op="sum").tolist()
        losses = {"train_loss": total / n_cells, "val_loss": float(trainer.callback_metrics["val/loss"])}
        is_best = losses["val_loss"] < min((row["val_loss"] for row in self.rows), default=float("inf"))
        measured = {**seconds, "peak_memory_mib": peak_memory_mib(module.device)}
        self.rows.append({"epoch": trainer.current_epoch, **losses, **measured})
        for name in (BEST, LAST) if is_best else (LAST,):
            self._save(trainer, name)
        trainer.should_stop = self._stops_early()
        self._log(trainer.max_epochs)
        complete = trainer.should_stop or len(self.rows) == trainer.max_epochs
        if self._interrupted(trainer) and not complete:
            self._stop(f"after epoch {trainer.current_epoch + 1}")

    def _interrupted(self, trainer: pl.Trainer) -> bool:
        return self._any(trainer, self.interrupt.received is not None)

    def _any(self, trainer: pl.Trainer, mine: bool) -> bool:
        """Return whether this holds in any process of the training."""
        return mine if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(mine, all=False)

    def _stop(self, where: str) -> None:
        name = self.interrupt.received.name if self.interrupt.received else "another process"
        logger.warning("interrupted (%s): stopped %s, with a checkpoint to go on from", name, where)
        raise TrainingInterrupted

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        if not trainer.is_global_zero:
            # All processes take part in saving, though the first alone writes.
            trainer.save_checkpoint(self.folder / name)
            return
        with atomic_file(self.folder / name) as part:
            trainer.save_checkpoint(part)
        self._saved = time.perf_counter()

    def _log(self, max_epochs: int) -> None:
        row, done = self.rows[-1], self.rows[-1]["epoch"] + 1
        if time.perf_counter() - self._logged > _LOG_EVERY_S or done in (1, max_epochs):
            self._logged = time.perf_counter()
            left = timedelta(seconds=round((max_epochs - done) * row["seconds"]))
            message = "%s epoch %d of %d, val loss %.4g, at most %s left"
            logger.info(message, bar(done, max_epochs), done, max_epochs, row["val_loss"], left)


class CheckpointsBeside(TorchCheckpointIO):
    """Checkpoints written where they are asked for; Lightning would write into TMPDIR first."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: FilePath, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; an OSError when the disk is full, of which torch itself makes another error."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).write_bytes(content.getbuffer())


def _usable(checkpoint: Path, weights: Mapping[str, torch.Tensor] | None) -> bool:
    """Return whether a checkpoint of this training is there; a damaged or foreign one is set aside."""
    if not checkpoint.exists():
        return False
    try:
        limits.check_checkpoint(checkpoint)
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        fault = _fault(state, weights)
    except Exception as error:  # a half-written file fails in as many ways as there are bytes in it
        fault = f"is not readable ({type(error).__name__})"
    if fault:
        aside = checkpoint.with_name(f"{checkpoint.name}.unusable")
        logger.warning("checkpoint %s %s; not used, set aside as %s", checkpoint, fault, aside.name)
        # Another process of the same training may have been faster.
        with suppress(FileNotFoundError):
            checkpoint.replace(aside)
    return not fault


def _fault(state: Any, weights: Mapping[str, torch.Tensor] | None) -> str:
    if not isinstance(state, dict):
        return f"holds a {type(state).__name__}"
    if missing := sorted(_OF_A_TRAINING - state.keys()):
        return f"is none of a training (it lacks {', '.join(missing)})"
    if not isinstance(state["callbacks"].get(CheckpointAndEarlyStopping.__qualname__, {}).get("rows"), list):
        return "is of another training (it has no rows of epochs)"
    shapes = {name: tensor.shape for name, tensor in state["state_dict"].items()}
    if weights is not None and shapes != {name: tensor.shape for name, tensor in weights.items()}:
        return "is of another model"
    return ""


def checkpoint_to_resume(folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> Path | None:
    """Return the checkpoint from which to resume a training, or None to start anew.

    The last one, or the best if the last is damaged; none if the best is, which could not be restored. What
    is no checkpoint of this training, whose `weights` have names and shapes of their own, is set aside.
    """
    best, last = folder / BEST, folder / LAST
    usable = _usable(last, weights)
    if usable and not epoch_rows(last):  # interrupted in its first epoch, before there was a best
        return last
    if not _usable(best, weights):
        return None
    return last if usable else best


def epoch_rows(checkpoint: Path) -> list[dict[str, float]]:
    """Return the rows of a checkpoint's epochs: epoch, losses of train and val, seconds, peak_memory_mib."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    return state["callbacks"][CheckpointAndEarlyStopping.__qualname__]["rows"]
