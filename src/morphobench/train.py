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
from pytorch_lightning.callbacks import Callback

from morphobench import models, seeds
from morphobench.errors import InputError
from morphobench.files import atomic_file, write_json, write_table
from morphobench.loading import ARRAYS, loader, open_cells
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.losses import LOSSES

BEST, LAST = "best.ckpt", "last.ckpt"
# What of a model's yaml a training depends on; a new colour or label must not cost days.
TRAINED_BY = ("family", "representation", "input_scale", "architecture", "training")


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

    def _loss(self, x: torch.Tensor, phase: str) -> torch.Tensor:
        loss = self.loss(self.model(x), x).mean()
        if not torch.isfinite(loss):
            raise InputError(
                f"the {phase} loss is {loss.item()} in epoch {self.current_epoch}, step {self.global_step}. "
                "The last good checkpoint is kept. Lower training.lr in the model's yaml and run the same "
                "command again."
            )
        self.log(f"{phase}/loss", loss, on_step=False, on_epoch=True, batch_size=len(x))
        return loss

    def training_step(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """Return the mean loss of a batch; stop when it is not finite."""
        return self._loss(self._noisy(x, batch_idx), "train")

    def validation_step(self, x: torch.Tensor, batch_idx: int) -> None:
        """Log the mean loss over validation cells; stop when it is not finite."""
        self._loss(x, "val")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the paper."""
        return torch.optim.Adam(self.parameters(), lr=self.settings["lr"])


def finished(val_losses: Sequence[float], patience: int, min_epochs: int) -> bool:
    """Tell whether early stopping ends a training: `patience` epochs without a new lowest validation loss.

    A function of the losses alone, so that an interrupted training stops where it would have stopped.
    """
    best = min(range(len(val_losses)), key=val_losses.__getitem__, default=0)
    return len(val_losses) >= min_epochs and len(val_losses) - 1 - best >= patience


class History(Callback):
    """Losses and seconds of every epoch; from them, what is worth a checkpoint and when to stop.

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
        self.rows.append({"epoch": trainer.current_epoch, **losses, "seconds": seconds})
        for name in (BEST, LAST) if is_best else (LAST,):
            with atomic_file(self.folder / name) as part:
                trainer.save_checkpoint(part)
        trainer.should_stop = self._finished()
        self._tell(trainer)

    def _tell(self, trainer: pl.Trainer) -> None:
        row = self.rows[-1]
        done, planned = row["epoch"] + 1, trainer.max_epochs
        if time.perf_counter() - self._told > 10 or done in (1, planned):
            self._told = time.perf_counter()
            left = (planned - done) * row["seconds"]
            logger.info(
                "epoch %d of %d: val loss %.4g, at most %.0f s left", done, planned, row["val_loss"], left
            )


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that name a training: same digits, same run to continue."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def data_digest(manifest: str | Path, shards: Sequence[str | Path], representation: str) -> list[str]:
    """Return digests of the manifest and of the arrays that are trained on.

    The manifest does not tell: cells sampled anew with other settings keep their rows in it.
    """
    digests = []
    for path in (Path(manifest), *(Path(shard) / f"{ARRAYS[representation]}.npy" for shard in shards)):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


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
    history = History(folder, training["patience"], training["min_epochs"])
    loggers = [pl.loggers.TensorBoardLogger(folder, name="tensorboard")] if trainer["tensorboard"] else False
    engine = pl.Trainer(
        accelerator=trainer["accelerator"],
        devices=1,
        precision=trainer["precision"],
        max_epochs=training["max_epochs"],
        callbacks=[history],
        enable_checkpointing=False,
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
    return folder / BEST, history


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
        "gpu_hours": seconds / 3600 if on_gpu else 0.0,
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
    training, representation = settings["training"], settings["representation"]
    name = fingerprint(
        dataset,
        {key: settings[key] for key in TRAINED_BY},
        trainer["precision"],
        seed,
        code,
        data_digest(manifest, shards, representation),
    )
    folder = Path(checkpoints) / name
    folder.mkdir(parents=True, exist_ok=True)
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
