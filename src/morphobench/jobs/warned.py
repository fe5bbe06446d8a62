"""Warnings of the jobs of a run, from their logs alone: each once, with the number of jobs that gave it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

LOGS = Path("logs")
# Time, level and text of a line that a job logs.
_LINE = re.compile(r"^\d\d:\d\d:\d\d WARNING (.+)$", re.MULTILINE)
# What Python and the libraries warn of: their file and line.
_OF_LIBRARIES = re.compile(r"\S+:\d+: \w*Warning: ")


class Warned(NamedTuple):
    """A warning: the rule that gave it, its text, in how many jobs, and the log of one of them."""

    rule: str
    text: str
    n_jobs: int
    log: Path


def job_logs(
    logs: Path, names: Iterable[str] | None = None, since: float = 0.0
) -> Iterator[tuple[str, Path]]:
    """Yield rule and log of the jobs of a run, in their order; parameters as in `collect`."""
    chosen = None if names is None else set(names)
    for path in sorted(logs.rglob("*.log")):
        rule, *parts = path.relative_to(logs).with_suffix("").parts
        if path.stat().st_mtime >= since and (chosen is None or chosen & set(parts)):
            yield rule, path


def collect(logs: Path, names: Iterable[str] | None = None, since: float = 0.0) -> list[Warned]:
    """Return the warnings in the logs of a run, in the order of rules and logs.

    Parameters
    ----------
    logs
        Folder of all logs: <rule>/<dataset or figure>...
    names
        Data sets, or figures, whose jobs count; None for all jobs.
    since
        Seconds since the epoch; logs that were last written before do not count.
    """
    found = {}
    for rule, path in job_logs(logs, names, since):
        texts = _LINE.findall(path.read_text(encoding="utf-8", errors="replace"))
        for text in dict.fromkeys(text for text in texts if not _OF_LIBRARIES.match(text)):
            found.setdefault((rule, text), []).append(path)
    return [Warned(rule, text, len(paths), paths[0]) for (rule, text), paths in found.items()]


def lines(warned: Iterable[Warned]) -> list[str]:
    """Return the warnings as lines of text."""
    return [
        f"  {one.rule}: {one.text}" + (f" (in {one.n_jobs} jobs)" if one.n_jobs > 1 else "") for one in warned
    ]


def summary(since: float, logs: Path = LOGS) -> str:
    """Return what to say at the end of a run that began at `since`; empty without a warning."""
    warned = collect(logs, since=since)
    return "\n".join([f"warnings of this run ({len(warned)}), see {logs}:", *lines(warned)]) if warned else ""


def write(out: str | Path, names: Iterable[str], logs: Path = LOGS) -> None:
    """Write the warnings of the jobs of data sets and figures of these names as CSV."""
    # Here, for the state of a run has to be there at once.
    import pandas as pd

    from morphobench.files import write_table

    rows = [(one.rule, one.text, one.n_jobs, str(one.log)) for one in collect(logs, names)]
    write_table(pd.DataFrame(rows, columns=["rule", "warning", "jobs", "log"]), out)
