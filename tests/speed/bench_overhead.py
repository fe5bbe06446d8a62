"""What a job costs before its science starts, and what a plan costs: `make bench-overhead`.

Of each script, the time from the start of Python to the first call of its `run`: imports, log, versions.
What a scheduler needs between submission and start is not ours and not counted.
"""

from __future__ import annotations

import ast
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPEATS = 3
PROFILE = ("--profile", "slurm-gpu")


def opening(script: Path) -> str:
    """Return the imports of a script and an empty job: all that it does before it calls `run`."""
    tree = ast.parse(script.read_text())
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(
        [*imports, "import sys", "from morphobench import log", "with log.job(sys.argv[1]): pass"]
    )


def child(command: list[str]) -> tuple[float, float, float]:
    """Run a process; return seconds, CPU seconds and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with status {process.returncode}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def median(command: list[str], repeats: int) -> tuple[float, float, float]:
    """Return the medians of several runs, after one that fills the caches."""
    runs = [child(command) for _ in range(repeats + 1)][1:]
    return tuple(statistics.median(column) for column in zip(*runs, strict=True))


def scripts_rows(repeats: int = REPEATS) -> Iterator[str]:
    """Yield the table of what each script costs before it starts to work, line by line."""
    yield "| script | seconds | CPU seconds | memory, MB |\n|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        for script in sorted((ROOT / "workflow/scripts").glob("*.py")):
            command = [sys.executable, "-c", opening(script), f"{folder}/job.log"]
            seconds, cpu, memory = median(command, repeats)
            yield f"| {script.stem} | {seconds:.2f} | {cpu:.2f} | {memory:.0f} |"


def plan_rows(repeats: int = 1) -> Iterator[str]:
    """Yield the table of what planning costs, line by line."""
    yield "| plan | seconds | CPU seconds | memory, MB |\n|---|---|---|---|"
    program = str(Path(sys.executable).with_name("snakemake"))
    for target in ("figures/fig2.pdf", "figures/fig3.pdf", "all"):
        seconds, cpu, memory = median([program, *PROFILE, "-n", "--quiet", "all", "--", target], repeats)
        yield f"| `-n {target}` | {seconds:.1f} | {cpu:.1f} | {memory:.0f} |"


if __name__ == "__main__":
    # Scripts take minutes.
    for row in itertools.chain(plan_rows(), [""], scripts_rows()):
        print(row, flush=True)
