"""What a training step spends its work on, by operator: calls, products, bytes; on a GPU its kernels, too.

Bytes are those that operators read and write, one by one: where they bound a step, fused operators help, and
faster products do not. Counted on any machine, for the device at hand.
Run from anywhere: python tests/speed/profile_step.py [--quick] [MODEL/DATASET[@BATCH] ...]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from bench_training import ROOT, SEED, fabricate, opened, step_of
from operators import Operators, Step, counted, kernels_of, median_seconds
from snakemake.utils import update_config
from training_table import print_header

from morphobench import config as configuration
from morphobench import models
from morphobench.config import schema
from morphobench.models.cells import open_cells
from morphobench.models.device import configure_torch, select_device
from morphobench.models.input_scale import with_input_scale

KINDS = ("rotation_invariant_pointcloud_sdf/npm1", "rotation_invariant_image_sdf/npm1")
# Rows of a table; the rest is summed.
N_ROWS = 16


def made(kind: str, config: dict[str, Any], precision: str, device: torch.device) -> Step:
    """Return a training step of a model on fabricated cells."""
    name, dataset, model_config = opened(kind, config)
    torch.manual_seed(SEED)
    model = models.create(model_config["family"], **model_config["architecture"])
    with tempfile.TemporaryDirectory() as temporary:
        folder, n_cells = Path(temporary), model_config["training"]["batch_size"]
        manifest = fabricate(folder, config["datasets"][dataset], model_config, n_cells)
        cells = open_cells(manifest, [folder], model_config, "train")
        model_config = with_input_scale(model_config, cells, config["train"]["scale_cells"])
        return step_of(cells, model, model_config, precision, device)


def print_operators(operators: Operators) -> None:
    """Print a row for each operator that reads and writes most."""
    print_header("operator", "calls", "GFLOP", "GB")
    names = [name for name, _ in operators.n_bytes.most_common()]
    rows = [*([name] for name in names[:N_ROWS]), names[N_ROWS:], names]
    labels = [*names[:N_ROWS], "others", "together"]
    for label, row in zip(labels, rows, strict=False):
        calls, flop, n_bytes = (
            sum(of[name] for name in row) for of in (operators.counts, operators.flop, operators.n_bytes)
        )
        print(f"| {label} | {calls} | {flop / 1e9:.4g} | {n_bytes / 1e9:.3g} |")


def print_kernels(kernels: dict[str, tuple[int, float]]) -> None:
    """Print a row for each of the kernels that take longest."""
    print()
    print_header("kernel", "calls", "ms")
    for name in sorted(kernels, key=lambda name: -kernels[name][1])[:N_ROWS]:
        count, milliseconds = kernels[name]
        print(f"| {name[:80].replace('|', '/')} | {count} | {milliseconds:.3g} |")
    print(
        f"| together | {sum(n for n, _ in kernels.values())} | {sum(ms for _, ms in kernels.values()):.3g} |"
    )


def main() -> None:
    """Print the tables of each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=KINDS, metavar="MODEL/DATASET[@BATCH]")
    parser.add_argument("--quick", action="store_true", help="demo scale")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    chosen = parser.parse_args()
    config = schema.read_yaml(ROOT / "config/config.yaml")
    if chosen.quick:
        update_config(config, schema.read_yaml(ROOT / "config/demo.yaml"))
    config = configuration.resolve(config, ROOT)
    device = select_device(config["train"]["accelerator"])
    configure_torch(len(os.sched_getaffinity(0)), tf32=config["train"]["tf32"])
    for kind in chosen.kinds:
        step = made(kind, config, chosen.precision, device)
        seconds = median_seconds(step, 1, 2)
        print(f"\n{kind} on {device.type}, {chosen.precision}: {1e3 * seconds:.4g} ms per training step\n")
        print_operators(counted(step))
        if kernels := kernels_of(step):
            print_kernels(kernels)


if __name__ == "__main__":
    main()
