"""SLURM is asked before anything is submitted, and its answer is passed on."""

from __future__ import annotations

import os

import pytest

from morphobench.errors import InputError
from morphobench.jobs import slurm

SBATCH = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
case "$*" in *--partition=cpu*) exit 0 ;; esac
echo "sbatch: error: invalid partition specified: nowhere" >&2
exit 1
"""


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    program = tmp_path / "sbatch"
    program.write_text(SBATCH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "asked"


def test_a_good_partition_is_asked_for_and_nothing_is_submitted(sbatch):
    slurm.check({"cpu"})
    assert sbatch.read_text().split()[:2] == ["--test-only", "--partition=cpu"]


def test_what_slurm_says_is_passed_on_with_what_to_do(sbatch):
    with pytest.raises(
        InputError, match=r"partition nowhere: .*invalid partition[\s\S]*MORPHOBENCH_CPU_PARTITION"
    ):
        slurm.check({"cpu", "nowhere"})


def test_without_slurm_the_local_profile_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"no sbatch here.*profiles/local"):
        slurm.check({"cpu"})
