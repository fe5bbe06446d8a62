"""Training: the same bits from the same seed, whatever interrupts it; nothing stale."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.sampled import SPLITS, write_sampled
from fabricate.trained import FAMILIES, intensity_config, run_training, small_config
from paths import ROOT
from pytorch_lightning.utilities.exceptions import SIGTERMException

from morphobench import models
from morphobench.errors import InputError
from morphobench.geometry import rotation as rotation_matrices
from morphobench.models.cells import cell_batch, open_cells
from morphobench.models.losses import LOSSES
from morphobench.train import checkpoints
from morphobench.train import run as train
from morphobench.train.module import AutoencoderModule
from morphobench.train.record import training_record

POINTS = small_config("classical_pointcloud", max_epochs=5)


class Interrupted(Exception):
    """What stops a training in these tests."""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def complete(case, tmp_path_factory):
    """A training that nothing interrupted."""
    return run_training(case, tmp_path_factory.mktemp("complete"), POINTS)


@pytest.fixture
def steps(monkeypatch):
    """Epochs of the training steps that are taken during a test."""
    taken = []
    original = AutoencoderModule.training_step

    def step(self, x, batch_idx):
        taken.append(self.current_epoch)
        return original(self, x, batch_idx)

    monkeypatch.setattr(AutoencoderModule, "training_step", step)
    return taken


def same_weights(one, other):
    a, b = (models.load(folder / "model.pt")[0].state_dict() for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def curves(folder):
    return pd.read_csv(folder / "curves.csv")


def assert_same_training(one, other):
    assert same_weights(one, other)
    columns = ["epoch", "train_loss", "val_loss"]
    pd.testing.assert_frame_equal(curves(one)[columns], curves(other)[columns], check_exact=True)


def interrupt(case, out, chosen, owner, method, on_call):
    """Train until `method` of `owner` is called for the n-th time."""
    calls = iter(range(1, 1000))
    original = getattr(owner, method)

    def breaking(*args, **kwargs):
        if next(calls) == on_call:
            raise Interrupted
        return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, breaking)
        with pytest.raises(Interrupted):
            run_training(case, out, chosen)
    assert not (out / "record.json").exists()


# The same bits


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_bits_another_seed_other_weights(family, case, tmp_path):
    chosen = small_config(family, max_epochs=2, jitter=0.01)
    torch.manual_seed(0)
    first = run_training(case, tmp_path / "a", chosen)
    torch.manual_seed(1)
    assert_same_training(first, run_training(case, tmp_path / "b", chosen))
    assert not same_weights(first, run_training(case, tmp_path / "c", chosen, seed=2))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_last_batch_of_one_cell_is_no_trouble(family, case, tmp_path):
    chosen = small_config(family, max_epochs=1, batch_size=7)
    assert np.isfinite(curves(run_training(case, tmp_path, chosen)).to_numpy()).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_trains_in_mixed_precision(family, case, tmp_path):
    chosen = small_config(family, max_epochs=1)
    out = run_training(case, tmp_path, chosen, precision="bf16-mixed")
    assert np.isfinite(curves(out).to_numpy()).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_interrupted_in_an_epoch_ends_with_the_same_bits(family, case, tmp_path):
    chosen = small_config(family, max_epochs=4, jitter=0.01)
    interrupt(case, tmp_path / "cut", chosen, AutoencoderModule, "training_step", 6)
    again = run_training(case, tmp_path / "cut", chosen)
    assert_same_training(run_training(case, tmp_path / "whole", chosen), again)
    assert curves(again)["epoch"].tolist() == [0, 1, 2, 3]
    assert curves(again).notna().all(axis=None)


@pytest.mark.parametrize(
    ("owner", "method", "on_call"),
    [
        (AutoencoderModule, "training_step", 1),
        (AutoencoderModule, "training_step", 7),
        (AutoencoderModule, "validation_step", 3),
        (train.CheckpointAndEarlyStopping, "on_train_epoch_end", 2),
        (train.CheckpointAndEarlyStopping, "_log", 3),
        (train, "write_json", 1),
        (models, "save", 1),
        (os, "replace", 2),
        (os, "replace", 3),
        (os, "replace", 6),
    ],
)
def test_interrupted_anywhere_ends_with_the_same_bits(case, complete, tmp_path, owner, method, on_call):
    interrupt(case, tmp_path, POINTS, owner, method, on_call)
    assert_same_training(complete, run_training(case, tmp_path, POINTS))


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {source!r}]
from fabricate.sampled import Sampled
from fabricate.trained import run_training, small_config
case = Sampled(Path({manifest!r}), [Path(shard) for shard in {shards!r}])
chosen = small_config("classical_pointcloud", max_epochs=5)
calls = left = 0

def count(frame, event, argument):
    global calls
    calls += 1
    if calls == left:
        os.kill(os.getpid(), signal.SIGKILL)

run_training(case, Path({out!r}) / "warm", chosen)
sys.setprofile(count)
run_training(case, Path({out!r}) / "measure", chosen)
calls, left = 0, int({fraction!r} * calls)
run_training(case, Path({out!r}) / "killed", chosen)
"""


@pytest.mark.long
def test_killed_at_a_random_moment_ends_with_the_same_bits(case, complete, tmp_path):
    script = KILLED.format(
        here=str(ROOT / "tests"),
        source=str(ROOT / "src"),
        manifest=str(case.manifest),
        shards=[str(shard) for shard in case.shards],
        out=str(tmp_path),
        fraction=random.uniform(0.1, 0.9),
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert_same_training(complete, run_training(case, tmp_path / "killed", POINTS))


def test_a_training_that_is_interrupted_does_not_claim_to_be_complete(case, complete, tmp_path, monkeypatch):
    def step(self, x, batch_idx):
        raise SIGTERMException

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderModule, "training_step", step)
        with pytest.raises(SystemExit) as caught:
            run_training(case, tmp_path, POINTS)
    assert caught.value.code == 143
    assert not (tmp_path / "model.pt").exists()
    assert_same_training(complete, run_training(case, tmp_path, POINTS))


@pytest.mark.parametrize("damaged", [["last.ckpt"], ["best.ckpt"], ["best.ckpt", "last.ckpt"]])
def test_half_written_checkpoints_cost_time_not_bits(case, complete, tmp_path, damaged):
    interrupt(case, tmp_path, POINTS, AutoencoderModule, "training_step", 8)
    for name in damaged:
        (path,) = tmp_path.rglob(name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_same_training(complete, run_training(case, tmp_path, POINTS))


def test_best_weights_survive_a_move_of_the_results(case, tmp_path):
    chosen = small_config("classical_pointcloud", max_epochs=8, lr=0.05)
    whole = run_training(case, tmp_path / "whole", chosen)
    worst_after = int(curves(whole)["val_loss"].argmin()) + 1
    assert worst_after < 8, "the lowest loss must not be the last for this test to mean anything"
    interrupt(case, tmp_path / "cut", chosen, AutoencoderModule, "training_step", 2 * worst_after + 1)
    shutil.move(tmp_path / "cut", tmp_path / "moved")
    assert_same_training(whole, run_training(case, tmp_path / "moved", chosen))


# Early stopping


def test_stops_after_so_many_epochs_without_a_new_lowest_loss():
    losses = [5.0, 3.0, 4.0, 3.0, 2.9, 3.0, 3.0]
    stop = [checkpoints.stops_early(losses[:n], patience=2, min_epochs=1) for n in range(1, 8)]
    assert stop == [False, False, False, True, False, False, True]
    assert not checkpoints.stops_early(losses[:4], patience=2, min_epochs=5)
    assert not checkpoints.stops_early([], patience=1, min_epochs=1)


def test_early_stopping_stops_in_the_same_epoch_when_resumed(case, tmp_path):
    chosen = small_config("classical_pointcloud", max_epochs=40, patience=2, lr=0.05)
    whole = run_training(case, tmp_path / "whole", chosen)
    n_epochs = len(curves(whole))
    assert 2 < n_epochs < 40
    # In the last epoch, and after it: there the resumed training must notice that it is over.
    for owner, method, on_call in ((AutoencoderModule, "training_step", 2 * n_epochs), (models, "save", 1)):
        interrupt(case, tmp_path / method, chosen, owner, method, on_call)
        assert_same_training(whole, run_training(case, tmp_path / method, chosen))


def test_least_number_of_epochs_is_kept(case, tmp_path):
    chosen = small_config("classical_pointcloud", max_epochs=9, min_epochs=7, patience=1, lr=0.05)
    assert len(curves(run_training(case, tmp_path, chosen))) >= 7


# What is the same training


def test_a_finished_training_is_not_repeated_for_a_label(case, complete, tmp_path, steps):
    shutil.copytree(complete, tmp_path, dirs_exist_ok=True)
    again = run_training(case, tmp_path, {**POINTS, "label": "another", "color": "#ffffff"})
    assert steps == []
    assert_same_training(complete, again)


def changed(key, value):
    return {**POINTS, "training": {**POINTS["training"], key: value}}


@pytest.mark.parametrize(
    ("chosen", "more"),
    [
        (changed("lr", 1e-4), {}),
        ({**POINTS, "input_scale": 0.4}, {}),
        (POINTS, {"source_digest": "b"}),
        (POINTS, {"seed": 9}),
        (POINTS, {"precision": "64-true"}),
        (changed("gradient_clip", 0.5), {}),
    ],
    ids=["training", "input_scale", "source_digest", "seed", "precision", "gradient_clip"],
)
def test_another_training_starts_anew_and_the_old_checkpoints_go(
    case, complete, tmp_path, steps, chosen, more
):
    shutil.copytree(complete, tmp_path, dirs_exist_ok=True)
    (old,) = (tmp_path / "checkpoints").iterdir()
    run_training(case, tmp_path, chosen, **more)
    assert sorted(set(steps)) == [0, 1, 2, 3, 4]
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert kept.name != old.name
    assert kept.name == json.loads((tmp_path / "record.json").read_text())["fingerprint"]


def test_cells_sampled_anew_are_trained_on_anew(tmp_path, steps):
    case = write_sampled(tmp_path / "data")
    run_training(case, tmp_path / "out", POINTS)
    steps.clear()
    shard = case.shards[0] / "points_um.npy"
    np.save(shard, np.load(shard) * np.float32(1.01))
    run_training(case, tmp_path / "out", POINTS)
    assert sorted(set(steps)) == [0, 1, 2, 3, 4]


def test_what_a_training_does_not_read_trains_nothing_again(tmp_path, steps):
    case = write_sampled(tmp_path / "data")
    run_training(case, tmp_path / "out", POINTS)
    before = written(tmp_path / "out")
    steps.clear()
    cells = pd.read_parquet(case.manifest)
    cells = cells.assign(treatment="corrected", group="one", rule="another", error="reworded")
    # A test cell more, first in the order; its arrays and those of another test cell are others now.
    test = cells[cells["split"] == "test"]
    pd.concat([test[:1].assign(CellId="0"), cells]).to_parquet(case.manifest)
    for row in test.itertuples():
        shard = case.shards[row.shard] / "points_um.npy"
        points_um = np.load(shard)
        points_um[row.index] += 1
        np.save(shard, points_um)
    run_training(case, tmp_path / "out", POINTS)
    assert steps == []
    assert written(tmp_path / "out") == before


def written(folder):
    """Return the weights and the record, but for the names of groups, which are those of the manifest."""
    record = json.loads((folder / "record.json").read_text())
    return (folder / "model.pt").read_bytes(), {**record, "groups": None}


@pytest.mark.parametrize("change", ["moved", "order", "failed"])
def test_another_choice_of_cells_is_trained_on_anew(tmp_path, steps, change):
    case = write_sampled(tmp_path / "data")
    run_training(case, tmp_path / "out", POINTS)
    steps.clear()
    cells = pd.read_parquet(case.manifest)
    first = cells.index[(cells["split"] == "train") & cells["success"]][0]
    if change == "moved":
        cells.loc[first, "split"] = "val"
    elif change == "failed":
        cells.loc[first, "success"] = False
    else:
        cells = cells[::-1]
    cells.to_parquet(case.manifest)
    run_training(case, tmp_path / "out", POINTS)
    assert steps != []


# What goes wrong


@pytest.mark.parametrize("phase", ["train", "val"])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    case, complete, tmp_path, monkeypatch, phase
):
    chamfer, calls = LOSSES["chamfer"], iter(range(1, 1000))
    # An epoch is two training batches and one of validation.
    bad = {"train": 7, "val": 9}[phase]
    with monkeypatch.context() as patch:
        patch.setitem(LOSSES, "chamfer", lambda a, b: chamfer(a, b) * (np.nan if next(calls) == bad else 1))
        with pytest.raises(InputError, match=rf"{phase} loss is nan in epoch 2.*Lower training\.lr"):
            run_training(case, tmp_path, POINTS)
    assert not (tmp_path / "model.pt").exists()
    (last,) = tmp_path.rglob("last.ckpt")
    state = torch.load(last, weights_only=True)
    assert [row["epoch"] for row in state["callbacks"]["CheckpointAndEarlyStopping"]["rows"]] == [0, 1]
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())
    assert_same_training(complete, run_training(case, tmp_path, POINTS))


def test_a_learning_rate_beyond_reason_is_refused(case, tmp_path):
    with pytest.raises(InputError, match=r"training\.lr"):
        run_training(case, tmp_path, changed("lr", 1e30))


@pytest.mark.parametrize("missing", ["train", "val"])
def test_an_empty_split_is_refused(tmp_path, missing):
    other = {"train": "val", "val": "train"}[missing]
    case = write_sampled(tmp_path, splits=[other if part == missing else part for part in SPLITS])
    with pytest.raises(InputError, match=f"there is no usable {missing} cell"):
        run_training(case, tmp_path / "out", POINTS)


def test_a_family_that_does_not_read_the_representation_is_refused(case, tmp_path):
    chosen = POINTS | {"representation": "surface"}
    with pytest.raises(InputError, match="classical_pointcloud does not read representation surface"):
        run_training(case, tmp_path, chosen)


@pytest.mark.parametrize("rotation", ["z", "so3"])
def test_training_cells_are_rotated_alike_in_an_interrupted_training(case, tmp_path, rotation):
    chosen = small_config("classical_pointcloud", max_epochs=3, rotation=rotation)
    interrupt(case, tmp_path / "cut", chosen, AutoencoderModule, "training_step", 4)
    again = run_training(case, tmp_path / "cut", chosen)
    whole = run_training(case, tmp_path / "whole", chosen)
    assert_same_training(whole, again)
    assert not same_weights(whole, run_training(case, tmp_path / "plain", POINTS))


def test_intensity_trains_and_its_embedding_ignores_rotations(case, tmp_path):
    chosen = intensity_config(max_epochs=3)
    out = run_training(case, tmp_path, chosen)
    assert np.isfinite(curves(out)[["train_loss", "val_loss"]].to_numpy()).all()
    model = models.load(out / "model.pt")[0]
    cells = open_cells(case.manifest, case.shards, chosen)
    matrices = rotation_matrices.uniform(5, np.random.default_rng(0))
    with torch.inference_mode():
        first, *others = (
            model.encode(cell_batch(cells, range(4), chosen, rotation=one).x) for one in matrices
        )
    assert max((other - first).norm() / first.norm() for other in others) < 1e-5


def test_a_measured_factor_of_intensities_makes_cameras_alike_and_stands_with_the_weights(tmp_path):
    chosen = intensity_config(max_epochs=2)
    chosen["intensity"] = {"input_scale": None, "quantile": 0.99}
    embedded = {}
    for name, gain in (("12 bits", 1.0), ("16 bits", 16.0), ("0 to 1", 1 / 4096)):
        case = write_sampled(tmp_path / name)
        for shard in case.shards:
            counts = np.load(shard / "intensity.npy")
            np.save(shard / "intensity.npy", (counts * np.float32(gain)).astype(np.float32))
        out = run_training(case, tmp_path / name / "out", chosen)
        model, used = models.load(out / "model.pt")
        record = json.loads((out / "record.json").read_text())
        assert record["model_config"]["intensity"] == used["intensity"]
        assert used["intensity"]["measured"]["n_cells"] == 8
        assert used["intensity"]["input_scale"] * gain == pytest.approx(
            embedded.setdefault("factor", used["intensity"]["input_scale"] * gain), rel=1e-5
        )
        cells = open_cells(case.manifest, case.shards, used)
        with torch.no_grad():
            z = model.encode(cell_batch(cells, range(4), used).x)
        torch.testing.assert_close(z, embedded.setdefault("z", z), rtol=1e-3, atol=1e-4)


def test_the_implicit_model_learns_the_distances(case, tmp_path):
    chosen = small_config("rotation_invariant_pointcloud_sdf", max_epochs=60, lr=1e-2, jitter=0.0)
    out = run_training(case, tmp_path, chosen)
    assert curves(out)["val_loss"].min() < 0.5 * curves(out)["val_loss"].iloc[0]


def test_record_tells_what_the_training_was(complete):
    record = json.loads((complete / "record.json").read_text())
    model, kept = models.load(complete / "model.pt")
    assert kept == POINTS
    assert record["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert record["epochs"] == 5
    assert record["best_val_loss"] == pytest.approx(curves(complete)["val_loss"].min())
    assert record["best_epoch"] == curves(complete)["val_loss"].argmin()
    assert record["train_s"] == pytest.approx(curves(complete)["seconds"].sum())
    assert 0 < record["cpu_s"] == pytest.approx(curves(complete)["cpu_seconds"].sum())
    assert record["train_s"] > 0
    assert record["gpu_hours"] == 0
    assert record["device"]
    assert set(record["versions"]) == {"morphobench", "python", "numpy", "torch", "lightning", "cuda"}
    assert record["seed"] == 1
    assert (record["dataset"], record["model"]) == ("tiny", "classical_pointcloud")
    assert record["source_digest"] == "a"
    assert record["model_config"] == POINTS
    assert record["train_config"]["precision"] == "32-true"
    assert record["peak_memory_mib"] == pytest.approx(curves(complete)["peak_memory_mib"].max())
    assert record["peak_memory_mib"] > 100, "torch alone takes more"


def test_record_of_another_configuration_has_another_digest(complete):
    record = json.loads((complete / "record.json").read_text())
    rows = curves(complete).to_dict("records")
    again = training_record(rows, POINTS, record["train_config"])
    assert again["config"] == record["config"]
    other = training_record(rows, changed("lr", 1.0), {**record["train_config"]})
    assert other["config"] != record["config"]


# What section `train` chooses


def test_gradients_are_clipped_to_their_norm(case, tmp_path, monkeypatch):
    norms = []

    def note(self, epoch, batch_idx, optimizer):
        grads = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        norms.extend([torch.stack([grad.norm() for grad in grads]).norm().item()] if grads else [])
        optimizer.zero_grad()

    # At this moment the gradients are those that the step before was taken with.
    monkeypatch.setattr(AutoencoderModule, "optimizer_zero_grad", note)
    run_training(case, tmp_path / "free", POINTS)
    free = norms.copy()
    norms.clear()
    run_training(case, tmp_path / "clipped", changed("gradient_clip", 0.01))
    assert len(free) == len(norms) >= 5
    assert max(norms) <= 0.01 * (1 + 1e-4)
    assert max(free) > 0.02, "nothing to clip"


@pytest.mark.long
def test_a_compiled_model_has_the_weights_of_a_plain_one(case, complete, tmp_path, monkeypatch):
    compiled, original = [], torch.compile

    def eager(method):
        compiled.append(method.__qualname__)
        # Traced by torch.compile as ever, but run as it is: no C++ compiler, the same bits.
        return original(method, backend="eager")

    monkeypatch.setattr(torch, "compile", eager)
    assert_same_training(complete, run_training(case, tmp_path, POINTS, compile=True))
    assert compiled == ["Autoencoder.loss_terms"]


def test_tensorboard_files_by_configuration_alone(case, complete, tmp_path):
    assert not list(complete.rglob("events.out.*"))
    assert_same_training(complete, run_training(case, tmp_path, POINTS, loggers=["tensorboard"]))
    assert list(tmp_path.rglob("events.out.*"))


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_logger_that_is_not_installed_is_refused_before_training(case, tmp_path, monkeypatch, steps, name):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == name else find(n, *a))
    with pytest.raises(InputError, match=rf"train\.loggers names {name}.*pip install {name}"):
        run_training(case, tmp_path, POINTS, loggers=[name])
    assert steps == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(case, tmp_path):
    with pytest.raises(InputError, match=r"train\.accelerator = gpu .* does not fit this machine"):
        run_training(case, tmp_path, POINTS, accelerator="gpu")


def test_a_batch_that_cannot_be_shared_is_refused(case, tmp_path):
    with pytest.raises(InputError, match=r"training\.batch_size = 4 .* train\.devices = 3"):
        run_training(case, tmp_path, POINTS, devices=3)
