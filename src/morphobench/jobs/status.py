"""What a run is doing, in a second and from its files alone: `make status`."""

import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

STAGES = ("download", "align", "mask", "sample", "train", "embed", "score", "analyse", "plot")
# Of preprocessing, the stage furthest on is the one whose cells count.
_WITH_CELLS = ("mask", "align", "download")
_EPOCH = re.compile(r"epoch (\d+) of (\d+), val loss (\S+), at most (.+) left")
_TABLE = re.compile(r"^Job stats:\n(.*?)\n\n", re.MULTILINE | re.DOTALL)
_SILENT_S = 24 * 3600


class Job(NamedTuple):
    """One job as its log tells of it.

    Attributes
    ----------
    rule
        Name of the rule.
    state
        done, running, failed, or killed: begun, and ended without a word.
    text
        The log.
    path
        Of the log.
    """

    rule: str
    state: str
    text: str
    path: Path


def state_of(text: str, age_s: float) -> str:
    """Return the state of a job from its log and the seconds since something was written there."""
    last = text.rstrip().rsplit("\n", 1)[-1]
    if re.search(r" done in [\d.]+ s", last):
        return "done"
    if " not complete after " in last or " ERROR " in last:
        return "failed"
    here = re.search(rf" on {re.escape(os.uname().nodename)}, .* process (\d+)", text)
    if here and "SLURM" not in text:
        return "running" if Path(f"/proc/{here.group(1)}").exists() else "killed"
    # On another machine nothing is known of a process; a job that wrote nothing for a day has ended.
    return "running" if age_s < _SILENT_S else "killed"


def read_jobs(root: Path) -> list[Job]:
    """Return every job that has a log below `root`/logs."""
    found = []
    for path in sorted((root / "logs").rglob("*.log")):
        text = path.read_text(errors="replace")
        age_s = time.time() - path.stat().st_mtime
        rule = path.relative_to(root / "logs").parts[0].removesuffix(".log")
        found.append(Job(rule, state_of(text, age_s), text, path))
    return found


def jobs_of(text: str) -> dict[str, int]:
    """Return Snakemake's table of jobs, rule to number; empty where the text has none."""
    found = _TABLE.search(text)
    rows = re.findall(r"^(\w+) +(\d+)$", found.group(1), re.MULTILINE) if found else []
    return {name: int(count) for name, count in rows if name not in ("total", "all")}


def planned_jobs(root: Path) -> dict[str, int]:
    """Return how many jobs of each rule the latest run set out to do."""
    logs = sorted((root / ".snakemake/log").glob("*.snakemake.log"), key=lambda path: path.stat().st_mtime)
    for path in reversed(logs):
        if found := jobs_of(path.read_text(errors="replace")):
            return found
    return {}


def seconds_per_job(root: Path) -> dict[str, float]:
    """Return the mean seconds of the jobs of each rule, from the benchmark files."""
    found = defaultdict(list)
    for path in (root / "benchmarks").rglob("*.tsv"):
        lines = path.read_text().splitlines()
        if len(lines) > 1:
            rule = path.relative_to(root / "benchmarks").parts[0].removesuffix(".tsv")
            found[rule].append(float(lines[-1].split("\t")[0]))
    return {rule: sum(values) / len(values) for rule, values in found.items()}


def time_left(
    planned: dict[str, int], jobs: Iterable[Job], seconds: dict[str, float]
) -> tuple[float, list[str]]:
    """Estimate the seconds that are left, with as many jobs at a time as run now.

    Returns
    -------
    tuple
        Seconds, and the rules of which no job has ended yet, so that nothing is known of their jobs.
    """
    jobs = list(jobs)
    done = Counter(job.rule for job in jobs if job.state == "done")
    running = sum(job.state == "running" for job in jobs)
    left = {rule: max(0, count - done[rule]) for rule, count in planned.items()}
    unknown = [rule for rule, count in left.items() if count and rule not in seconds]
    total = sum(count * seconds.get(rule, 0.0) for rule, count in left.items())
    return total / max(1, running), unknown


def read_cells(root: Path) -> list[tuple[str, str, int, int, int, str]]:
    """Return of each dataset: name, stage, cells, failed, excluded, and the most frequent reason."""
    rows = []
    names = {
        path.parent.name for stage in _WITH_CELLS for path in (root / "results").glob(f"{stage}/*/shard-*")
    }
    for name in sorted(names):
        manifest = root / f"results/sample/{name}/manifest.parquet"
        if manifest.exists():
            rows.append((name, "sample", *_count([manifest])))
            continue
        for stage in _WITH_CELLS:
            tables = sorted((root / "results").glob(f"{stage}/{name}/shard-*/cells.parquet"))
            if tables:
                rows.append((name, stage, *_count(tables)))
                break
    return rows


def _count(tables: Sequence[Path]) -> tuple[int, int, int, str]:
    import pyarrow.parquet as parquet

    cells, failed, excluded, reasons = 0, 0, 0, Counter()
    for path in tables:
        file = parquet.ParquetFile(path)
        wanted = [name for name in ("success", "excluded", "error") if name in file.schema_arrow.names]
        columns = file.read(columns=wanted).to_pydict()
        left_out = columns.get("excluded", [False] * len(columns["success"]))
        bad = [not good and not out for good, out in zip(columns["success"], left_out, strict=True)]
        cells, failed, excluded = cells + len(bad), failed + sum(bad), excluded + sum(map(bool, left_out))
        errors = columns.get("error", [""] * len(bad))
        reasons.update(error for error, is_bad in zip(errors, bad, strict=True) if is_bad)
    return cells, failed, excluded, reasons.most_common(1)[0][0] if reasons else ""


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min" if minutes else "less than a minute"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"


def _stage(rule: str) -> str:
    return rule.split("_")[0]


def _job_lines(planned: dict[str, int], jobs: Sequence[Job]) -> list[str]:
    lines = [f"{'stage':10}{'planned':>9}{'done':>7}{'running':>9}{'failed':>8}{'killed':>8}"]
    counts = Counter((_stage(job.rule), job.state) for job in jobs)
    wanted = Counter()
    for rule, count in planned.items():
        wanted[_stage(rule)] += count
    for stage in STAGES:
        states = [counts[stage, state] for state in ("done", "running", "failed", "killed")]
        if wanted[stage] or any(states):
            done, running, failed, killed = states
            lines.append(f"{stage:10}{wanted[stage]:9}{done:7}{running:9}{failed:8}{killed:8}")
    return lines


def _trouble(jobs: Sequence[Job]) -> list[str]:
    lines = []
    for job in jobs:
        if job.state in ("failed", "killed"):
            errors = re.findall(r" ERROR (.+)", job.text)
            lines.append(f"  {job.path}: {errors[0] if errors else 'ended without a word'}")
    return ["", "failed or killed (the next run tries them again):", *lines[:10]] if lines else []


def _training_lines(jobs: Sequence[Job]) -> list[str]:
    lines = []
    for job in jobs:
        epochs = _EPOCH.findall(job.text) if _stage(job.rule) == "train" else []
        if epochs:
            epoch, planned, loss, left = epochs[-1]
            tail = f", at most {left} left" if job.state == "running" else f", {job.state}"
            name = "/".join(job.path.with_suffix("").parts[-3:])
            lines.append(f"  {name}: epoch {epoch} of {planned}, val loss {loss}{tail}")
    return ["", "trainings:", *lines] if lines else []


def report(root: Path = Path()) -> str:
    """Return the state of the run in `root`, as text for a terminal."""
    jobs, planned = read_jobs(root), planned_jobs(root)
    if not jobs and not planned:
        return f"nothing has run in {root.resolve()} yet"
    locked = any((root / ".snakemake/locks").glob("*"))
    lines = [
        "snakemake has locked this folder: it is running, or was killed" if locked else "no run here now",
        "",
    ]
    lines += _job_lines(planned, jobs) + _trouble(jobs)
    cells = read_cells(root)
    if cells:
        lines += [
            "",
            f"{'cells of':22}{'stage':10}{'all':>8}{'failed':>8}{'excluded':>10}  most frequent reason",
        ]
        lines += [
            f"{name:22}{stage:10}{n:8}{bad:8}{out:10}  {why}" for name, stage, n, bad, out, why in cells
        ]
    lines += _training_lines(jobs)
    seconds, unknown = time_left(planned, jobs, seconds_per_job(root))
    if locked:
        lines += ["", f"about {_duration(seconds)} left, with as many jobs at a time as now"]
        if unknown:
            lines.append(f"  and what cannot be known before the first one has ended: {', '.join(unknown)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(Path(sys.argv[1]) if len(sys.argv) > 1 else Path()))
