"""The record of a training: what it was, where it ran and what it cost."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from morphobench import __version__
from morphobench.files import array_file


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that name a training: same digits, same run to continue."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def data_digest(manifest: str | Path, shards: Sequence[str | Path], arrays: Sequence[str]) -> list[str]:
    """Return digests of the manifest and of the arrays that are trained on.

    The manifest does not tell: cells sampled anew with other settings keep their rows in it.
    """
    digests = []
    read = (array_file(shard, name) for shard in shards for name in arrays)
    for path in (Path(manifest), *read):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


def peak_memory_mib(device: torch.device) -> float:
    """Return the most memory used so far, MiB: of tensors on a GPU, else of the whole process (Linux)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def versions() -> dict[str, str | None]:
    """Return the versions of what computes; cuda is None where torch was built without it."""
    return {
        "morphobench": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "lightning": pl.__version__,
        "cuda": torch.version.cuda,
    }


def training_record(
    rows: Sequence[Mapping[str, float]],
    settings: Mapping[str, Any],
    trainer: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Sum up a training.

    Parameters
    ----------
    rows
        One per epoch: epoch, val_loss, seconds, peak_memory_mib.
    settings, trainer
        Content of the model's yaml and section `train` of the configuration.
    **more
        Further entries.

    Returns
    -------
    dict
        For JSON; times in seconds and hours, memory in MiB. GPU hours count every GPU, and every run of an
        interrupted training up to its last whole epoch.
    """
    seconds = sum(row["seconds"] for row in rows)
    on_gpu = trainer["accelerator"] != "cpu" and torch.cuda.is_available()
    best = min(rows, key=lambda row: row["val_loss"])
    return {
        "epochs": len(rows),
        "best_epoch": best["epoch"],
        "best_val_loss": best["val_loss"],
        "final_train_loss": rows[-1]["train_loss"],
        "final_val_loss": rows[-1]["val_loss"],
        "train_s": seconds,
        "peak_memory_mib": max(row["peak_memory_mib"] for row in rows),
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "devices": trainer["devices"] * trainer["nodes"],
        "gpu_hours": seconds * trainer["devices"] * trainer["nodes"] / 3600 if on_gpu else 0.0,
        "versions": versions(),
        "settings": dict(settings),
        "trainer": dict(trainer),
        "config": fingerprint(settings, trainer),
        **more,
    }
