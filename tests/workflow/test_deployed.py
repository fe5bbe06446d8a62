"""This workflow in another one: as a module, as `snakedeploy` lays it out, and from the folder of tests."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.clone import job_counts, make_clone, snakemake

FIGURE = ["--config", "scale=demo", "--", "figures/fig2.pdf"]
# A job that ends within seconds.
SHARD = "results/download/adrenal/shard-0"
USE = """
configfile: "config/config.yaml"

rule own:
    input: "{shard}"
    output: "own.txt"
    shell: "ls {{input}} > {{output}}"

module morphobench:
    snakefile: "{clone}/workflow/Snakefile"
    config: config

use rule * from morphobench{names}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("clone") / "morphobench")


@pytest.fixture
def other(clone, tmp_path):
    """Make another workflow, with a configuration of its own, that takes the rules of this one."""

    def make(names=""):
        shutil.copytree(clone / "config", tmp_path / "config")
        (tmp_path / "workflow").mkdir()
        (tmp_path / "workflow/Snakefile").write_text(USE.format(clone=clone, shard=SHARD, names=names))
        return tmp_path

    return make


@pytest.mark.long
def test_another_workflow_plans_and_runs_its_rules(other, clone):
    folder = other()
    assert job_counts(snakemake(folder, "-n", *FIGURE).stdout)["train"] == 5
    snakemake(folder, "--cores", "1", "--config", "scale=demo", "--", "own.txt")
    assert "cells.parquet" in (folder / "own.txt").read_text()
    assert not (clone / "results/download").exists()


def test_data_sets_of_the_other_workflow_count(other):
    folder = other(" as bench_*")
    shutil.copy(folder / "config/datasets/adrenal.yaml", folder / "config/datasets/mine.yaml")
    target = SHARD.replace("adrenal", "mine")
    counts = job_counts(snakemake(folder, "-n", "--config", "scale=demo", "--", target).stdout)
    assert counts == {"bench_download": 1, "total": 1}


@pytest.mark.long
def test_the_folder_of_tests_and_the_second_snakefile_plan_the_demo(clone):
    options = (["--directory", ".test"], ["--snakefile", "workflow/Snakefile"])
    one, other = (job_counts(snakemake(clone, "-n", *chosen, *FIGURE).stdout) for chosen in options)
    assert one == other
    assert one["train"] == 5


def test_snakedeploy_deploys_a_clone(clone, tmp_path):
    program = Path(sys.executable).with_name("snakedeploy")
    if not program.exists():
        pytest.skip("needs snakedeploy")
    for command in (["init", "--initial-branch=main"], ["add", "."], ["commit", "-m", "all"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, *command], cwd=clone, check=True, capture_output=True)
    target = tmp_path / "deployed"
    subprocess.run([program, "deploy-workflow", clone, target, "--branch", "main"], check=True)
    deployed = target / "workflow/Snakefile"
    # From a local path snakedeploy 0.17 writes this without the path.
    deployed.write_text(deployed.read_text().replace('"workflow/Snakefile"', f'"{clone}/workflow/Snakefile"'))
    assert job_counts(snakemake(target, "-n", *FIGURE).stdout)["train"] == 5
