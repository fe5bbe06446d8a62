"""State of a run, from its log, benchmark and result files alone: `make status`."""

import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from morphobench.jobs import warned

STAGES = (
    *("fabricate", "published", "download", "align", "mask", "sample"),
    *("train", "embed", "score", "analyse", "plot"),
)
_STATES = ("done", "running", "failed", "killed")
_EPOCH = re.compile(r"epoch (\d+) of (\d+), val loss (\S+), at most (.+) left")
_TABLE = re.compile(r"^Job stats:\n(.*?)\n\n", re.MULTILINE | re.DOTALL)
_SILENT_S = 24 * 3600


class Job(NamedTuple):
    """A job by its log; `state` is one of done, running, failed, killed (ended without a last line)."""

    rule: str
    state: str
    text: str
    path: Path

    @property
    def stage(self) -> str:
        """Stage of the rule."""
        return self.rule.split("_")[0]


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
    # Processes of another machine cannot be seen; a job that wrote nothing for a day has ended.
    return "running" if age_s < _SILENT_S else "killed"


def _rule_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0]


def read_jobs(root: Path) -> list[Job]:
    """Return every job that has a log below `root`/logs."""
    jobs = []
    for path in sorted((root / "logs").rglob("*.log")):
        text = path.read_text(encoding="utf-8", errors="replace")
        state = state_of(text, time.time() - path.stat().st_mtime)
        jobs.append(Job(_rule_of(path, root / "logs"), state, text, path))
    return jobs


def jobs_of(text: str) -> dict[str, int]:
    """Return Snakemake's table of jobs, rule to number; empty where the text has none."""
    table = _TABLE.search(text)
    rows = re.findall(r"^(\w+) +(\d+)$", table.group(1), re.MULTILINE) if table else []
    return {name: int(count) for name, count in rows if name not in ("total", "all")}


def planned_jobs(root: Path) -> dict[str, int]:
    """Return the number of jobs per rule in the plan of the latest run."""
    logs = sorted((root / ".snakemake/log").glob("*.snakemake.log"), key=lambda path: path.stat().st_mtime)
    tables = (jobs_of(path.read_text(encoding="utf-8", errors="replace")) for path in reversed(logs))
    return next(filter(None, tables), {})


def seconds_per_job(root: Path) -> dict[str, float]:
    """Return the mean seconds of the jobs of each rule, from the benchmark files."""
    seconds = defaultdict(list)
    for path in (root / "benchmarks").rglob("*.tsv"):
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > 1:
            seconds[_rule_of(path, root / "benchmarks")].append(float(lines[-1].split("\t")[0]))
    return {rule: sum(values) / len(values) for rule, values in seconds.items()}


def time_left(
    planned: dict[str, int], jobs: Sequence[Job], seconds: dict[str, float]
) -> tuple[float, list[str]]:
    """Return the seconds left with as many jobs at a time as now, and the rules of unknown duration."""
    done = Counter(job.rule for job in jobs if job.state == "done")
    running = sum(job.state == "running" for job in jobs)
    left = {rule: max(0, count - done[rule]) for rule, count in planned.items()}
    unknown = [rule for rule, count in left.items() if count and rule not in seconds]
    total = sum(count * seconds.get(rule, 0.0) for rule, count in left.items())
    return total / max(1, running), unknown


def read_cells(root: Path) -> list[tuple[str, str, int, int, int, str]]:
    """Return name, last stage, cells, failed, excluded and most frequent error of each dataset."""
    tables: dict[str, tuple[str, list[Path]]] = {}
    for stage in ("download", "align", "mask"):
        for path in sorted((root / "results" / stage).glob("*/shard-*/cells.parquet")):
            name = path.parents[1].name
            if tables.get(name, ("",))[0] != stage:
                tables[name] = (stage, [])
            tables[name][1].append(path)
    for path in (root / "results/sample").glob("*/manifest.parquet"):
        tables[path.parent.name] = ("sample", [path])
    return [(name, stage, *_count(paths)) for name, (stage, paths) in sorted(tables.items())]


def _count(paths: Iterable[Path]) -> tuple[int, int, int, str]:
    import pyarrow.parquet as parquet

    cells, excluded, errors = 0, 0, Counter()
    for path in paths:
        file = parquet.ParquetFile(path)
        columns = [name for name in ("success", "excluded", "error") if name in file.schema_arrow.names]
        for row in file.read(columns=columns).to_pylist():
            cells += 1
            if row.get("excluded"):
                excluded += 1
            elif not row["success"]:
                errors[row.get("error", "")] += 1
    return cells, errors.total(), excluded, errors.most_common(1)[0][0] if errors else ""


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"about {minutes} min" if minutes else "less than a minute"
    if minutes < 48 * 60:
        return f"about {minutes // 60} h {minutes % 60:02d} min"
    return f"about {minutes / 1440:.1f} days"


def _job_lines(planned: dict[str, int], jobs: Sequence[Job]) -> list[str]:
    counts, plan = Counter((job.stage, job.state) for job in jobs), Counter()
    for rule, count in planned.items():
        plan[rule.split("_")[0]] += count
    rows = [(stage, plan[stage], *(counts[stage, state] for state in _STATES)) for stage in STAGES]
    head = ("stage", "planned", *_STATES)
    return ["{:10}{:>9}{:>7}{:>9}{:>8}{:>8}".format(*row) for row in [head, *rows] if any(row[1:])]


def _failures(jobs: Sequence[Job]) -> list[str]:
    lines = []
    for job in jobs:
        if job.state in ("failed", "killed"):
            error = re.search(r" ERROR (.+)", job.text)
            lines.append(f"  {job.path}: {error.group(1) if error else 'ended without a word'}")
    return ["", "failed or killed (the next run tries them again):", *lines[:10]] if lines else []


def _cells(root: Path) -> list[str]:
    head = ("cells of", "stage", "all", "failed", "excluded", "most frequent reason")
    rows = read_cells(root)
    lines = ["{:22}{:10}{:>8}{:>8}{:>10}  {}".format(*row) for row in [head, *rows]]
    return ["", *lines] if rows else []


def _trainings(jobs: Sequence[Job]) -> list[str]:
    lines = []
    for job in jobs:
        epochs = _EPOCH.findall(job.text) if job.stage == "train" else []
        if epochs:
            epoch, planned, loss, left = epochs[-1]
            tail = f"at most {left} left" if job.state == "running" else job.state
            name = "/".join(job.path.with_suffix("").parts[-3:])
            lines.append(f"  {name}: epoch {epoch} of {planned}, val loss {loss}, {tail}")
    return ["", "trainings:", *lines] if lines else []


def _warnings(root: Path) -> list[str]:
    found = warned.lines(warned.collect(root / "logs"))
    return ["", "warnings:", *found] if found else []


def report(root: Path = Path()) -> str:
    """Return the state of the run in `root`, as text for a terminal."""
    jobs, planned = read_jobs(root), planned_jobs(root)
    if not jobs and not planned:
        return f"nothing has run in {root.resolve()} yet"
    locked = any((root / ".snakemake/locks").glob("*"))
    state = "snakemake has locked this folder: it is running, or was killed" if locked else "no run here now"
    lines = [
        state,
        "",
        *_job_lines(planned, jobs),
        *_failures(jobs),
        *_cells(root),
        *_trainings(jobs),
        *_warnings(root),
    ]
    if locked:
        seconds, unknown = time_left(planned, jobs, seconds_per_job(root))
        lines += ["", f"{_duration(seconds)} left, with as many jobs at a time as now"]
        if unknown:
            lines.append(f"  and what cannot be known before the first one has ended: {', '.join(unknown)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(Path(sys.argv[1]) if len(sys.argv) > 1 else Path()))
