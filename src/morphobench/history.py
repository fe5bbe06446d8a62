"""What happened in each epoch of a training; from it, what is worth a checkpoint and when to stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from morphobench.files import atomic_file
from morphobench.log import bar, logger
from morphobench.record import peak_memory_mib

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


class History(Callback):
    """Losses, seconds and memory of every epoch; it keeps the checkpoints and ends the training.

    Lightning's own callbacks for the two forget, in a resumed training, that it had stopped, and which
    checkpoint was the best one when the results have moved to another folder.
    """

    def __init__(self, folder: Path, patience: int, min_epochs: int) -> None:
        self.folder, self.patience, self.min_epochs = folder, patience, min_epochs
        self.rows: list[dict[str, float]] = []
        self._start = self._told = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the rows of an interrupted run."""
        self.rows = list(state["rows"])

    def _finished(self) -> bool:
        return finished([row["val_loss"] for row in self.rows], self.patience, self.min_epochs)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop at once when the training that is resumed had come to its end."""
        trainer.should_stop = self._finished()

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock of an epoch."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Note an epoch, save it and decide whether to go on."""
        seconds = time.perf_counter() - self._start
        losses = {
            f"{phase}_loss": float(trainer.callback_metrics[f"{phase}/loss"]) for phase in ("train", "val")
        }
        is_best = losses["val_loss"] < min((row["val_loss"] for row in self.rows), default=float("inf"))
        measured = {"seconds": seconds, "peak_memory_mib": peak_memory_mib(module.device)}
        self.rows.append({"epoch": trainer.current_epoch, **losses, **measured})
        for name in (BEST, LAST) if is_best else (LAST,):
            self._save(trainer, name)
        trainer.should_stop = self._finished()
        self._tell(trainer)

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        if not trainer.is_global_zero:
            # All processes take part in saving, though the first alone writes.
            trainer.save_checkpoint(self.folder / name)
            return
        with atomic_file(self.folder / name) as part:
            trainer.save_checkpoint(part)

    def _tell(self, trainer: pl.Trainer) -> None:
        row = self.rows[-1]
        done, planned = row["epoch"] + 1, trainer.max_epochs
        if time.perf_counter() - self._told > 10 or done in (1, planned):
            self._told = time.perf_counter()
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
    if not (folder / BEST).exists() or not _readable(folder / BEST):
        return None
    return folder / (LAST if (folder / LAST).exists() and _readable(folder / LAST) else BEST)


def rows_of(checkpoint: Path) -> list[dict[str, float]]:
    """Return one row per epoch (losses, seconds, memory) that a checkpoint has behind it."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    return state["callbacks"][History.__qualname__]["rows"]
