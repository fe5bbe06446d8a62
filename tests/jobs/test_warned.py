"""Warnings of jobs, gathered from their logs."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from morphobench.jobs import status, warned

HEAD = "16:00:00 INFO morphobench 0.1.0, python 3.11.7\n"
PLATE = "16:00:02 WARNING 3 cells without a plate are left out\n"


@pytest.fixture
def logs(tmp_path):
    texts = {
        "embed/a/model/seed-1.log": HEAD + PLATE,
        "embed/a/model/seed-2.log": HEAD + PLATE + PLATE,
        "embed/b/model/seed-1.log": HEAD + PLATE.replace("3", "4"),
        "sample/a/shard-0.log": HEAD + "16:00:01 WARNING /lib/x.py:12: RuntimeWarning: divide by zero\n",
        "plot_figure/mine.log": HEAD + "16:00:01 WARNING panel b (scores) stays empty: no table\n",
    }
    for name, text in texts.items():
        (tmp_path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs" / name).write_text(text)
    return tmp_path / "logs"


def test_each_warning_is_there_once_with_its_jobs_and_those_of_libraries_are_not(logs):
    found = [(one.rule, one.text, one.n_jobs) for one in warned.collect(logs)]
    assert found == [
        ("embed", "3 cells without a plate are left out", 2),
        ("embed", "4 cells without a plate are left out", 1),
        ("plot_figure", "panel b (scores) stays empty: no table", 1),
    ]


def test_a_figure_has_the_warnings_of_its_data_sets_and_its_own(logs, tmp_path):
    warned.write(tmp_path / "mine_warnings.csv", ["mine", "b"], logs)
    table = pd.read_csv(tmp_path / "mine_warnings.csv")
    assert table["rule"].tolist() == ["embed", "plot_figure"]
    assert table["jobs"].tolist() == [1, 1]
    assert table["log"][0].endswith("embed/b/model/seed-1.log")
    warned.write(tmp_path / "none.csv", ["mine"], tmp_path / "no logs")
    assert list(pd.read_csv(tmp_path / "none.csv")) == ["rule", "warning", "jobs", "log"]


def test_the_end_of_a_run_says_what_its_own_jobs_warned_of(logs):
    for path in logs.rglob("*.log"):
        os.utime(path, (100, 100))
    os.utime(logs / "embed/a/model/seed-2.log", (200, 200))
    text = warned.summary(150, logs)
    assert text.splitlines()[0].startswith("warnings of this run (1), see")
    assert text.splitlines()[1:] == ["  embed: 3 cells without a plate are left out"]
    assert warned.summary(300, logs) == ""


def test_the_state_of_a_run_has_them(logs):
    text = status.report(logs.parent)
    assert "  embed: 3 cells without a plate are left out (in 2 jobs)" in text
    assert "divide by zero" not in text


def test_lines_of_real_jobs_are_found(tmp_path):
    """The form of a line is that of the log of a job."""
    code = (
        "import warnings\nfrom morphobench import log\n"
        f"with log.job({str(tmp_path / 'logs/embed/a.log')!r}) as logger:\n"
        "    logger.warning('%s of %s', 3, 4)\n    warnings.warn('of a library')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert [one.text for one in warned.collect(tmp_path / "logs")] == ["3 of 4"]
