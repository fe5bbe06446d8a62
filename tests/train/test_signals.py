"""A training that is interrupted stops at once, with a checkpoint, and ends later with the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
import torch
from fabricate.sampled import write_sampled
from fabricate.trained import FAMILIES, run_training, small_config
from paths import ROOT

from morphobench import models
from morphobench.models.cells import EpochOrder
from morphobench.train import checkpoints
from morphobench.train.batches import ResumedOrder
from morphobench.train.module import AutoencoderModule

SIGNALS = [signal.SIGTERM, signal.SIGUSR1]
# Batches of two cells, so that an epoch has a middle.
N_BATCHES = 4


def chosen(family="classical_pointcloud", **training):
    return small_config(family, **{"max_epochs": 4, "batch_size": 2, "jitter": 0.01, **training})


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def complete(case, tmp_path_factory):
    return run_training(case, tmp_path_factory.mktemp("complete"), chosen())


def assert_same_training(one, other):
    a, b = (models.load(folder / "model.pt")[0].state_dict() for folder in (one, other))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    columns = ["epoch", "train_loss", "val_loss"]
    tables = [pd.read_csv(folder / "curves.csv")[columns] for folder in (one, other)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def interrupted(case, out, which, on_step, number, **trainer):
    """Train until the n-th training step, in which the process gets a signal; return the steps taken."""
    steps, original = [], AutoencoderModule.training_step

    def step(self, batch, batch_idx):
        steps.append((self.current_epoch, batch_idx))
        if len(steps) == on_step:
            os.kill(os.getpid(), number)
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoencoderModule, "training_step", step)
        if on_step is None:
            run_training(case, out, which, **trainer)
            return steps
        with pytest.raises(SystemExit) as caught:
            run_training(case, out, which, **trainer)
    assert caught.value.code == 128 + signal.SIGTERM
    assert not (out / "model.pt").exists()
    return steps


@pytest.mark.parametrize(
    ("on_step", "number"),
    [(1, signal.SIGTERM), (6, signal.SIGUSR1), (7, signal.SIGTERM), (N_BATCHES * 2, signal.SIGUSR1)],
)
def test_it_stops_after_the_step_and_goes_on_with_the_next(case, complete, tmp_path, on_step, number):
    before = interrupted(case, tmp_path, chosen(), on_step, number)
    assert len(before) == on_step
    after = interrupted(case, tmp_path, chosen(), None, None)
    every = [(epoch, batch) for epoch in range(4) for batch in range(N_BATCHES)]
    assert before + after == every
    assert_same_training(complete, tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_ends_with_the_same_bits(case, tmp_path, family):
    which = chosen(family, max_epochs=2)
    interrupted(case, tmp_path / "cut", which, 3, signal.SIGTERM)
    again = run_training(case, tmp_path / "cut", which)
    assert_same_training(run_training(case, tmp_path / "whole", which), again)


def test_interrupted_again_and_again_it_still_ends_with_the_same_bits(case, complete, tmp_path):
    steps = [interrupted(case, tmp_path, chosen(), 3, signal.SIGUSR1) for _ in range(5)]
    assert sum(map(len, steps)) == 15
    interrupted(case, tmp_path, chosen(), None, None)
    assert_same_training(complete, tmp_path)


def test_interrupted_in_the_last_step_it_completes(case, complete, tmp_path):
    original = AutoencoderModule.validation_step

    def step(self, batch, batch_idx):
        if self.current_epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoencoderModule, "validation_step", step)
        run_training(case, tmp_path, chosen())
    assert_same_training(complete, tmp_path)


def test_after_a_while_there_is_a_checkpoint_within_an_epoch(case, complete, tmp_path):
    """A killed process gets no signal to handle: what was written before is what it goes on from."""
    saved, original = [], checkpoints.CheckpointAndEarlyStopping._save

    def save(self, trainer, name):
        saved.append((trainer.current_epoch, len(self.rows), name))
        original(self, trainer, name)
        if len(saved) == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints.CheckpointAndEarlyStopping, "_save", save)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run_training(case, tmp_path, chosen(), checkpoint_minutes=1e-9)
    assert saved == [(0, 0, "last.ckpt")] * 3
    after = interrupted(case, tmp_path, chosen(), None, None)
    assert after[0] == (0, 3)
    assert_same_training(complete, tmp_path)


def test_the_signals_mean_what_they_did_before_when_it_is_over(case, tmp_path):
    before = [signal.getsignal(number) for number in SIGNALS]
    run_training(case, tmp_path, chosen(max_epochs=1))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_order_left_in_its_middle():
    order = EpochOrder(7, seed=3)
    rest = ResumedOrder(EpochOrder(7, seed=3), epoch=2, n_done=4)
    assert len(rest) == 7
    for epoch in (2, 3):
        order.set_epoch(epoch)
        rest.set_epoch(epoch)
        assert list(rest) == list(order)[4 if epoch == 2 else 0 :]


JOB = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {source!r}]
from fabricate.sampled import Sampled
from fabricate.trained import run_training, small_config
if __name__ == "__main__":
    case = Sampled(Path({manifest!r}), [Path(shard) for shard in {shards!r}])
    chosen = small_config("classical_pointcloud", max_epochs=300, batch_size=2, jitter=0.01)
    run_training(case, Path({out!r}), chosen, devices={devices}, **{more!r})
"""


@pytest.mark.parametrize(("devices", "number"), [(1, signal.SIGUSR1), (2, signal.SIGTERM)])
@pytest.mark.long
def test_a_process_that_is_refused_ends_all_of_its_own(case, tmp_path, devices, number):
    """From outside, at any moment; with two processes that train, the first tells the others."""
    script = tmp_path / "job.py"
    names = {"here": str(ROOT / "tests"), "source": str(ROOT / "src"), "manifest": str(case.manifest)}
    shards = [str(shard) for shard in case.shards]
    script.write_text(JOB.format(**names, shards=shards, out=str(tmp_path / "out"), devices=devices, more={}))
    job = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("last.ckpt")):
        assert job.poll() is None, job.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = psutil.Process(job.pid).children(recursive=True)
    job.send_signal(number)
    _, text = job.communicate(timeout=60)
    assert job.returncode == 128 + signal.SIGTERM, text
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not (tmp_path / "out/model.pt").exists()


def test_a_training_that_finds_no_gpu_says_so(case, tmp_path, caplog):
    run_training(case, tmp_path / "asked", chosen(max_epochs=1))
    assert "no GPU" not in caplog.text
    if not torch.cuda.is_available():
        with caplog.at_level("WARNING", "morphobench"):
            run_training(case, tmp_path / "auto", chosen(max_epochs=1), accelerator="auto")
        assert "there is no GPU here" in caplog.text
