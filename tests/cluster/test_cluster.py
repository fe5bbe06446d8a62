"""A real SLURM: where jobs run, what they ask for, and that nothing is lost when they are killed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from harness.clone import make_clone

HERE = Path(__file__).parent
MODEL = "results/train/cellpack/rotation_invariant_pointcloud/seed-42"
MISSING = (
    "Linux"
    if platform.system() != "Linux"
    else "root"
    if os.getuid() != 0
    else "Debian's apt-get"
    if shutil.which("apt-get") is None
    else None
)
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(MISSING is not None, reason=f"a test cluster needs {MISSING}"),
]


@pytest.fixture(scope="module")
def cluster():
    """A cluster for the tests of this file; afterwards the machine is as it was."""
    # Not below pytest's own folder: the name of a socket cannot be long.
    folder = Path(tempfile.mkdtemp(prefix="cluster-", dir="/tmp"))
    try:
        subprocess.run([HERE / "start.sh", folder], check=True, timeout=300)
        yield folder
    finally:
        subprocess.run([HERE / "stop.sh", "--purge", folder], check=True, timeout=300)
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout
    assert not left, f"processes of the cluster are left: {left}"
    assert not folder.exists()
    assert not Path("/etc/slurm/slurm.conf").is_symlink()


@pytest.fixture(scope="module")
def clone(cluster, tmp_path_factory):
    """A clone for the runs of this file; nothing of them goes on in it afterwards."""
    folder = make_clone(tmp_path_factory.mktemp("clone") / "morphobench")
    yield folder
    # What a job left on a node that was declared lost, SLURM no longer knows.
    for process in psutil.process_iter(["cwd"]):
        if Path(process.info["cwd"] or "/").is_relative_to(folder):
            process.kill()


class Run:
    """The command of the README in a clone, with the small configuration and shorter pauses."""

    def __init__(self, clone, *arguments, more=(), **variables):
        self.clone, self.first = clone, last_job()
        command = [Path(sys.executable).with_name("snakemake"), "--profile", "slurm-gpu"]
        command += ["--configfile", "tests/cluster/overlay.yaml", "--config", "scale=demo", *more]
        command += ["--slurm-init-seconds-before-status-checks", "3", *arguments]
        self.output = (clone / "run.out").open("w+")
        self.process = subprocess.Popen(
            list(map(str, command)),
            cwd=clone,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
        )

    def text(self):
        self.output.seek(0)
        return self.output.read()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.process.kill()
        self.process.wait()
        self.output.close()

    def until(self, found, what, seconds=900):
        """Wait until `found()` is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (result := found()):
            assert self.process.poll() is None, f"ended before {what}:\n{self.text()}"
            assert time.monotonic() < deadline, f"no {what} in {seconds} s:\n{self.text()}"
            time.sleep(0.2)
        return result

    def end(self, status=0, seconds=900):
        assert self.process.wait(seconds) == status, self.text()
        return [job for job in jobs() if job["JobId"] > self.first]


def jobs():
    """The records of all jobs so far, as scontrol has them."""
    shown = subprocess.run(
        ["scontrol", "-o", "show", "job"], capture_output=True, text=True, check=False
    ).stdout
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines() if "JobId=" in line]
    return [{**job, "JobId": int(job["JobId"])} for job in found]


def last_job():
    return max((job["JobId"] for job in jobs()), default=0)


def of_rule(found, rule):
    return [job for job in found if job.get("Comment", "").startswith(f"rule_{rule}_")]


def read(path):
    """What is in a log; Snakemake removes that of a failed job when it tries again."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def running(clone, log):
    """The SLURM job that writes this log, or None."""
    match = re.search(r"SLURM job (\d+)", read(clone / "logs" / log))
    return match and match.group(1)


def slurm(*command):
    subprocess.run(command, check=True, timeout=30)


@pytest.fixture(scope="module")
def preprocessed(clone):
    """Preprocessing, of which one shard is cancelled and every sampling job first has too little memory."""
    shards = [f"results/sample/cellpack/shard-{number}" for number in range(2)]
    with Run(clone, "--set-resources", "sample:mem_mb=150*attempt", "--", *shards) as run:
        slurm("scancel", run.until(lambda: running(clone, "download/cellpack/shard-1.log"), "running shard"))
        return run.end()


def test_a_cancelled_shard_is_made_again(preprocessed, clone):
    states = sorted(job["JobState"] for job in of_rule(preprocessed, "cells"))
    assert states == ["CANCELLED", "COMPLETED", "COMPLETED"]
    for stage in ("download", "align", "mask", "sample"):
        for number in range(2):
            cells = pd.read_parquet(clone / f"results/{stage}/cellpack/shard-{number}/cells.parquet")
            assert cells["success"].all()
    assert not list(clone.rglob(".*.part"))


def test_a_job_over_its_memory_is_tried_again_with_more(preprocessed):
    tried = {}
    for job in of_rule(preprocessed, "sample"):
        tried.setdefault(job["Comment"], []).append((job["MinMemoryNode"], job["JobState"]))
    assert len(tried) == 2
    for attempts in tried.values():
        *failed, last = attempts
        assert failed, "the first attempt was expected to have too little memory"
        assert {state for _, state in failed} <= {"FAILED", "OUT_OF_MEMORY", "CANCELLED"}
        assert last[1] == "COMPLETED"
        memory = [int(text.removesuffix("M")) for text, _ in attempts]
        assert memory == [150 * (number + 1) for number in range(len(memory))]


def test_preprocessing_runs_in_the_cpu_partition(preprocessed):
    assert {job["Partition"] for job in preprocessed} == {"cpu"}
    assert not any("gpu" in job.get("TresPerJob", "") for job in preprocessed)


def train_log(seed):
    return f"train/cellpack/rotation_invariant_pointcloud/seed-{seed}.log"


@pytest.fixture(scope="module")
def trained(preprocessed, clone):
    """A training that is told that its time is up: its jobs, and the first of them."""
    with Run(clone, "--", f"{MODEL}/model.pt") as run:
        run.until(lambda: list((clone / MODEL).rglob("last.ckpt")), "checkpoint")
        first = running(clone, train_log(42))
        slurm("scancel", "--signal=TERM", first)
        return of_rule(run.end(), "train"), first


def test_a_training_goes_on_where_it_was_told_to_end(trained, clone):
    found, first = trained
    assert [job["JobState"] for job in found] == ["FAILED", "COMPLETED"]
    assert found[-1]["MinMemoryNode"] == "48000M"
    (log,) = (clone / ".snakemake/slurm_logs").rglob(f"{first}.log")
    assert "interrupted (SIGTERM): stopped" in log.read_text()
    assert_went_on(clone, 42)


def assert_went_on(clone, seed):
    log = (clone / "logs" / train_log(seed)).read_text()
    assert re.search(r"training on .* from .*last\.ckpt", log)
    assert re.search(r"CUDA devices \d", log)
    curves = pd.read_csv(clone / Path(MODEL).with_name(f"seed-{seed}") / "curves.csv")
    assert curves["epoch"].tolist() == list(range(12))


def test_a_training_goes_on_when_its_node_was_lost(preprocessed, clone):
    folder = Path(MODEL).with_name("seed-7")
    with Run(clone, "--", folder / "model.pt", more=["train={seeds: [7]}"]) as run:
        run.until(lambda: list((clone / folder).rglob("last.ckpt")), "checkpoint")
        slurm("scontrol", "update", "NodeName=gpu1", "State=DOWN", "Reason=test")
        time.sleep(2)
        # It may have come back by itself, which is then refused. SLURM starts the job again in two minutes.
        subprocess.run(["scontrol", "update", "NodeName=gpu1", "State=RESUME"], check=False, timeout=30)
        (job,) = of_rule(run.end(), "train")
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert_went_on(clone, 7)


def test_a_training_asks_for_a_gpu_and_a_day(trained):
    for job in trained[0]:
        assert job["Partition"] == "gpu"
        assert "gres:gpu:1" in job["TresPerJob"]
        assert job["TimeLimit"] == "1-00:00:00"


@pytest.fixture(scope="module")
def drawn(trained, clone):
    """The figure, from the trained model: its jobs."""
    with Run(clone, "--", "figures/fig2.pdf") as run:
        return run.end()


def test_the_figure_is_drawn(drawn, clone):
    assert (clone / "figures/fig2.pdf").read_bytes().startswith(b"%PDF")
    assert not of_rule(drawn, "train")


def test_what_embeds_has_a_gpu_and_nothing_else_has(drawn):
    with_gpu = {job["Comment"] for job in drawn if "gres:gpu:1" in job.get("TresPerJob", "")}
    assert with_gpu == {job["Comment"] for job in drawn if job["Partition"] == "gpu"}
    rules = {re.match(r"rule_([a-z_]+?)_wildcards", name).group(1) for name in with_gpu}
    assert rules == {"embed", "embed_scored", "score_evolution", "score_cost"}


def test_what_takes_seconds_shares_a_job_or_has_none(drawn, clone):
    for rule in ("sample_manifest/cellpack", "score_pairs/cellpack", "plot_figure/fig2"):
        assert "SLURM" not in (clone / f"logs/{rule}.log").read_text()
    for group in ("baselines", "analyses"):
        assert {job["Partition"] for job in of_rule(drawn, group)} == {"cpu"}
    assert len(of_rule(drawn, "baselines")) == 1
    assert not of_rule(drawn, "embed_baseline")
    assert of_rule(drawn, "score_table")[0]["Partition"] == "cpu"


def test_two_nodes_train_one_model(preprocessed, clone):
    target = "results/train/cellpack/classical_pointcloud/seed-42/model.pt"
    more = ["train={nodes: 2, gpus: 0}"]
    # Names of nodes are not names of machines here.
    variables = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "MORPHOBENCH_GPU_PARTITION": "both"}
    with Run(clone, "--nolock", "--", target, more=more, **variables) as run:
        found = run.end()
    (job,) = of_rule(found, "train")
    assert job["NumNodes"] == "2"
    log = (clone / "logs/train/cellpack/classical_pointcloud/seed-42.log").read_text()
    assert "training on 2 x cpu" in log
    curves = pd.read_csv(clone / Path(target).parent / "curves.csv")
    assert curves["epoch"].tolist() == [0, 1]


def test_an_unknown_partition_is_named_before_anything_is_submitted(clone):
    target = "results/download/adrenal/shard-0"
    with Run(clone, "--nolock", "--", target, MORPHOBENCH_CPU_PARTITION="nowhere") as run:
        assert run.end(status=1) == []
        text = run.text()
    assert "invalid partition specified: nowhere" in text, text
    assert "MORPHOBENCH_CPU_PARTITION" in text
    assert "Traceback" not in text
    assert not (clone / target).exists()
