"""Rows of `make bench-training`, and what of them config/costs.yaml holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from morphobench import config as configuration


class StepCost(NamedTuple):
    """A training step on a batch that lies on the device: seconds, operations of its products, operators.

    And kernels of a GPU, None without one.
    """

    seconds: float
    flop: int
    operators: int
    kernels: int | None


class Row(NamedTuple):
    """Seconds per cell of a kind of model; `step` is of a batch at hand, `loader` a share of `train_s`."""

    model: str
    dataset: str
    size: str
    batch_size: int
    train_s: float
    loader: float
    step: StepCost
    validate_s: float
    embed_s: dict[str, float]
    peak_gb: float

    def line(self) -> str:
        step_s = self.step.seconds / self.batch_size
        seconds = [self.train_s, step_s, self.validate_s, *self.embed_s.values()]
        times = " | ".join(f"{1e3 * value:.3g}" for value in seconds)
        return f"| {self.model} | {self.dataset} | {self.batch_size} | {times} | {self.peak_gb:.1f} |"

    def step_line(self, rate: float) -> str:
        """Return the row of what a step computes, beside `rate`, operations per second of matrix products."""
        step, achieved = self.step, self.step.flop / self.step.seconds
        ms, gflop = 1e3 * step.seconds / self.batch_size, step.flop / 1e9 / self.batch_size
        of = (
            f"{self.model} | {self.size} | {self.batch_size} | {ms:.3g} | {gflop:.3g} | {achieved / 1e12:.3g}"
        )
        launched = f"{step.operators} | {'-' if step.kernels is None else step.kernels}"
        return f"| {of} | {achieved / rate:.1%} | {launched} | {self.loader:.0%} | {self.peak_gb:.1f} |"


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


def print_header(*columns: str) -> None:
    """Print the head of a table."""
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
