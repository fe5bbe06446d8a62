"""What each figure costs at paper scale, from benchmark files and shard counts: `make plan`.

`measure` turns the benchmark files of a run into costs per cell and per job, kept in config/costs.yaml beside
what tests/speed/bench_training.py measures on a GPU; `table` multiplies them by what Snakemake plans.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from morphobench import config as configuration
from morphobench.config import schema
from morphobench.errors import InputError
from morphobench.files import read_cells

COSTS = Path("config/costs.yaml")
_OF_CELLS = ("download", "align", "mask", "sample")
_LOCAL = (
    *(
        "download_manifest",
        "mask_box",
        "mask_scale_factor",
        "sample_manifest",
        "score_pairs",
        "score_combined",
    ),
    *("analyse_examples", "analyse_strata", "analyse_pca", "analyse_volume_bins", "plot_figure"),
)
_TURNS = {"identity": "all", "lattice": "test", "uniform": "test"}
_N_LATTICE = 24


class Cost(NamedTuple):
    """What jobs cost: hours of one core, of one GPU, and gigabytes that stay on disk."""

    cpu_h: float = 0.0
    gpu_h: float = 0.0
    disk_gb: float = 0.0

    def plus(self, other: Cost, times: float = 1.0) -> Cost:
        """Add another cost, so many times."""
        return Cost(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


class Output(NamedTuple):
    """A file that a plan makes: of which rule, data set (or None), model (or None), and its name."""

    rule: str
    dataset: str | None
    model: str | None
    name: str


def outputs_of(summary: str, config: Mapping[str, Any]) -> list[Output]:
    """Read what `snakemake --summary` lists."""
    found = []
    for line in summary.splitlines():
        path, *rest = line.split("\t")
        if len(rest) >= 5 and path != "output_file":
            parts = path.split("/")
            dataset = next((part for part in parts if part in config["datasets"]), None)
            model = next((part for part in parts if part in config["models"]), None)
            found.append(Output(rest[1], dataset, model, parts[-1].split(".")[0]))
    return found


def _embeddings(pose: str, n_cells: int, config: Mapping[str, Any]) -> float:
    if _TURNS[pose] == "all":
        return n_cells
    turns = _N_LATTICE if pose == "lattice" else config["embed"]["n_uniform"]
    return n_cells * config["sample"]["split"]["test"] * turns


def _gpu_seconds(settings: Mapping[str, Any], known: Mapping[Any, Any], key: str) -> float:
    """Return GPU seconds per cell of a model; of volumes, those of the nearest size that was measured."""
    size = settings["architecture"].get("size")
    if size is None:
        return known[key]
    measured = min(known, key=lambda other: abs(math.log(other / size)))
    return known[measured][key] * (size / measured) ** 3


def cost_of(output: Output, config: Mapping[str, Any], costs: Mapping[str, Any]) -> Cost:
    """Return what the job of an output costs: measured seconds per unit times the number of units.

    A training counts as if it took all of `max_epochs`; volumes cost by their voxels.
    """
    rule, seconds = output.rule, costs["job_start_s"]
    if output.dataset is None:
        return Cost(cpu_h=(seconds + costs["jobs_s"].get(rule, 0.0)) / 3600)
    dataset = config["datasets"][output.dataset]
    n_cells = dataset["n_cells"]
    if rule in _OF_CELLS:
        parts = [output.dataset, *dataset.get("cells_from", [])] if rule == "sample" else [output.dataset]
        n_shards = sum(config["datasets"][name]["n_shards"] for name in parts)
        per_cell = costs["cells_s"][dataset["kind"]][rule]
        # Cells of the data sets that this one shares are part of its own number.
        share = n_cells / max(n_shards, 1)
        stored = costs["cells_mb"][dataset["kind"]][rule] * share / 1000
        return Cost(cpu_h=(seconds + per_cell * share) / 3600, disk_gb=stored)
    if rule in ("train", "embed"):
        settings = configuration.model_for(config, output.dataset, output.model)
        known = costs["gpu_s"][f"{settings['family']}/{settings['representation']}"]
        if rule == "embed":
            gpu_s = _embeddings(output.name, n_cells, config) * _gpu_seconds(settings, known, output.name)
        else:
            n_trained = n_cells * config["sample"]["split"]["train"] * settings["training"]["max_epochs"]
            gpu_s = n_trained * _gpu_seconds(settings, known, "train")
        return Cost(cpu_h=seconds / 3600, gpu_h=gpu_s / 3600)
    return Cost(cpu_h=(seconds + costs["jobs_s"].get(rule, 0.0)) / 3600)


def total(
    outputs: Iterable[Output], jobs: Mapping[str, int], config: Mapping[str, Any], costs: Mapping[str, Any]
) -> Cost:
    """Add up the costs of jobs; a job with several outputs counts once."""
    outputs = list(outputs)
    listed = Counter(output.rule for output in outputs)
    cost = Cost()
    for output in outputs:
        cost = cost.plus(cost_of(output, config, costs), jobs.get(output.rule, 0) / listed[output.rule])
    return cost


def _snakemake(*arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{' '.join(command[2:])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def planned(target: str) -> tuple[dict[str, int], str]:
    """Return the number of jobs of each rule behind a target at paper scale, and what `--summary` lists."""
    from morphobench.jobs.status import jobs_of

    scale = ("--config", "scale=paper", "--", target)
    return jobs_of(_snakemake("--dry-run", "--forceall", *scale)), _snakemake("--summary", *scale)


def row(target: str, jobs: Mapping[str, int], cost: Cost) -> str:
    """Return a line of the table."""
    here = sum(count for rule, count in jobs.items() if rule in _LOCAL)
    submitted = sum(jobs.values()) - here
    costs = f"{cost.cpu_h:,.1f} | {cost.gpu_h:,.0f} | {cost.disk_gb:,.1f} GB"
    return f"| `{target}` | {submitted} + {here} | {costs} |"


def table(targets: Iterable[str]) -> str:
    """Return the table of the README for these targets."""
    overlay = schema.read_yaml(Path("config/config.yaml"))
    config, costs = configuration.resolve(overlay), schema.read_yaml(COSTS)
    lines = [
        "| target | jobs: submitted + local | CPU core hours (m) | GPU hours (m, e) | disk (m) |",
        "|---|---|---|---|---|",
    ]
    for target in targets:
        jobs, summary = planned(target)
        lines.append(row(target, jobs, total(outputs_of(summary, config), jobs, config, costs)))
    return "\n".join(lines)


def _cpu_seconds(path: Path) -> float:
    names, *_, values = (line.split("\t") for line in path.read_text().splitlines())
    return float(dict(zip(names, values, strict=True))["cpu_time"])


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _measure_cells(root: Path, kinds: Mapping[str, str]) -> Iterable[tuple[str, str, float, float, int]]:
    for stage in _OF_CELLS:
        for path in (root / "benchmarks" / stage).glob("*/shard-*.tsv"):
            shard = root / "results" / stage / path.parent.name / path.stem
            n_cells = len(read_cells(shard))
            if n_cells:
                yield kinds[path.parent.name], stage, _cpu_seconds(path), _size_mb(shard), n_cells


def measure(roots: Iterable[Path], job_start_s: float) -> dict[str, Any]:
    """Return the costs that the benchmark files in these folders of finished runs tell.

    Parameters
    ----------
    roots
        Folders with benchmarks/ and results/ at paper scale, of few cells.
    job_start_s
        CPU seconds until a job of the cluster has started, put into every job.
    """
    settings = configuration.resolve(schema.read_yaml(Path("config/config.yaml")))
    kinds = {name: dataset["kind"] for name, dataset in settings["datasets"].items()}
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    jobs = defaultdict(list)
    for root in roots:
        for kind, stage, cpu_s, mb, n_cells in _measure_cells(root, kinds):
            sums[kind, stage] = [a + b for a, b in zip(sums[kind, stage], (cpu_s, mb, n_cells), strict=True)]
        for path in (root / "benchmarks").rglob("*.tsv"):
            rule = path.relative_to(root / "benchmarks").parts[0].removesuffix(".tsv")
            if rule not in (*_OF_CELLS, "train", "embed"):
                jobs[rule].append(_cpu_seconds(path))
    costs: dict[str, Any] = {"job_start_s": job_start_s, "cells_s": {}, "cells_mb": {}}
    for (kind, stage), (cpu_s, mb, n_cells) in sorted(sums.items()):
        costs["cells_s"].setdefault(kind, {})[stage] = round(cpu_s / n_cells, 4)
        costs["cells_mb"].setdefault(kind, {})[stage] = round(mb / n_cells, 4)
    costs["jobs_s"] = {rule: round(sum(values) / len(values), 2) for rule, values in sorted(jobs.items())}
    return costs


def main(arguments: list[str]) -> None:
    """Print the table for the targets named, or `measure FOLDER...`: costs for config/costs.yaml."""
    if arguments[:1] == ["measure"]:
        print(yaml.safe_dump(measure(map(Path, arguments[1:]), job_start_s=8.0), sort_keys=False))
    else:
        figures = sorted(Path("config/figures").glob("*.yaml"))
        print(table(arguments or [*(f"figures/{path.stem}.pdf" for path in figures), "all"]))


if __name__ == "__main__":
    main(sys.argv[1:])
