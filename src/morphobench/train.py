"""Train one model on one dataset with one seed: deterministic, resumable, recorded."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from morphobench import models, seeds
from morphobench.errors import InputError
from morphobench.files import write_json, write_table
from morphobench.loading import loader, open_cells
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.losses import LOSSES


class Training(pl.LightningModule):
    """The optimisation of an autoencoder: reconstruction loss, Adam, seeded noise on the input."""

    def __init__(self, model: Autoencoder, settings: Mapping[str, Any], seed: int) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.seed = seed
        self.loss = partial(LOSSES[settings["loss"]], **(settings.get("loss_options") or {}))

    def _noisy(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        jitter = self.settings["jitter"]
        if not jitter:
            return x
        generator = torch.Generator().manual_seed(
            seeds.integer(self.seed, "noise", self.current_epoch, batch_idx)
        )
        noise = torch.randn(x.shape, generator=generator).clamp(-2, 2) * jitter
        return x + noise.to(x)

    def training_step(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """Return the mean loss of a batch; stop when it is not finite."""
        x = self._noisy(x, batch_idx)
        loss = self.loss(self.model(x), x).mean()
        if not torch.isfinite(loss):
            raise InputError(
                f"the training loss is {loss.item()} in epoch {self.current_epoch}, step {self.global_step}. The "
                "last good checkpoint is kept. Lower training.lr in the model's yaml and run the same command again."
            )
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(x))
        return loss

    def validation_step(self, x: torch.Tensor, batch_idx: int) -> None:
        """Log the mean loss over validation cells."""
        self.log("val/loss", self.loss(self.model(x), x).mean(), batch_size=len(x))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the paper."""
        return torch.optim.Adam(self.parameters(), lr=self.settings["lr"])


class History(Callback):
    """Losses and seconds of every epoch, kept in the checkpoint so that a resumed run has them all."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._start = self._told = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the rows of an interrupted run."""
        self.rows = list(state["rows"])

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock of an epoch."""
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Note an epoch; now and then say how far the training is."""
        seconds = time.perf_counter() - self._start
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        epoch = trainer.current_epoch
        self.rows.append({"epoch": epoch, "val_loss": values["val/loss"], "seconds": seconds})
        if time.perf_counter() - self._told > 10 or epoch in (0, trainer.max_epochs - 1):
            self._told = time.perf_counter()
            left = (trainer.max_epochs - epoch - 1) * seconds
            logger.info(
                "epoch %d of %d: val loss %.4g, at most %.0f s left",
                epoch + 1,
                trainer.max_epochs,
                values["val/loss"],
                left,
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Add the epoch's training loss, which is complete only now."""
        self.rows[-1]["train_loss"] = float(trainer.callback_metrics["train/loss"])


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that name a training: same digits, same run to continue."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def resumable(folder: Path) -> Path | None:
    """Return the last readable checkpoint of an interrupted training, or None; remove unreadable ones."""
    for path in sorted(folder.glob("last*.ckpt"), key=lambda path: -path.stat().st_mtime):
        try:
            torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:  # a half-written file fails in as many ways as there are bytes in it
            logger.warning("checkpoint %s is not readable (%s); removed", path, type(error).__name__)
            path.unlink()
        else:
            return path
    return None


def _callbacks(folder: Path, patience: int, history: History) -> list[Callback]:
    checkpoints = ModelCheckpoint(
        folder,
        filename="best",
        monitor="val/loss",
        mode="min",
        save_last=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    stopping = EarlyStopping("val/loss", patience=patience, mode="min", check_finite=True)
    # The history comes first: what it notes at the end of an epoch belongs into that epoch's checkpoint.
    return [history, stopping, checkpoints]


def fit(
    model: Autoencoder,
    loaders: tuple,
    *,
    training: Mapping[str, Any],
    trainer: Mapping[str, Any],
    folder: Path,
    seed: int,
) -> tuple[Path, History]:
    """Run the training to its end, from the last checkpoint in `folder` if there is one.

    Returns
    -------
    tuple
        Path of the best checkpoint, and the history.
    """
    history = History()
    callbacks = _callbacks(folder, training["patience"], history)
    loggers = [pl.loggers.TensorBoardLogger(folder, name="tensorboard")] if trainer["tensorboard"] else False
    engine = pl.Trainer(
        accelerator=trainer["accelerator"],
        devices=trainer["devices"],
        precision=trainer["precision"],
        min_epochs=training["min_epochs"],
        max_epochs=training["max_epochs"],
        callbacks=callbacks,
        logger=loggers,
        deterministic="warn",
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    last = resumable(folder)
    logger.info("training on %s from %s", engine.strategy.root_device, last or "the start")
    engine.fit(Training(model, training, seed), *loaders, ckpt_path=last, weights_only=True)
    return Path(callbacks[-1].best_model_path), history


def _record(model: Autoencoder, history: History, trainer: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    seconds = sum(row["seconds"] for row in history.rows)
    on_gpu = trainer["accelerator"] != "cpu" and torch.cuda.is_available()
    best = min(history.rows, key=lambda row: row["val_loss"])
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": len(history.rows),
        "best_epoch": best["epoch"],
        "best_val_loss": best["val_loss"],
        "train_s": seconds,
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "gpu_hours": seconds * trainer["devices"] / 3600 if on_gpu else 0.0,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": pl.__version__,
        },
        **more,
    }


def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    *,
    model_out: str | Path,
    record_out: str | Path,
    curves_out: str | Path,
    checkpoints: str | Path,
    dataset: str,
    model_name: str,
    settings: Mapping[str, Any],
    trainer: Mapping[str, Any],
    seed: int,
    code: str,
    threads: int,
) -> None:
    """Train a model and write its weights, its training record and its curves.

    Parameters
    ----------
    manifest, shards
        Cell table with splits, and the shard folders of stage sample in order.
    checkpoints
        Folder that survives a crash; an interrupted training with the same settings goes on from there.
    settings
        Content of the model's yaml.
    trainer
        Section `train` of the configuration.
    seed
        Training seed: weights, order and noise.
    code
        Digest of the code that trains.

    Raises
    ------
    InputError
        For an empty split, a loss that is not finite, or settings that do not fit the data.
    """
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    # Its hints and device lists would bury our own progress lines.
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    name = fingerprint(dataset, settings, seed, code, hashlib.sha256(Path(manifest).read_bytes()).hexdigest())
    folder = Path(checkpoints) / name
    folder.mkdir(parents=True, exist_ok=True)
    training, representation = settings["training"], settings["representation"]
    base = seeds.integer(seed, dataset, "train", model_name)
    loaders = (
        loader(
            open_cells(manifest, shards, representation, "train"),
            settings,
            batch_size=training["batch_size"],
            order_seed=base,
        ),
        loader(
            open_cells(manifest, shards, representation, "val"), settings, batch_size=training["batch_size"]
        ),
    )
    with torch.random.fork_rng():
        torch.manual_seed(base)
        model = models.create(settings["family"], **settings["architecture"])
    best, history = fit(model, loaders, training=training, trainer=trainer, folder=folder, seed=base)
    state = torch.load(best, weights_only=True, map_location="cpu")["state_dict"]
    model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()})
    models.save(model, settings, model_out)
    write_table(pd.DataFrame(history.rows), curves_out)
    write_json(_record(model, history, trainer, fingerprint=name, seed=seed), record_out)
    for old in Path(checkpoints).iterdir():
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
