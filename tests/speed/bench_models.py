"""Time, memory and agreement of the models beside a plain implementation of the published algorithms.

Prints one table, tests nothing; under six minutes on two idle cores, seconds with --quick (tiny sizes).
Run from anywhere: python tests/speed/bench_models.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")

import argparse
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import reference_models as plain
import torch

from morphobench import models
from morphobench.models import losses
from morphobench.models.cells import EpochOrder, data_loader, open_cells
from morphobench.models.losses.sinkhorn import sinkhorn

REPEATS = 1 if "--quick" in sys.argv else 5
# A call slower than this is its own warm-up; repeats end when they have taken this long together.
SLOW_S = 10.0
BLUR, SCALING = 0.01, 0.5


@dataclass
class Sizes:
    """What is measured; the defaults are the published widths."""

    batch: int = 4
    n_points: int = 2048
    hidden_dim: int = 64
    latent_dim: int = 256
    folding_hidden: int = 512
    k: int = 20
    cube: int = 35
    image_latent: int = 512
    channels: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 1, 2, 2, 2, 2, 2)
    memory_batch: int = 32
    # Memory of the published formulation is linear in the batch: two small ones are measured.
    memory_plain_batches: tuple[int, int] = (4, 8)

    @classmethod
    def tiny(cls) -> Sizes:
        image = {"cube": 9, "image_latent": 8, "channels": (2, 4), "strides": (1, 2)}
        memory = {"memory_batch": 4, "memory_plain_batches": (2, 3)}
        narrow = {"hidden_dim": 8, "latent_dim": 16, "folding_hidden": 32, "k": 5}
        return cls(batch=2, n_points=256, **narrow, **image, **memory)


@dataclass
class Row:
    """One line: seconds (or GB) of both, and the largest difference relative to the largest value."""

    name: str
    plain: float
    ours: float
    difference: float | None
    unit: str = "s"

    def line(self) -> str:
        agreement = "" if self.difference is None else f"{self.difference:.0e}"
        # A step may add nothing to the memory of a process that held more before.
        ratio = f"{self.plain / self.ours:.1f}" if self.ours else "?"
        numbers = f"{self.plain:.3g} {self.unit} | {self.ours:.3g} {self.unit} | {ratio}"
        return f"| {self.name} | {numbers} | {agreement} |"


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str) -> float:
    """Return the median of up to `REPEATS` wall times after a warm-up."""

    def once() -> float:
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        return time.perf_counter() - start

    warm_up = once()
    times = [warm_up] if warm_up > SLOW_S else []
    while not times or (len(times) < REPEATS and sum(times) < SLOW_S):
        times.append(once())
    return statistics.median(times)


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def compared(name: str, theirs: Callable, ours: Callable, device: str) -> Row:
    """Measure one row; both calls return a tensor, and what they return first is compared."""
    first: dict[str, torch.Tensor] = {}

    def timed(key: str, call: Callable) -> float:
        def run() -> None:
            result = call()
            # Only the first: a training step moves running statistics, and the two run unequally often.
            first.setdefault(key, result)

        return seconds(run, device)

    plain_s, ours_s = timed("plain", theirs), timed("ours", ours)
    return Row(name, plain_s, ours_s, difference(first["ours"], first["plain"]))


def encoded(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval().encode(x)


def step(model: torch.nn.Module, x: torch.Tensor, loss: Callable) -> torch.Tensor:
    """Do a training step without the update: forward, loss, backward; return all gradients in a row."""
    model.train()
    parameters = {
        re.sub(r"\b(pcloud|embedding|image)\.", "", name): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    found = torch.autograd.grad(
        loss(model(x), x).mean(), [parameters[name] for name in sorted(parameters)], materialize_grads=True
    )
    return torch.cat([gradient.flatten() for gradient in found])


def loss_step(loss: Callable, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a = a.clone().requires_grad_()
    value = loss(a, b)
    value.sum().backward()
    return value.detach()


def squares(decoded: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Stand in for a loss that costs nothing."""
    return decoded.square().mean(dim=(1, 2))


def clouds(batch: int, n_points: int, seed: int, device: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(batch, n_points, 3, generator=generator).to(device)


def pointcloud_models(sizes: Sizes, device: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return the published formulation and ours, with the same weights."""
    torch.manual_seed(0)
    ours = models.create(
        "rotation_invariant_pointcloud",
        latent_dim=sizes.latent_dim,
        hidden_dim=sizes.hidden_dim,
        k=sizes.k,
        n_output_points=sizes.n_points,
        grid="plane",
        folding_hidden=sizes.folding_hidden,
    ).to(device)
    with torch.no_grad():
        # He's scale: with torch's own, an untrained decoder draws all points within the published 1e-4 floor.
        for parameter in ours.parameters():
            parameter.mul_(6**0.5 if parameter.ndim == 2 else 1)
    theirs = plain.PointcloudModel(ours, sizes.hidden_dim, sizes.folding_hidden, sizes.k).to(device)
    return theirs, ours


def pointcloud_rows(sizes: Sizes, device: str) -> Iterator[Row]:
    x = clouds(sizes.batch, sizes.n_points, 1, device)
    theirs, ours = pointcloud_models(sizes, device)
    entropic = partial(sinkhorn, blur=BLUR, scaling=SCALING)
    as_published = partial(plain.sinkhorn, blur=BLUR, scaling=SCALING)
    decoded = clouds(sizes.batch, len(ours.decoder["pcloud"].grid), 2, device) + 0.2
    shape, pair = f"{sizes.batch}x{sizes.n_points}x3", f"{decoded.shape[1]} to {sizes.n_points} points"
    calls = [
        (f"vector neurons, encode {shape}", partial(encoded, theirs, x), partial(encoded, ours, x)),
        ("... step without loss", partial(step, theirs, x, squares), partial(step, ours, x, squares)),
        ("... step with Sinkhorn", partial(step, theirs, x, as_published), partial(step, ours, x, entropic)),
        (
            f"Sinkhorn with gradient, {pair}",
            partial(loss_step, as_published, decoded, x),
            partial(loss_step, entropic, decoded, x),
        ),
        (
            "Chamfer with gradient",
            partial(loss_step, plain.chamfer, decoded, x),
            partial(loss_step, losses.chamfer, decoded, x),
        ),
    ]
    for name, *pair in calls:
        yield compared(name, *pair, device)


def image_rows(sizes: Sizes, device: str) -> Iterator[Row]:
    torch.manual_seed(0)
    ours = models.create(
        "rotation_invariant_image",
        size=sizes.cube,
        latent_dim=sizes.image_latent,
        channels=sizes.channels,
        strides=sizes.strides,
        num_res_units=2,
    ).to(device)
    theirs = plain.ImageModel(ours, sizes.channels, sizes.strides, 2).to(device)
    x = torch.randn(sizes.batch, 1, *[sizes.cube] * 3, generator=torch.Generator().manual_seed(1)).to(device)
    names = (
        f"SO(3) image, encode {sizes.batch}x{sizes.cube}^3 (exported)",
        "... step with mean square error",
    )
    yield compared(names[0], partial(encoded, theirs, x), partial(encoded, ours.eval().export(), x), device)
    yield compared(names[1], partial(step, theirs, x, losses.mse), partial(step, ours, x, losses.mse), device)


def peak_gb(device: str) -> float:
    """Return the largest memory that this process (on a GPU: its tensors there) ever held, in GB."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    # Unlike getrusage, this does not start from the size of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1e6


def step_memory_gb(formulation: str, batch: int, sizes: Sizes, device: str) -> float:
    """Return what one training step with Sinkhorn loss adds to the memory; for a fresh process."""
    model = pointcloud_models(sizes, device)[("plain", "ours").index(formulation)]
    loss = {"plain": plain.sinkhorn, "ours": sinkhorn}[formulation]
    x = clouds(batch, sizes.n_points, 1, device)
    before_gb = peak_gb(device)
    # Few annealing steps: each needs the same memory.
    step(model, x, partial(loss, blur=BLUR, scaling=1e-3))
    return peak_gb(device) - before_gb


def memory_row(sizes: Sizes, device: str, quick: bool) -> Row:
    def fresh(formulation: str, batch: int) -> float:
        """Measure in a process of its own; when `quick` in this one, whose peak may be of before."""
        if quick:
            return step_memory_gb(formulation, batch, sizes, device)
        arguments = [sys.executable, __file__, "--device", device, "--memory", formulation, str(batch)]
        return float(subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True).stdout)

    low, high = sizes.memory_plain_batches
    low_gb, high_gb = fresh("plain", low), fresh("plain", high)
    plain_gb = high_gb + (high_gb - low_gb) / (high - low) * (sizes.memory_batch - high)
    name = f"peak memory, step {sizes.memory_batch}x{sizes.n_points} (published: from {low} and {high})"
    return Row(name, plain_gb, fresh("ours", sizes.memory_batch), None, "GB")


def loader_seconds(sizes: Sizes) -> float:
    """Return the seconds per batch that reading a fabricated shard takes."""
    n_cells = 16 * sizes.batch
    with tempfile.TemporaryDirectory() as folder:
        points_um = np.random.default_rng(0).normal(size=(n_cells, sizes.n_points, 3)).astype(np.float32)
        np.save(Path(folder) / "points_um.npy", points_um)
        table = pd.DataFrame({"CellId": [str(i) for i in range(n_cells)], "index": range(n_cells)})
        table.assign(split="train", shard=0, success=True).to_parquet(Path(folder) / "manifest.parquet")
        settings = {"representation": "points", "input_scale": 0.1}
        cells = open_cells(Path(folder) / "manifest.parquet", [folder], settings, "train")
        order = EpochOrder(len(cells), seed=1)
        batches = data_loader(cells, settings, batch_size=sizes.batch, order=order)
        return seconds(lambda: sum(len(batch.x) for batch in batches), "cpu") / len(batches)


def rows(sizes: Sizes, device: str, quick: bool) -> Iterator[Row]:
    """Measure everything."""
    yield from pointcloud_rows(sizes, device)
    yield from image_rows(sizes, device)
    yield memory_row(sizes, device, quick)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memory", nargs=2, metavar=("FORMULATION", "BATCH"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1 if chosen.quick else 2)
    sizes = Sizes.tiny() if chosen.quick else Sizes()
    if chosen.memory:
        formulation, batch = chosen.memory
        print(step_memory_gb(formulation, int(batch), sizes, chosen.device))
        return
    where = torch.cuda.get_device_name() if chosen.device == "cuda" else platform.machine()
    print(f"{where}, {torch.get_num_threads()} threads; median of up to {REPEATS} after a warm-up\n")
    print("| | published formulation | morphobench | ratio | largest relative difference |")
    print("|---|---|---|---|---|")
    for row in rows(sizes, chosen.device, chosen.quick):
        print(row.line(), flush=True)
        if "step with Sinkhorn" in row.name:
            step_s = row.ours
    batch_s = loader_seconds(sizes)
    print(f"\nThe loader takes {batch_s * 1e3:.2f} ms a batch, {batch_s / step_s:.2%} of a training step.")


if __name__ == "__main__":
    main()
