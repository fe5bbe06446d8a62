"""Cost of each figure at paper scale, from measured costs and shard counts: `make plan`.

`measure` turns the benchmark files of a run into costs per cell and per job, kept in config/costs.yaml beside
what tests/speed/bench_training.py measures on a GPU; `table` multiplies them by what Snakemake plans.
"""

import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from morphobench import config as configuration
from morphobench.config import schema
from morphobench.errors import InputError
from morphobench.files import read_cells
from morphobench.jobs.status import jobs_of

COSTS = Path("config/costs.yaml")
_SHARDED = ("download", "align", "mask", "sample")
_ON_A_GPU = ("train", "embed", "embed_scored")
_LOCAL = (
    *("download_manifest", "mask_box", "mask_scale_factor", "sample_manifest", "sample_fold"),
    *("train_baseline", "train_reuse", "train_weights", "embed_own", "embed_own_rotated", "embed_freeze"),
    *("score_pairs", "score_fold_pairs", "score_combined"),
    *("analyse_examples", "analyse_trainings", "analyse_strata", "analyse_volume_bins"),
    *("plot_figure", "plot_crate", "plot_picture", "plot_results", "published_cellprofiler"),
)

Config = Mapping[str, Any]


class Cost(NamedTuple):
    """Hours of one core, gigabytes that stay on disk, and hours of one GPU.

    GPU hours of trainings that end at `min_epochs`, where early stopping would end them (were validation best
    as early as at workstation scale), and at `max_epochs`; of these `extrapolated_h` are of unmeasured sizes.
    """

    cpu_h: float = 0.0
    disk_gb: float = 0.0
    gpu_least_h: float = 0.0
    gpu_likely_h: float = 0.0
    gpu_most_h: float = 0.0
    extrapolated_h: float = 0.0

    def plus(self, other: Self, times: float = 1.0) -> Self:
        """Add another cost, so many times."""
        return Cost(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


class Output(NamedTuple):
    """A planned file: its rule, data set (or None), model (or None) and name."""

    rule: str
    dataset: str | None
    model: str | None
    name: str


def outputs_of(summary: str, config: Config) -> list[Output]:
    """Read what `snakemake --summary` lists."""
    outputs = []
    for line in summary.splitlines():
        path, *rest = line.split("\t")
        if len(rest) >= 5 and path != "output_file":
            parts = path.split("/")
            dataset = next((part for part in parts if part in config["datasets"]), None)
            model = next((part for part in parts if part in config["models"]), None)
            outputs.append(Output(rest[1], dataset, model, parts[-1].split(".")[0]))
    return outputs


def _gpu_seconds(model: Config, known: Mapping[Any, Any], key: str) -> tuple[float, bool]:
    """Return GPU seconds per cell of a model, and whether they are extrapolated.

    Those of volumes are those of the nearest size that was measured, times their voxels.
    """
    size = model["architecture"].get("size")
    if size is None:
        return known[key], False
    measured = min(known, key=lambda other: abs(math.log(other / size)))
    return known[measured][key] * (size / measured) ** 3, size != measured


def epochs_of(model: Config, best_share: float) -> tuple[float, float, float]:
    """Return after how many epochs a training may end: the least, likely and the most.

    Likely is where early stopping ends it if validation is best after `best_share` of `max_epochs`.
    """
    training = model["training"]
    least, most = (min(training[key], training["max_epochs"]) for key in ("min_epochs", "max_epochs"))
    return least, min(most, max(least, best_share * most + training["patience"])), most


def _passes(rule: str, config: Config) -> dict[str, float]:
    """Return how often a job passes each cell of the data set through the model, on average, by what for.

    A training for one epoch.
    """
    split = config["sample"]["split"]
    if rule == "train":
        return {"train": split["train"]}
    if rule == "embed":
        return {"identity": 1}
    # One of the uniform rotations there and back.
    rotations = {"lattice": 24, "uniform": config["embed"]["n_uniform"] + 1}
    return {name: split["test"] * n for name, n in rotations.items()}


def cost_of(output: Output, config: Config, costs: Config) -> Cost:
    """Return the cost of an output's job."""
    rule, seconds, dataset = output.rule, costs["job_start_s"], config["datasets"].get(output.dataset)
    if rule in _SHARDED:
        # Cells of the data sets that this one shares are part of its own number.
        names = [output.dataset, *dataset.get("cells_from", [])] if rule == "sample" else [output.dataset]
        n_cells = dataset["n_cells"] / max(1, sum(config["datasets"][name]["n_shards"] for name in names))
        cell_s, cell_mb = (costs[key][dataset["kind"]][rule] for key in ("cells_s", "cells_mb"))
        return Cost(cpu_h=(seconds + cell_s * n_cells) / 3600, disk_gb=cell_mb * n_cells / 1000)
    # Descriptors with a decoder are embedded by the same rules, on a CPU.
    if rule in _ON_A_GPU and output.model:
        return Cost(seconds / 3600, 0.0, *_gpu_hours(output, config, costs))
    return Cost(cpu_h=(seconds + costs["jobs_s"].get(rule, 0.0)) / 3600)


def _gpu_hours(output: Output, config: Config, costs: Config) -> tuple[float, float, float, float]:
    """Return the last four of a `Cost`."""
    model = configuration.model_for(config, output.dataset, output.model)
    known = costs["gpu_s"][f"{model['family']}/{model['representation']}"]
    passes = [(n, *_gpu_seconds(model, known, kind)) for kind, n in _passes(output.rule, config).items()]
    hours = config["datasets"][output.dataset]["n_cells"] * sum(n * cell_s for n, cell_s, _ in passes) / 3600
    times = (
        epochs_of(model, costs["best_epoch_share"][model["family"]]) if output.rule == "train" else [1] * 3
    )
    least, likely, most = (hours * n for n in times)
    return least, likely, most, most * any(extrapolated for *_, extrapolated in passes)


def clouds_alone(outputs: Iterable[Output], config: Config) -> list[Output] | None:
    """Return the outputs without those of models of cubes; None where models read more or less than both."""
    kept = [output for output in outputs if _reads(output, config) != "cube"]
    kinds = {_reads(output, config) for output in outputs}
    return kept if kinds - {None} == {"points", "cube"} else None


def _reads(output: Output, config: Config) -> str | None:
    return config["models"][output.model]["representation"] if output.model else None


def total(outputs: Iterable[Output], jobs: Mapping[str, float], config: Config, costs: Config) -> Cost:
    """Add up the costs of jobs; a job with several outputs counts once."""
    outputs, cost = list(outputs), Cost()
    listed = Counter(output.rule for output in outputs)
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
    scale = ("--config", "scale=paper", "--", target)
    return jobs_of(_snakemake("--dry-run", "--forceall", *scale)), _snakemake("--summary", *scale)


def row(target: str, jobs: Mapping[str, float], cost: Cost) -> str:
    """Return a line of the table."""
    here = sum(count for rule, count in jobs.items() if rule in _LOCAL)
    submitted = sum(jobs.values()) - here
    gpu_hours = (cost.gpu_least_h, cost.gpu_likely_h, cost.gpu_most_h)
    hours = " / ".join(f"{value:,.{int(value < 10)}f}" for value in gpu_hours)
    extrapolated = f"{cost.extrapolated_h / cost.gpu_most_h:.0%}" if cost.gpu_most_h else "0%"
    costs = f"{cost.cpu_h:,.1f} | {hours} | {extrapolated} | {cost.disk_gb:,.1f} GB"
    return f"| {target} | {submitted:.0f} + {here:.0f} | {costs} |"


def table(targets: Iterable[str]) -> str:
    """Return the table of docs/cluster.md for these targets."""
    config = configuration.resolve(schema.read_yaml(Path("config/config.yaml")))
    costs = schema.read_yaml(COSTS)
    hours = "GPU hours: `min_epochs` / early stopping / `max_epochs` (m, e)"
    header = f"| target | jobs: submitted + local | CPU core hours (m) | {hours} | of it (e) | disk (m) |"
    lines = [header, "|---|---|---|---|---|---|"]
    for target in targets:
        jobs, summary = planned(target)
        outputs = outputs_of(summary, config)
        lines.append(row(f"`{target}`", jobs, total(outputs, jobs, config, costs)))
        if (kept := clouds_alone(outputs, config)) is not None:
            fewer = shared_jobs(jobs, outputs, kept)
            lines.append(row(f"`{target}`, clouds alone", fewer, total(kept, fewer, config, costs)))
    return "\n".join(lines)


def shared_jobs(jobs: Mapping[str, int], outputs: list[Output], kept: list[Output]) -> dict[str, float]:
    """Return the number of jobs of each rule that make `kept` of all `outputs`."""
    of_all, of_kept = (Counter(output.rule for output in some) for some in (outputs, kept))
    return {rule: n * of_kept[rule] / of_all[rule] if of_all[rule] else n for rule, n in jobs.items()}


def _cpu_seconds(path: Path) -> float:
    names, *_, values = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return float(dict(zip(names, values, strict=True))["cpu_time"])


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(roots: Iterable[Path], job_start_s: float) -> dict[str, Any]:
    """Return the content of config/costs.yaml, without GPU seconds, from finished runs of few cells.

    `roots` have benchmarks/ and results/ at paper scale; `job_start_s` are CPU seconds until a job starts.
    """
    datasets = configuration.resolve(schema.read_yaml(Path("config/config.yaml")))["datasets"]
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    jobs = defaultdict(list)
    for root in roots:
        for path in sorted((root / "benchmarks").rglob("*.tsv")):
            rule, name, *_ = path.relative_to(root / "benchmarks").with_suffix("").parts
            if rule not in _SHARDED:
                jobs[rule].append(_cpu_seconds(path))
            elif n_cells := len(read_cells(shard := root / "results" / rule / name / path.stem)):
                sums[datasets[name]["kind"], rule].update(s=_cpu_seconds(path), mb=_size_mb(shard), n=n_cells)
    costs: dict[str, Any] = {"job_start_s": job_start_s, "cells_s": {}, "cells_mb": {}}
    for (kind, rule), found in sorted(sums.items()):
        costs["cells_s"].setdefault(kind, {})[rule] = round(found["s"] / found["n"], 4)
        costs["cells_mb"].setdefault(kind, {})[rule] = round(found["mb"] / found["n"], 4)
    costs["jobs_s"] = {
        rule: round(sum(values) / len(values), 2)
        for rule, values in sorted(jobs.items())
        if rule not in _ON_A_GPU
    }
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
