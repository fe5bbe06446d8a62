"""Where, when and with which versions the jobs of a run were done, from the heads of their logs alone."""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from morphobench.jobs.warned import LOGS, job_logs

# The first three lines that `log.job` writes.
_HEAD = re.compile(
    r"INFO morphobench (?P<version>\S+), python (?P<python>\S+), (?P<when>\S+ \S+ \S+)\n"
    r"\S+ INFO on (?P<host>[^,\n]+), (?P<cores>\d+) cores[^\n]*\n"
    r"\S+ INFO with (?P<packages>[^\n]*)"
)


def collect(names: Iterable[str], logs: Path = LOGS) -> list[dict[str, str]]:
    """Return a row for each job of data sets and figures of these names.

    Keys: rule, version, python, when (date, time, offset), host, cores, packages. A log without a whole
    head, as of a job that was killed at its start, has no row.
    """
    rows = []
    for rule, path in job_logs(logs, names):
        with path.open(encoding="utf-8", errors="replace") as lines:
            found = _HEAD.search("".join(islice(lines, 3)))
        if found:
            rows.append({"rule": rule, **found.groupdict()})
    return rows
