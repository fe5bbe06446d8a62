"""Seconds per cell of every kind of model at paper settings, in training and in stage embed.

Prints a table, and what of it config/costs.yaml holds. Minutes on a GPU, hours on two cores; --quick takes
demo scale, to see that everything runs. Cells are fabricated: only their sizes matter here.
Run from anywhere: python tests/speed/bench_training.py [--precision bf16-mixed] [--full] [MODEL/DATASET ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
import yaml
from snakemake.utils import update_config

from morphobench import config as configuration
from morphobench import models
from morphobench.config import schema
from morphobench.embed import run as embed
from morphobench.geometry import rotation
from morphobench.models import inputs
from morphobench.models.cells import Cells, open_cells
from morphobench.models.device import autocast, configure_torch, select_device
from morphobench.models.input_scale import with_input_scale
from morphobench.models.losses import LOSSES
from morphobench.train import run as train
from morphobench.train.batches import Batches
from morphobench.train.module import AutoencoderModule, silence_lightning

ROOT = Path(__file__).parents[2]

# Each kind of model on one data set, and what has another number of voxels or stored points.
KINDS = (
    "classical_pointcloud/cellpack",
    "rotation_invariant_pointcloud/cellpack",
    "rotation_invariant_pointcloud_sdf/npm1",
    "rotation_invariant_pointcloud_sdf/npm1_64_res",
    "classical_image/cellpack",
    "rotation_invariant_image/cellpack",
    "classical_image_seg/npm1",
    "classical_image_sdf/npm1",
    "rotation_invariant_image_seg/npm1",
    "rotation_invariant_image_sdf/npm1",
    "rotation_invariant_image_sdf/npm1_64_res",
)
POSES = ("identity", "lattice", "uniform")
# Batches: --quick has fewer.
WARM_UP, TIMED = (1, 2) if "--quick" in sys.argv else (3, 8)
# Cells of which every rotation is encoded.
TURNED = 1 if "--quick" in sys.argv else 4
SEED = 1


class Row(NamedTuple):
    """Seconds per cell of a kind of model; `step_s` is what of `train_s` takes a batch that is at hand."""

    model: str
    dataset: str
    batch_size: int
    train_s: float
    step_s: float
    validate_s: float
    embed_s: dict[str, float]
    peak_gb: float

    def line(self) -> str:
        seconds = [self.train_s, self.step_s, self.validate_s, *self.embed_s.values()]
        times = " | ".join(f"{1e3 * value:.3g}" for value in seconds)
        return f"| {self.model} | {self.dataset} | {self.batch_size} | {times} | {self.peak_gb:.1f} |"


class Clock(pl.Callback):
    """When batches ended."""

    def __init__(self) -> None:
        self.ends: dict[str, list[float]] = {"train": [], "val": []}

    def _end(self, phase: str) -> None:
        wait()
        self.ends[phase].append(time.perf_counter())

    def on_train_batch_end(self, *_: Any) -> None:
        self._end("train")

    def on_validation_batch_end(self, *_: Any) -> None:
        self._end("val")

    def seconds(self, phase: str) -> float:
        """Return the median from one to the next, after a warm-up."""
        return statistics.median(np.diff(self.ends[phase][WARM_UP - 1 :]))


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def stored(dataset: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], type]]:
    """Return shape and type of a cell's arrays in stage sample."""
    sample = dataset["sample"]
    if "resolution" in sample:
        grid, queries = (sample["resolution"],) * 3, (sample["n_queries"],)
        found = {
            "sdf": (grid, np.float32),
            "seg": (grid, np.uint8),
            "surface": ((sample["n_surface"], 3), np.float32),
        }
        return found | {"queries": ((*queries, 3), np.float32), "distances": (queries, np.float32)}
    n_points, size = sample["points"]["n_points"], sample["cube"]["size"]
    return {"points_um": ((n_points, 3), np.float32), "cube": ((size,) * 3, np.uint8)}


def fabricate(folder: Path, dataset: Mapping[str, Any], model_config: Mapping[str, Any], n: int) -> Path:
    """Write one shard of n cells, listed once to train and once to validate; return the manifest."""
    rng = np.random.default_rng(SEED)
    for name in inputs.required_arrays(model_config):
        shape, kind = stored(dataset)[name]
        cells = rng.poisson(0.5, (n, *shape)) if kind is np.uint8 else rng.normal(scale=0.3, size=(n, *shape))
        np.save(folder / f"{name}.npy", cells.astype(kind))
    names = [f"{number:05d}" for number in range(2 * n)]
    table = pd.DataFrame(
        {"CellId": names, "group": names, "index": [*range(n)] * 2, "shard": 0, "success": True}
    )
    table.assign(split=["train"] * n + ["val"] * n).to_parquet(folder / "manifest.parquet")
    return folder / "manifest.parquet"


def trained(
    manifest: Path, model: torch.nn.Module, model_config: Mapping[str, Any], train_config: Mapping[str, Any]
) -> tuple[float, float]:
    """Train for an epoch as stage train does; return the seconds per batch of training and of validation."""
    clock = Clock()
    options = {"callbacks": [clock], "logger": False, "default_root_dir": manifest.parent}
    module = AutoencoderModule(model, model_config, train_config, SEED, torch.get_num_threads())
    batches = Batches(manifest, [manifest.parent], model_config, SEED)
    train.make_trainer(1, train_config, **options).fit(module, batches)
    return clock.seconds("train"), clock.seconds("val")


def stepped(
    cells: Cells,
    model: torch.nn.Module,
    model_config: Mapping[str, Any],
    precision: str,
    device: torch.device,
) -> float:
    """Return the seconds of forward and backward pass with a batch that lies on the device already."""
    training = model_config["training"]
    compare = partial(LOSSES[training["loss"]], **(training.get("loss_options") or {}))
    generator = torch.Generator().manual_seed(SEED)
    batch = inputs.to_batch(cells.raw(range(training["batch_size"])), model_config)
    batch = inputs.subsample(batch, model_config, generator)
    batch = inputs.Batch(*(None if part is None else part.to(device) for part in batch))
    model = model.to(device).train()
    times = []
    for _ in range(WARM_UP + TIMED):
        wait()
        start = time.perf_counter()
        with autocast(precision, device):
            terms = model.loss_terms(batch, generator)
            loss = compare(terms.output, terms.target).mean()
        loss.backward()
        model.zero_grad()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def encoded(
    cells: Cells,
    model: torch.nn.Module,
    model_config: Mapping[str, Any],
    how: Mapping[str, Any],
    device: torch.device,
) -> dict[str, float]:
    """Return the seconds per encoding of stage embed in each pose."""
    exported = model.to(device).eval().export()
    keywords = {"batch_size": how["batch_size"], "precision": how["precision"]}
    found = {}
    with torch.inference_mode():
        for pose in POSES:
            turns = rotation.rotation_sets(pose, cells.table["CellId"], how["n_uniform"], SEED, "bench")
            encode = partial(embed.encode_cells, exported, cells, turns, model_config, **keywords)
            encode()
            start = time.perf_counter()
            encode()
            found[pose] = (time.perf_counter() - start) / (len(cells) * len(turns))
    return found


def measured(kind: str, config: Mapping[str, Any], precision: str, tf32: bool) -> Row:
    """Measure one kind of model, MODEL/DATASET."""
    name, dataset = kind.split("/")
    model_config = configuration.model_for(config, dataset, name)
    batch_size, threads = model_config["training"]["batch_size"], len(os.sched_getaffinity(0))
    train_config = config["train"] | {"precision": precision, "tf32": tf32}
    device = select_device(train_config["accelerator"])
    torch.manual_seed(SEED)
    model = models.create(model_config["family"], **model_config["architecture"])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest = fabricate(
            folder, config["datasets"][dataset], model_config, batch_size * (WARM_UP + TIMED)
        )
        cells = open_cells(manifest, [folder], model_config, "train")
        model_config = with_input_scale(model_config, cells, train_config["scale_cells"])
        configure_torch(threads, tf32=tf32)
        train_s, validate_s = trained(manifest, model, model_config, train_config)
        peak_gb = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
        step_s = stepped(cells, model, model_config, precision, device)
        configure_torch(threads)
        few = Cells(cells.table[:TURNED], {0: folder}, model_config)
        embed_s = encoded(few, model, model_config, config["embed"], device)
    seconds = (second / batch_size for second in (train_s, step_s, validate_s))
    return Row(name, dataset, batch_size, *seconds, embed_s, peak_gb)


def costs_of(rows: list[Row], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries `gpu_s` of config/costs.yaml: seconds per training cell and epoch, and per encoding.

    With every training cell its share of validation cells is looked at.
    """
    split = config["sample"]["split"]
    found: dict[str, Any] = {}
    for row in rows:
        model_config = configuration.model_for(config, row.dataset, row.model)
        seconds = row.train_s + row.validate_s * split["val"] / split["train"]
        kind = f"{model_config['family']}/{model_config['representation']}"
        size = model_config["architecture"].get("size")
        entry = {key: float(f"{value:.3g}") for key, value in {"train": seconds, **row.embed_s}.items()}
        if size:
            found.setdefault(kind, {})[size] = entry
        else:
            found.setdefault(kind, entry)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=KINDS, metavar="MODEL/DATASET")
    parser.add_argument("--quick", action="store_true", help="demo scale, on a CPU")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--full", action="store_true", help="no TF32 in training")
    chosen = parser.parse_args()
    silence_lightning()
    config = schema.read_yaml(ROOT / "config/config.yaml")
    if chosen.quick:
        update_config(config, schema.read_yaml(ROOT / "config/demo.yaml"))
    config = configuration.resolve(config, ROOT)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    tf32 = not chosen.full
    print(f"{where}, {os.cpu_count()} cores, torch {torch.__version__}; {chosen.precision}, TF32 {tf32}\n")
    print(
        "milliseconds per cell, in training with loader and draws; per encoding, with reading and turning\n"
    )
    columns = ("model", "data set", "batch", "training", "of it the step", "validation", *POSES, "peak, GB")
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    rows = []
    for kind in chosen.kinds:
        rows.append(measured(kind, config, chosen.precision, tf32))
        print(rows[-1].line(), flush=True)
    print(f"\n{yaml.safe_dump({'gpu_s': costs_of(rows, config)}, sort_keys=False)}")


if __name__ == "__main__":
    main()
