"""A job's log: versions first, plain messages for what people can mend, tracebacks for what they cannot."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from paths import ROOT

from morphobench import __version__, log

SOURCE = ROOT / "src"


def run(folder: Path, body: str) -> tuple[subprocess.CompletedProcess, str]:
    """Run `body` inside a job in a process of its own; return the process and the log file's text."""
    script = f"""
import sys
import time
from morphobench import log
from morphobench.errors import InputError
with log.job({str(folder / "logs" / "deep" / "job.log")!r}) as logger:
    {body}
print("after")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        check=False,
    )
    return done, (folder / "logs" / "deep" / "job.log").read_text()


def test_a_good_job_logs_versions_first_and_its_time_last(tmp_path):
    done, text = run(tmp_path, "logger.info('half way')")
    assert done.returncode == 0
    assert done.stdout == "after\n"
    first, *_, last = text.splitlines()
    assert f"morphobench {log.version()}, python {platform.python_version()}" in first
    assert platform.node() in text
    assert f"numpy {metadata.version('numpy')}" in text
    assert "SLURM" not in text
    assert "half way" in text
    assert "done in" in last
    assert done.stderr == text


def test_the_version_is_named_by_the_tag(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(log, "__file__", str(tmp_path / "log.py"))
    assert log.version() == __version__
    git("init")
    (tmp_path / "log.py").write_text("")
    git("add", "log.py")
    git("commit", "-m", "first")
    assert re.fullmatch(rf"{re.escape(__version__)}\+[0-9a-f]{{12}}", log.version())
    git("tag", "v3.2.1")
    assert log.version() == "v3.2.1"
    (tmp_path / "log.py").write_text("1")
    assert log.version() == "v3.2.1-dirty"


def test_a_release_has_one_number():
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_an_input_error_is_a_message_and_status_one(tmp_path):
    done, text = run(tmp_path, "raise InputError('cells.csv: no column x. Add it.')")
    assert done.returncode == 1
    assert done.stdout == ""
    for said in (text, done.stderr):
        assert "ERROR cells.csv: no column x. Add it." in said
        assert "Traceback" not in said
        assert "done in" not in said


@pytest.mark.parametrize("error", ["ValueError", "KeyError", "RuntimeError"])
def test_any_other_error_keeps_its_traceback_and_is_raised(error, tmp_path):
    done, text = run(tmp_path, f"raise {error}('a bug')")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" in text
    assert f"{error}: " in text
    assert str(tmp_path / "logs" / "deep" / "job.log") in text
    # Logged once, and once more by Python itself, because it was raised again.
    assert done.stderr.count("Traceback") == 2


def test_an_interrupt_is_not_reported_as_a_bug(tmp_path):
    done, text = run(tmp_path, "raise KeyboardInterrupt")
    assert done.returncode != 0
    assert "unexpected failure" not in text


def test_a_second_run_starts_a_new_log(tmp_path):
    run(tmp_path, "logger.info('first run')")
    _, text = run(tmp_path, "logger.info('second run')")
    assert "second run" in text
    assert "first run" not in text


def test_warnings_of_python_and_libraries_reach_the_log(tmp_path):
    done, text = run(tmp_path, "import warnings; warnings.warn('odd spacing')")
    assert done.returncode == 0
    assert "odd spacing" in text


def test_a_job_ends_when_the_engine_that_started_it_is_killed(tmp_path):
    """A kill -9 of snakemake must leave no orphan that writes into the next run's folders."""
    body = "import time; open('started', 'w').close(); time.sleep(60)"
    script = f"from morphobench import log\nwith log.job('job.log'):\n    {body}\n"
    (tmp_path / "job.py").write_text(script)
    engine = tmp_path / "snakemake"  # the name is how a job knows its engine
    engine.write_text("import subprocess, sys\nsubprocess.run([sys.executable, 'job.py'])\n")
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    parent = subprocess.Popen([sys.executable, str(engine)], cwd=tmp_path, env=environment)
    started = tmp_path / "started"
    deadline = time.monotonic() + 30
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    (job,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs([job], timeout=20)
    assert not alive


def test_a_job_that_is_told_to_end_says_so_and_cleans_up(tmp_path):
    body = (
        "with files.atomic_file('out.csv') as part:\n"
        "        part.write_text('half')\n"
        "        open('started', 'w').close()\n"
        "        time.sleep(60)"
    )
    script = f"import time\nfrom morphobench import files, log\nwith log.job('job.log'):\n    {body}\n"
    (tmp_path / "job.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "SLURM_JOB_ID": "7", "SLURM_JOB_PARTITION": "cpu"}
    job = subprocess.Popen(
        [sys.executable, "job.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    job.terminate()
    assert job.wait(timeout=20) == 128 + signal.SIGTERM
    text = (tmp_path / "job.log").read_text()
    assert "SLURM job 7, partition cpu" in text
    assert "told to end (SIGTERM)" in text
    assert "not complete after" in text
    assert not list(tmp_path.glob(".out.csv*"))
