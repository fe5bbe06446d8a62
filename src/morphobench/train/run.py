"""Train one model on one dataset with one seed: deterministic, resumable, recorded."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch.multiprocessing import ProcessRaisedException

from morphobench import models, seeds
from morphobench.errors import InputError
from morphobench.files import write_json, write_table
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.device import configure_torch
from morphobench.models.inputs import required_arrays
from morphobench.train.batches import Batches, share_of_batch
from morphobench.train.checkpoints import BEST, EndedEarly, History, Told, resumable, rows_of
from morphobench.train.module import Fitting, Plan, quiet, weights_of
from morphobench.train.record import data_digest, fingerprint, training_record

# What of a model's yaml a training depends on; a new colour or label must not cost days.
TRAINED_BY = (
    "family",
    "representation",
    "input_scale",
    "z_score",
    "intensity",
    "subsample",
    "architecture",
    "training",
)
# What of section `train` changes the weights: not where its curves are told.
TRAINED_WITH = ("precision", "tf32", "devices", "nodes", "compile", "gradient_clip")


def loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """Return Lightning's loggers of these names (tensorboard, mlflow), writing into `folder`.

    MLflow follows MLFLOW_TRACKING_URI; without it, it writes a database `mlflow.db` there.

    Raises
    ------
    InputError
        When the package of one is not installed.
    """
    makers = {
        "tensorboard": lambda: pl.loggers.TensorBoardLogger(folder, name="tensorboard"),
        "mlflow": lambda: pl.loggers.MLFlowLogger(
            "morphobench",
            folder.name,
            # Not its default, plain files, which recent versions refuse to write.
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve()}/mlflow.db",
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


def _places(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return Lightning's settings of where a training runs: here, or on the nodes of a SLURM job."""
    nodes, devices, strategy = trainer["nodes"], trainer["devices"], trainer["strategy"]
    if nodes > 1:
        # SLURM started this process and the others; what Lightning does of its own for SLURM, to requeue
        # the job, is Snakemake's part here.
        slurm = SLURMEnvironment(auto_requeue=False)
        return {"num_nodes": nodes, "strategy": "ddp" if strategy == "auto" else strategy, "plugins": [slurm]}
    # Lightning's own choice starts the script of the job again, once per device. Inside a SLURM job it would
    # expect one task per device, which Snakemake does not start.
    chosen = "ddp_spawn" if strategy == "auto" and devices > 1 else strategy
    return {"strategy": chosen, "plugins": [LightningEnvironment()]}


def engine_of(training: Mapping[str, Any], trainer: Mapping[str, Any], **more: Any) -> pl.Trainer:
    """Return Lightning's trainer for these settings.

    Parameters
    ----------
    training
        Section `training` of a model's yaml.
    trainer
        Section `train` of the configuration.
    **more
        Further arguments of Lightning's.

    Raises
    ------
    InputError
        When the machine does not have these devices.
    """
    devices = trainer["devices"]
    try:
        return pl.Trainer(
            accelerator=trainer["accelerator"],
            devices=devices,
            **_places(trainer),
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
    settings: Mapping[str, Any],
    trainer: Mapping[str, Any],
    folder: Path,
    seed: int,
    threads: int,
) -> tuple[bool, list[dict[str, float]]]:
    """Run the training to its end, from the last checkpoint in `folder` if there is one.

    Returns
    -------
    tuple
        Whether this process is the one that writes the results (the best checkpoint is in `folder`); and
        one row per epoch: epoch, losses, seconds, peak memory in MiB.

    Raises
    ------
    InputError
        For a machine or batch size that does not fit, a missing logger, or a loss that is not finite.
    """
    training = settings["training"]
    share_of_batch(training["batch_size"], trainer["devices"] * trainer["nodes"])
    history = History(
        folder, training["patience"], training["min_epochs"], 60 * trainer["checkpoint_minutes"]
    )
    told = loggers(trainer["loggers"], folder)
    engine = engine_of(training, trainer, callbacks=[history], logger=told, default_root_dir=folder)
    last = resumable(folder)
    logger.info(
        "training on %d x %s from %s", engine.world_size, engine.strategy.root_device, last or "the start"
    )
    if trainer["accelerator"] == "auto" and engine.strategy.root_device.type == "cpu":
        logger.warning(
            "there is no GPU here, so this training computes on a CPU: at paper scale that takes weeks. Run "
            "it where a GPU is, or set train.accelerator to gpu, to stop instead, or to cpu, to be content."
        )
    threads = max(1, threads // trainer["devices"])
    plan = Plan(settings, seed, threads, compiled=trainer["compile"], tf32=trainer["tf32"])
    fitting = Fitting(model, plan)
    handlers = {number: signal.getsignal(number) for number in Told.SIGNALS}
    history.told.listen()
    try:
        engine.fit(fitting, batches, ckpt_path=last, weights_only=True)
    except (EndedEarly, SIGTERMException) as error:
        # Lightning ends a process at SIGTERM with status 0, as if the training were complete.
        raise SystemExit(128 + signal.SIGTERM) from error
    except ProcessRaisedException as error:
        if EndedEarly.__name__ in str(error):
            raise SystemExit(128 + signal.SIGTERM) from error
        # What a process of its own raised arrives as text.
        _, found, reason = str(error).rpartition(f"{InputError.__name__}: ")
        if not found:
            raise
        raise InputError(reason.strip()) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return engine.is_global_zero, rows_of(resumable(folder))


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
    quiet()
    configure_torch(threads, tf32=trainer["tf32"])
    name = fingerprint(
        dataset,
        {key: settings.get(key) for key in TRAINED_BY},
        {key: trainer[key] for key in TRAINED_WITH},
        seed,
        code,
        data_digest(manifest, shards, required_arrays(settings)),
    )
    folder = Path(checkpoints) / name
    folder.mkdir(parents=True, exist_ok=True)
    base = seeds.integer(seed, dataset, "train", model_name)
    with torch.random.fork_rng():
        torch.manual_seed(base)
        model = models.create(settings["family"], **settings["architecture"])
    if settings["representation"] not in model.representations:
        raise InputError(
            f"family {settings['family']} does not read representation {settings['representation']}. Set one "
            f"of {', '.join(model.representations)} in the model's yaml."
        )
    writes, rows = fit(
        model,
        Batches(manifest, shards, settings, base),
        settings=settings,
        trainer=trainer,
        folder=folder,
        seed=base,
        threads=threads,
    )
    if not writes:
        return
    model.load_state_dict(weights_of(folder / BEST))
    models.save(model, settings, model_out)
    write_table(pd.DataFrame(rows), curves_out)
    named = {"fingerprint": name, "seed": seed, "code": code, "dataset": dataset, "model": model_name}
    named["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    write_json(training_record(rows, settings, trainer, **named), record_out)
    for old in Path(checkpoints).iterdir():
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
