"""Train one model on one dataset with one seed: deterministic, resumable, recorded."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import signal
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch.multiprocessing import ProcessRaisedException

from morphobench import models, seeds
from morphobench.batches import Batches, share_of_batch
from morphobench.errors import InputError
from morphobench.files import write_json, write_table
from morphobench.history import BEST, History, resumable, rows_of
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.losses import LOSSES
from morphobench.record import data_digest, fingerprint, training_record

# What of a model's yaml a training depends on; a new colour or label must not cost days.
TRAINED_BY = ("family", "representation", "input_scale", "architecture", "training")
# What of section `train` changes the weights: not where its curves are told.
TRAINED_WITH = ("precision", "devices", "compile", "gradient_clip")


def _quiet() -> None:
    # Its hints and device lists would bury our own progress lines.
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Training(pl.LightningModule):
    """The optimisation of an autoencoder: reconstruction loss, Adam, seeded noise on the input."""

    def __init__(
        self,
        model: Autoencoder,
        settings: Mapping[str, Any],
        seed: int,
        *,
        compiled: bool = False,
        threads: int = 1,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.seed = seed
        self.compiled, self.threads = compiled, threads
        self.loss = partial(LOSSES[settings["loss"]], **(settings.get("loss_options") or {}))

    def setup(self, stage: str) -> None:
        """Prepare the process that trains: neither threads nor compiled code pass from one to another."""
        _quiet()
        torch.set_num_threads(self.threads)
        if self.compiled:
            self.model.compile()

    def _noisy(self, x: torch.Tensor, batch_idx: int) -> torch.Tensor:
        jitter = self.settings["jitter"]
        if not jitter:
            return x
        parts = (self.seed, "noise", self.current_epoch, batch_idx)
        parts += (self.global_rank,) if self.global_rank else ()
        generator = torch.Generator().manual_seed(seeds.integer(*parts))
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
        self.log(f"{phase}/loss", loss, on_step=False, on_epoch=True, batch_size=len(x), sync_dist=True)
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


def loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """Return Lightning's loggers of these names (tensorboard, mlflow), writing into `folder`.

    MLflow follows MLFLOW_TRACKING_URI when that is set.

    Raises
    ------
    InputError
        When the package of one is not installed.
    """
    makers = {
        "tensorboard": lambda: pl.loggers.TensorBoardLogger(folder, name="tensorboard"),
        "mlflow": lambda: pl.loggers.MLFlowLogger(
            "morphobench", folder.name, save_dir=str(folder / "mlruns")
        ),
    }
    chosen = [name for name in makers if name in names]
    for name in chosen:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"train.loggers names {name}, which is not installed. Install it (pip install {name}) or "
                "take it out of train.loggers in config/config.yaml; curves.csv is written in any case."
            )
    return [makers[name]() for name in chosen]


def _engine(training: Mapping[str, Any], trainer: Mapping[str, Any], **more: Any) -> pl.Trainer:
    strategy, devices = trainer["strategy"], trainer["devices"]
    try:
        return pl.Trainer(
            accelerator=trainer["accelerator"],
            devices=devices,
            # Lightning's own choice starts the script of the job again, once per device.
            strategy="ddp_spawn" if strategy == "auto" and devices > 1 else strategy,
            # Inside a SLURM job it would expect one task per device, which Snakemake does not start.
            plugins=[LightningEnvironment()],
            precision=trainer["precision"],
            gradient_clip_val=trainer["gradient_clip"],
            max_epochs=training["max_epochs"],
            enable_checkpointing=False,
            deterministic="warn",
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            **more,
        )
    except MisconfigurationException as error:
        raise InputError(
            f"train.accelerator = {trainer['accelerator']} with train.devices = {devices} does not fit this "
            f"machine: {' '.join(str(error).split())} Set them in config/config.yaml to what it has."
        ) from error


def fit(
    model: Autoencoder,
    batches: Batches,
    *,
    training: Mapping[str, Any],
    trainer: Mapping[str, Any],
    folder: Path,
    seed: int,
    threads: int,
) -> tuple[Path, list[dict[str, float]]]:
    """Run the training to its end, from the last checkpoint in `folder` if there is one.

    Returns
    -------
    tuple
        Path of the best checkpoint, and one row per epoch: epoch, losses, seconds, peak memory in MiB.

    Raises
    ------
    InputError
        For a machine or batch size that does not fit, a missing logger, or a loss that is not finite.
    """
    share_of_batch(training["batch_size"], trainer["devices"])
    history = History(folder, training["patience"], training["min_epochs"])
    told = loggers(trainer["loggers"], folder)
    engine = _engine(training, trainer, callbacks=[history], logger=told, default_root_dir=folder)
    last = resumable(folder)
    logger.info(
        "training on %d x %s from %s", engine.world_size, engine.strategy.root_device, last or "the start"
    )
    threads = max(1, threads // trainer["devices"])
    module = Training(model, training, seed, compiled=trainer["compile"], threads=threads)
    try:
        engine.fit(module, batches, ckpt_path=last, weights_only=True)
    except SIGTERMException as error:
        # Lightning would end the process with status 0, as if the training were complete.
        raise SystemExit(128 + signal.SIGTERM) from error
    except ProcessRaisedException as error:
        # What a process of its own raised arrives as text.
        _, found, reason = str(error).rpartition(f"{InputError.__name__}: ")
        if not found:
            raise
        raise InputError(reason.strip()) from error
    return folder / BEST, rows_of(resumable(folder))


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
    threads
        Cores, shared by all devices.

    Raises
    ------
    InputError
        For an empty split, a loss that is not finite, or settings that do not fit data or machine.
    """
    _quiet()
    torch.set_num_threads(threads)
    training = settings["training"]
    name = fingerprint(
        dataset,
        {key: settings[key] for key in TRAINED_BY},
        {key: trainer[key] for key in TRAINED_WITH},
        seed,
        code,
        data_digest(manifest, shards, settings["representation"]),
    )
    folder = Path(checkpoints) / name
    folder.mkdir(parents=True, exist_ok=True)
    base = seeds.integer(seed, dataset, "train", model_name)
    with torch.random.fork_rng():
        torch.manual_seed(base)
        model = models.create(settings["family"], **settings["architecture"])
    best, rows = fit(
        model,
        Batches(manifest, shards, settings, base),
        training=training,
        trainer=trainer,
        folder=folder,
        seed=base,
        threads=threads,
    )
    state = torch.load(best, weights_only=True, map_location="cpu")["state_dict"]
    model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()})
    models.save(model, settings, model_out)
    write_table(pd.DataFrame(rows), curves_out)
    named = {"fingerprint": name, "seed": seed, "code": code, "dataset": dataset, "model": model_name}
    named["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    write_json(training_record(rows, settings, trainer, **named), record_out)
    for old in Path(checkpoints).iterdir():
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
