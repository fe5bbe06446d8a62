"""Record of a training: configuration, hardware, versions and cost."""

import hashlib
import json
import platform
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch

from morphobench import log
from morphobench.files import FilePath, weights


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that name a training: same digits, same run to resume."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory, MiB: of tensors on a GPU, else of the whole process (Linux)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as Linux lists it, and the number of cores; elsewhere its architecture."""
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def training_record(
    rows: list[dict],
    model_config: Mapping[str, Any],
    train_config: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Summarise a training from its `epoch_rows`, for JSON; `more` entries are added.

    Times in seconds (`cpu_s` of the first process) and hours, memory in MiB. GPU hours count every GPU, and
    every run of an interrupted training up to its last whole epoch.
    """
    seconds, n_devices = sum(row["seconds"] for row in rows), train_config["devices"] * train_config["nodes"]
    modules = {"numpy": np, "torch": torch, "lightning": pl}
    versions = {"morphobench": log.version()}
    versions |= {name: module.__version__ for name, module in modules.items()}
    on_gpu = train_config["accelerator"] != "cpu" and torch.cuda.is_available()
    best = min(rows, key=lambda row: row["val_loss"])
    return {
        "epochs": len(rows),
        "best_epoch": best["epoch"],
        "best_val_loss": best["val_loss"],
        "final_train_loss": rows[-1]["train_loss"],
        "final_val_loss": rows[-1]["val_loss"],
        "train_s": seconds,
        "cpu_s": sum(row["cpu_seconds"] for row in rows),
        "peak_memory_mib": max(row["peak_memory_mib"] for row in rows),
        "device": torch.cuda.get_device_name() if on_gpu else processor_name(),
        "devices": n_devices,
        "gpu_hours": seconds * n_devices / 3600 if on_gpu else 0.0,
        "versions": {**versions, "python": platform.python_version(), "cuda": torch.version.cuda},
        "model_config": dict(model_config),
        "train_config": dict(train_config),
        "config": fingerprint(model_config, train_config),
        **more,
    }


def cells_record(
    cells_config: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], shared: FilePath | None
) -> dict[str, Any]:
    """Return what a record says of its cells, so that the weights can meet others; see `run.run`.

    `groups` are the nuclei, wells or cells seen, by split, `measured` the box or the scale factor of all.
    """
    return {
        "format": weights.FORMAT,
        **cells_config,
        "measured": weights.measured(shared) if shared else {},
        "groups": {split: sorted(set(table["group"].astype(str))) for split, table in tables.items()},
    }
