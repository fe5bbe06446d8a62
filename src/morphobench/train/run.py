"""Train one model on one dataset with one seed: deterministic, resumable, recorded."""

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch.multiprocessing import ProcessRaisedException

from morphobench import models, seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, weights, write_json, write_table
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.cells import open_cells
from morphobench.models.device import configure_torch
from morphobench.train.batches import Batches, batch_size_per_device
from morphobench.train.checkpoints import (
    BEST,
    CheckpointAndEarlyStopping,
    CheckpointsBeside,
    InterruptSignal,
    TrainingInterrupted,
    checkpoint_to_resume,
    epoch_rows,
)
from morphobench.train.module import AutoencoderModule, model_weights, silence_lightning
from morphobench.train.optimiser import averaging
from morphobench.train.record import cells_record, fingerprint, training_record
from morphobench.train.start import start

# Keys of a model's yaml that a training depends on; a new colour or label must not cost days.
_INPUT_KEYS = ("representation", "input_scale", "z_score", "intensity", "subsample")
MODEL_KEYS = ("family", *_INPUT_KEYS, "architecture", "training")

# Keys of section `train` that change the weights.
TRAIN_KEYS = ("precision", "tf32", "devices", "nodes", "compile")


def make_loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """Return Lightning's loggers of these names (tensorboard, mlflow), writing into `folder`.

    MLflow follows MLFLOW_TRACKING_URI; without it, it writes a database `mlflow.db` there.

    Raises
    ------
    InputError
        When the package of one is not installed.
    """
    # Not MLflow's default, plain files, which recent versions refuse to write.
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve()}/mlflow.db"
    makers = {
        "tensorboard": lambda: pl.loggers.TensorBoardLogger(folder, name="tensorboard"),
        "mlflow": lambda: pl.loggers.MLFlowLogger("morphobench", folder.name, tracking_uri=uri),
    }
    chosen = [name for name in makers if name in names]
    for name in chosen:
        if importlib.util.find_spec(name) is None:
            missing = f"train.loggers names {name}, which is not installed"
            raise InputError(f"{missing}: pip install {name}, or take it out of train.loggers.")
    return [makers[name]() for name in chosen]


def _strategy(train_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return Lightning's arguments for this machine, or for the nodes of a SLURM job."""
    nodes, devices, strategy = train_config["nodes"], train_config["devices"], train_config["strategy"]
    if nodes > 1:
        # SLURM started this process and the others; to requeue the job is Snakemake's part here.
        slurm = SLURMEnvironment(auto_requeue=False)
        return {
            "num_nodes": nodes,
            "strategy": "ddp" if strategy == "auto" else strategy,
            "plugins": [slurm, CheckpointsBeside()],
        }
    # Lightning's own choice starts the script of the job again, once per device. Inside a SLURM job it would
    # expect one task per device, which Snakemake does not start.
    chosen = "ddp_spawn" if strategy == "auto" and devices > 1 else strategy
    return {"strategy": chosen, "plugins": [LightningEnvironment(), CheckpointsBeside()]}


def make_trainer(max_epochs: int, train_config: Mapping[str, Any], **more: Any) -> pl.Trainer:
    """Return Lightning's trainer for section `train` of the configuration; `more` arguments are passed on.

    Raises
    ------
    InputError
        When the machine does not have these devices.
    """
    accelerator, devices = train_config["accelerator"], train_config["devices"]
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=devices,
            precision=train_config["precision"],
            max_epochs=max_epochs,
            deterministic="warn",
            num_sanity_val_steps=0,
            **{f"enable_{name}": False for name in ("checkpointing", "progress_bar", "model_summary")},
            use_distributed_sampler=False,
            **_strategy(train_config),
            **more,
        )
    except MisconfigurationException as error:
        asked = f"train.accelerator = {accelerator} with train.devices = {devices}"
        reason = f"does not fit this machine: {' '.join(str(error).split())}"
        raise InputError(f"{asked} {reason} Set them to what it has.") from error


@contextmanager
def _process_errors() -> Iterator[None]:
    """Raise what ended the processes of a training as in a single one; an interruption ends with 143."""
    try:
        yield
    except (TrainingInterrupted, SIGTERMException) as error:
        # Lightning ends a process at SIGTERM with status 0, as if the training were complete.
        raise SystemExit(128 + signal.SIGTERM) from error
    except ProcessRaisedException as error:
        if TrainingInterrupted.__name__ in str(error):
            raise SystemExit(128 + signal.SIGTERM) from error
        # An exception of a spawned process arrives as text.
        _, is_ours, reason = str(error).rpartition(f"{InputError.__name__}: ")
        if not is_ours:
            raise
        raise InputError(reason.strip()) from error


def fit(
    model: Autoencoder, batches: Batches, train_config: Mapping[str, Any], *, folder: Path, threads: int
) -> bool:
    """Train to the end with the seed of the batches, from the last checkpoint in `folder` if there is one.

    Returns whether this process is the one to write the results.

    Raises
    ------
    InputError
        For a machine or batch size that does not fit, a missing logger, or a loss that is not finite.
    """
    training, devices = batches.model_config["training"], train_config["devices"]
    batch_size_per_device(training["batch_size"], devices * train_config["nodes"])
    callback = CheckpointAndEarlyStopping(
        folder, training["patience"], training["min_epochs"], 60 * train_config["checkpoint_minutes"]
    )
    own = {"logger": make_loggers(train_config["loggers"], folder), "default_root_dir": folder}
    # Averaged first: a checkpoint within an epoch must hold the step that it follows.
    own["callbacks"] = [*averaging(training), callback]
    clip = {"gradient_clip_val": training.get("gradient_clip")}
    trainer = make_trainer(training["max_epochs"], train_config, **clip, **own)
    threads = max(1, threads // devices)
    module = AutoencoderModule(model, batches.model_config, train_config, batches.seed, threads)
    device = trainer.strategy.root_device
    checkpoint = checkpoint_to_resume(folder, module.state_dict())
    logger.info("training on %d x %s from %s", trainer.world_size, device, checkpoint or "the start")
    if train_config["accelerator"] == "auto" and device.type == "cpu":
        remedy = "set train.accelerator to gpu to stop instead, or to cpu to silence this warning"
        logger.warning("there is no GPU here, and a CPU takes weeks at paper scale; %s", remedy)
    with ExitStack() as restored, _process_errors():
        for number in InterruptSignal.NUMBERS:
            restored.callback(signal.signal, number, signal.getsignal(number))
        callback.interrupt.listen()
        trainer.fit(module, batches, ckpt_path=checkpoint, weights_only=True)
    return trainer.is_global_zero


def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    *,
    model_out: FilePath,
    record_out: FilePath,
    curves_out: FilePath,
    checkpoints: FilePath,
    dataset: str,
    model_name: str,
    model_config: Mapping[str, Any],
    train_config: Mapping[str, Any],
    seed: int,
    source_digest: str,
    threads: int,
    start_weights: FilePath | None = None,
    cells_config: Mapping[str, Any] = weights.UNKNOWN,
    shared: FilePath | None = None,
) -> None:
    """Train a model on sampled shards and write its weights, its record and its curves (a row per epoch).

    An interrupted training resumes from its folder in `checkpoints`, named by the fingerprint of the arrays
    that it reads, configuration, seed and source. `model_config` is the content of the model's yaml,
    `train_config` section `train` of the configuration; `threads` are shared by all devices. The training
    begins with the file `start_weights`, where given. For cells that the weights meet later, the record holds
    what made these: `cells_config`, their preprocessing and the seed of what is drawn of each, and the file
    of stage mask that they `shared` (box or scale factors).

    Raises
    ------
    InputError
        For an empty split, a loss that is not finite, or a configuration that does not fit data or machine.
    """
    silence_lightning()
    configure_torch(threads, tf32=train_config["tf32"])
    cells = {split: open_cells(manifest, shards, model_config, split) for split in ("train", "val")}
    base = seeds.integer(seed, dataset, "train", model_name)
    known = {"preprocessing": cells_config["preprocessing"], "dataset": dataset, "manifest": manifest}
    known |= {"scale_cells": train_config["scale_cells"]}
    model, model_config, origin = start(model_config, cells["train"], base, file=start_weights, **known)
    name = fingerprint(
        dataset,
        {key: model_config.get(key) for key in MODEL_KEYS},
        {key: train_config[key] for key in TRAIN_KEYS},
        seed,
        source_digest,
        # Not the manifest: a corrected label must not cost days.
        [split.digest() for split in cells.values()],
        origin and origin["sha256"],
    )
    folder = Path(checkpoints) / name
    folder.mkdir(parents=True, exist_ok=True)
    batches = Batches(manifest, shards, model_config, base)
    if not fit(model, batches, train_config, folder=folder, threads=threads):
        return
    rows = epoch_rows(checkpoint_to_resume(folder))
    model.load_state_dict(model_weights(folder / BEST))
    models.save(model, model_config, model_out)
    write_table(pd.DataFrame(rows), curves_out)
    identity = {"fingerprint": name, "seed": seed, "source_digest": source_digest, "dataset": dataset}
    identity |= {"model": model_name, "parameters": sum(p.numel() for p in model.parameters())}
    identity |= {"start_weights": origin, "sha256": weights.sha256(model_out)}
    identity |= cells_record(cells_config, {split: of.table for split, of in cells.items()}, shared)
    write_json(training_record(rows, model_config, train_config, **identity), record_out)
    for old in Path(checkpoints).iterdir():
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
