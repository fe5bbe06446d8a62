"""The state of a run, from its files alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from morphobench.files import write_table
from morphobench.jobs import status

SOURCE = Path(status.__file__).parents[2]
HEAD = "16:00:00 INFO morphobench 0.1.0, python 3.11.7, 2026-01-01 16:00:00 +0000\n"
DONE = "16:00:09 INFO done in 9.0 s, 2026-01-01 16:00:09 +0000\n"
FAILED = "16:00:09 ERROR cells.csv: no column x. Add it.\n16:00:09 INFO not complete after 1.0 s, 2026\n"
EPOCH = "16:00:05 INFO [###...] epoch 7 of 40, val loss 0.51, at most 3 min 10 s left\n"
PLAN = """Building DAG of jobs...
Job stats:
job              count
-------------  -------
mask                 4
train                2
score_model          2
all                  1
total                9

Select jobs to execute...
"""


def here(process):
    return f"16:00:01 INFO on {os.uname().nodename}, 2 cores, process {process}\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def run(tmp_path):
    """A run with a job in every state."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    logs = tmp_path / "logs"
    write(logs / "mask/a/shard-0.log", HEAD + here(1) + DONE)
    write(logs / "mask/a/shard-1.log", HEAD + here(os.getpid()))
    write(logs / "mask/a/shard-2.log", HEAD + here(gone.pid))
    write(logs / "mask/a/shard-3.log", HEAD + here(1) + FAILED)
    write(logs / "train/a/model/seed-1.log", HEAD + here(os.getpid()) + EPOCH)
    write(tmp_path / ".snakemake/log/2026.snakemake.log", PLAN)
    write(tmp_path / ".snakemake/locks/0.input.lock", "")
    write(tmp_path / "benchmarks/mask/a/shard-0.tsv", "s\th:m:s\n120.0\t0:02:00\n")
    cells = pd.DataFrame(
        {
            "CellId": list("abcd"),
            "success": [True, False, False, True],
            "excluded": [False, False, True, False],
            "error": ["", "empty mask", "cut by the border", ""],
        }
    )
    write_table(cells, tmp_path / "results/mask/a/shard-0/cells.parquet")
    write_table(cells[["CellId", "success", "error"]], tmp_path / "results/align/b/shard-0/cells.parquet")
    return tmp_path


def test_jobs_of_every_state_are_counted(run):
    states = {job.path.stem: job.state for job in status.read_jobs(run) if job.rule == "mask"}
    assert states == {"shard-0": "done", "shard-1": "running", "shard-2": "killed", "shard-3": "failed"}
    lines = status.report(run).splitlines()
    assert [line.split() for line in lines if line.startswith(("mask ", "train ", "score "))] == [
        ["mask", "4", "1", "1", "1", "1"],
        ["train", "2", "0", "1", "0", "0"],
        ["score", "2", "0", "0", "0", "0"],
    ]


def test_it_says_what_failed_and_why(run):
    text = status.report(run)
    assert "shard-3.log: cells.csv: no column x. Add it." in text
    assert "shard-2.log: ended without a word" in text


def test_cells_are_those_of_the_stage_furthest_on(run):
    assert status.read_cells(run) == [
        ("a", "mask", 4, 1, 1, "empty mask"),
        ("b", "align", 4, 2, 0, "empty mask"),
    ]
    cells = pd.DataFrame({"success": [True, False], "error": ["", "too few points"]})
    write_table(cells, run / "results/sample/a/manifest.parquet")
    assert status.read_cells(run)[0] == ("a", "sample", 2, 1, 0, "too few points")


def test_the_last_point_of_a_training_curve(run):
    assert "a/model/seed-1: epoch 7 of 40, val loss 0.51, at most 3 min 10 s left" in status.report(run)


def test_time_left_follows_from_benchmarks_and_jobs_at_a_time(run):
    jobs = status.read_jobs(run)
    seconds, unknown = status.time_left(status.planned_jobs(run), jobs, status.seconds_per_job(run))
    assert seconds == 3 * 120 / 2  # three masks left, two jobs run
    assert unknown == ["train", "score_model"]


def test_a_job_elsewhere_runs_until_it_was_silent_for_a_day():
    text = HEAD + "16:00:01 INFO on node7, 8 cores, process 1, SLURM job 12\n"
    assert status.state_of(text, age_s=60) == "running"
    assert status.state_of(text, age_s=2 * 86400) == "killed"


def test_before_anything_ran(tmp_path):
    assert "nothing has run" in status.report(tmp_path)


def test_it_is_quick_because_nothing_heavy_is_imported(run):
    script = (
        "import sys; from pathlib import Path; from morphobench.jobs import status;"
        f"print(status.report(Path({str(run)!r})));"
        "assert not {'torch', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": str(SOURCE)})
