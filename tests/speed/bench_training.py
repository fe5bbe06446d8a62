"""Seconds per cell of every kind of model at paper settings, in training and in stage embed.

Prints a table; what a training step computes, and its share of what products of large matrices reach here;
and what config/costs.yaml holds of it. Minutes on a GPU, hours on two cores; --quick takes demo scale, to see
that everything runs. Cells are fabricated: only their sizes matter here. @BATCH takes another batch size.
Run from anywhere: python tests/speed/bench_training.py [--precision bf16-mixed] [MODEL/DATASET[@BATCH] ...]
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
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
import yaml
from operators import Step, counted, flop, kernels_of, matrix_rate, median_seconds, wait
from snakemake.utils import update_config
from training_table import Row, StepCost, costs_of, print_header

from morphobench import config as configuration
from morphobench import models
from morphobench.config import schema
from morphobench.embed import run as embed
from morphobench.geometry import rotation
from morphobench.models import inputs
from morphobench.models.cells import Cells, open_cells
from morphobench.models.device import configure_torch, select_device
from morphobench.models.input_scale import with_input_scale
from morphobench.train import run as train
from morphobench.train.batches import Batches
from morphobench.train.module import AutoencoderModule, silence_lightning
from morphobench.train.record import peak_memory_mib, processor_name

ROOT = Path(__file__).parents[2]

# Each kind of model on one data set, and what has another number of voxels or stored points. First those that
# say most about the time of a run at paper scale.
KINDS = (
    "classical_image/cellpack",
    "rotation_invariant_image/cellpack",
    "rotation_invariant_pointcloud_sdf/npm1",
    "rotation_invariant_image_sdf/npm1_64_res",
    "classical_image_sdf/npm1_64_res",
    "rotation_invariant_image_sdf/npm1",
    "classical_image_sdf/npm1",
    "classical_pointcloud/cellpack",
    "rotation_invariant_pointcloud/cellpack",
    "rotation_invariant_image/cellpack@8",
    "rotation_invariant_image_sdf/npm1@32",
)
POSES = ("identity", "lattice", "uniform")
# Batches: --quick has fewer.
WARM_UP, TIMED = (1, 2) if "--quick" in sys.argv else (3, 8)
# Of volumes larger than this a side, fewer batches are timed too.
LARGE, TIMED_LARGE = 100, 2
# Cells of which every rotation is encoded; of large volumes one.
TURNED = 1 if "--quick" in sys.argv else 4
# Of matrices whose product shows what the device can do.
MATRIX = {"cuda": 8192, "cpu": 512 if "--quick" in sys.argv else 2048}
SEED = 1


class Clock(pl.Callback):
    """When batches of training were at hand, and when batches ended."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.ends: dict[str, list[float]] = {"train": [], "val": []}

    def on_train_batch_start(self, *_: Any) -> None:
        self.starts.append(time.perf_counter())

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

    def loader(self) -> float:
        """Return the share of training from the end of one batch until the next is at hand."""
        waits = np.array(self.starts[WARM_UP:]) - self.ends["train"][WARM_UP - 1 : -1]
        return statistics.median(waits) / self.seconds("train")


def for_size(model_config: Mapping[str, Any], usual: int, large: int) -> int:
    """Return how many of something are timed of a model, for large volumes another number."""
    return large if model_config["architecture"].get("size", 0) > LARGE else usual


def size_of(dataset: Mapping[str, Any], model_config: Mapping[str, Any]) -> str:
    """Return the resolution that a model reads: voxels a side, or points."""
    if size := model_config["architecture"].get("size"):
        return f"{size}^3"
    shape, _ = stored(dataset)["surface" if model_config["representation"] == "surface" else "points_um"]
    return f"{model_config.get('subsample', {}).get('n_points', shape[0])} points"


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
) -> Clock:
    """Train for an epoch as stage train does; return when batches began and ended."""
    clock = Clock()
    options = {"callbacks": [clock], "logger": False, "default_root_dir": manifest.parent}
    module = AutoencoderModule(model, model_config, train_config, SEED, torch.get_num_threads())
    batches = Batches(manifest, [manifest.parent], model_config, SEED)
    train.make_trainer(1, train_config, **options).fit(module, batches)
    return clock


def step_of(
    cells: Cells,
    model: torch.nn.Module,
    model_config: Mapping[str, Any],
    precision: str,
    device: torch.device,
) -> Step:
    """Return a training step with a batch that lies on the device already."""
    training = model_config["training"]
    batch = inputs.to_batch(cells.raw(range(training["batch_size"])), model_config)
    batch = inputs.subsample(batch, model_config, torch.Generator().manual_seed(SEED))
    batch = inputs.Batch(*(None if part is None else part.to(device) for part in batch))
    return Step(model.to(device), batch, training["loss"], precision, **(training.get("loss_options") or {}))


def stepped(step: Step, timed: int) -> StepCost:
    """Return what a training step costs."""
    seconds, kernels = median_seconds(step, WARM_UP, timed), kernels_of(step)
    n_kernels = None if kernels is None else sum(count for count, _ in kernels.values())
    return StepCost(seconds, flop(step), sum(counted(step).counts.values()), n_kernels)


def opened(kind: str, config: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return model, data set and configuration of MODEL/DATASET[@BATCH]."""
    named, _, batch_size = kind.partition("@")
    name, dataset = named.split("/")
    model_config = configuration.model_for(config, dataset, name)
    if batch_size:
        training = {**model_config["training"], "batch_size": int(batch_size)}
        model_config = {**model_config, "training": training}
    return name, dataset, model_config


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
    """Measure one kind of model, see `opened`."""
    name, dataset, model_config = opened(kind, config)
    batch_size, threads = model_config["training"]["batch_size"], len(os.sched_getaffinity(0))
    train_config = config["train"] | {"precision": precision, "tf32": tf32}
    device, timed = select_device(train_config["accelerator"]), for_size(model_config, TIMED, TIMED_LARGE)
    torch.manual_seed(SEED)
    model = models.create(model_config["family"], **model_config["architecture"])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest = fabricate(
            folder, config["datasets"][dataset], model_config, batch_size * (WARM_UP + timed)
        )
        cells = open_cells(manifest, [folder], model_config, "train")
        model_config = with_input_scale(model_config, cells, train_config["scale_cells"])
        configure_torch(threads, tf32=tf32)
        clock = trained(manifest, model, model_config, train_config)
        peak_gb = peak_memory_mib(device) * 2**20 / 1e9
        step = stepped(step_of(cells, model, model_config, precision, device), timed)
        configure_torch(threads)
        few = Cells(cells.table[: for_size(model_config, TURNED, 1)], {0: folder}, model_config)
        embed_s = encoded(few, model, model_config, config["embed"], device)
    train_s, validate_s = (clock.seconds(phase) / batch_size for phase in ("train", "val"))
    size = size_of(config["datasets"][dataset], model_config)
    return Row(name, dataset, size, batch_size, train_s, clock.loader(), step, validate_s, embed_s, peak_gb)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=KINDS, metavar="MODEL/DATASET[@BATCH]")
    parser.add_argument("--quick", action="store_true", help="demo scale, on a CPU")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--full", action="store_true", help="no TF32 in training")
    chosen = parser.parse_args()
    silence_lightning()
    config = schema.read_yaml(ROOT / "config/config.yaml")
    if chosen.quick:
        update_config(config, schema.read_yaml(ROOT / "config/demo.yaml"))
    config = configuration.resolve(config, ROOT)
    known = torch.cuda.is_available()
    where = torch.cuda.get_device_name() if known else f"no GPU at hand: {processor_name()}"
    tf32 = not chosen.full
    print(f"{where}; torch {torch.__version__}; {chosen.precision}, TF32 {tf32}\n")
    print(
        "milliseconds per cell, in training with loader and draws; per encoding, with reading and turning\n"
    )
    print_header("model", "data set", "batch", "training", "of it the step", "validation", *POSES, "peak, GB")
    rows = []
    for kind in chosen.kinds:
        rows.append(measured(kind, config, chosen.precision, tf32))
        print(rows[-1].line(), flush=True)
    device = select_device(config["train"]["accelerator"])
    configure_torch(len(os.sched_getaffinity(0)), tf32=tf32)
    rate = matrix_rate(device, chosen.precision, MATRIX[device.type])
    print(
        f"\na training step, beside {rate / 1e12:.3g} TFLOP/s of matrix products of {MATRIX[device.type]}\n"
    )
    per_cell = ("step, ms per cell", "GFLOP per cell", "TFLOP/s", "of matrix products")
    print_header(
        "model", "resolution", "batch", *per_cell, "operators per step", "kernels", "loader", "peak, GB"
    )
    for row in rows:
        print(row.step_line(rate))
    as_configured = [row for row, kind in zip(rows, chosen.kinds, strict=True) if "@" not in kind]
    print(f"\n{yaml.safe_dump({'gpu_s': costs_of(as_configured, config)}, sort_keys=False)}")


if __name__ == "__main__":
    main()
