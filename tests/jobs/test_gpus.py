"""A job has the GPUs it asked for: its scheduler's, or free ones, each for one job at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from morphobench.errors import InputError
from morphobench.jobs import gpus

SOURCE = Path(gpus.__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from morphobench.jobs.gpus import reserve
print(*reserve(int(sys.argv[1]), ["0", "1", "2"], Path(sys.argv[2]), wait_s=0.1), flush=True)
time.sleep(600)
"""


@pytest.fixture
def hold(tmp_path):
    """Start a process that reserves n of three GPUs and keeps them."""
    running = []

    def start(n):
        command = [sys.executable, "-c", HOLDER, str(n), str(tmp_path)]
        environment = os.environ | {"PYTHONPATH": str(SOURCE)}
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_jobs_share_no_gpu_and_a_killed_one_gives_its_own_back(hold, tmp_path):
    first, second = hold(1), hold(2)
    found = [process.stdout.readline().split() for process in (first, second)]
    assert sorted(name for names in found for name in names) == ["0", "1", "2"]
    third = hold(1)
    time.sleep(0.5)
    assert third.poll() is None
    first.kill()
    assert third.stdout.readline().split() == found[0]


def test_a_job_that_waits_for_several_holds_none_meanwhile(hold, tmp_path):
    first = hold(2)
    first.stdout.readline()
    waiting = hold(2)
    time.sleep(0.5)
    assert waiting.poll() is None
    assert hold(1).stdout.readline().split() == ["2"]


def test_what_is_visible_is_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-1a")
    assert gpus.visible() == ["2", "GPU-1a"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.visible() == []


def test_a_claim_names_the_reserved_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(gpus, "_HELD", [])
    gpus.claim(1, "auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


@pytest.mark.parametrize(("n", "accelerator"), [(0, "auto"), (1, "cpu")])
def test_nothing_is_claimed_for_a_cpu(monkeypatch, n, accelerator):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    gpus.claim(n, accelerator)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,6"


def test_a_slurm_job_without_the_gpu_it_asked_for_says_so(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_PARTITION", "long")
    with pytest.raises(InputError, match=r"asked SLURM for 1 GPU.*partition long.*MORPHOBENCH_GPU_PARTITION"):
        gpus.claim(1, "auto")
