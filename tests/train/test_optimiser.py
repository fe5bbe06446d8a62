"""Optimizer, schedule and averaging: values of the schedule, averaged weights, exact resuming."""

import json
import signal

import numpy as np
import pytest
import torch
from fabricate.sampled import write_sampled
from fabricate.trained import run_training, small_config

from morphobench import models
from morphobench.models.cells import open_cells
from morphobench.models.input_scale import with_input_scale
from morphobench.train import checkpoints, optimiser

TRAINING = {"lr": 0.01, "schedule": "one_cycle", "warmup": 0.25}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("sampled"))


def rates(training, n_steps=100):
    weight = torch.nn.Parameter(torch.ones(1))
    configured = optimiser.configure([weight], training, n_steps)
    optimizer = configured["optimizer"]
    schedule, found = configured.get("lr_scheduler"), []
    for _ in range(n_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if schedule:
            schedule["scheduler"].step() if len(found) < n_steps else None
    return found


def test_one_cycle_rises_over_the_warm_up_to_the_rate_and_falls_to_almost_nothing():
    found = rates(TRAINING)
    assert max(found) == pytest.approx(0.01)
    top = found.index(max(found))
    assert top == pytest.approx(25, abs=1)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[-1] < 1e-5


def test_without_a_schedule_the_rate_stays():
    assert set(rates({"lr": 0.01})) == {0.01}


def recipe(**more):
    own = {"schedule": "one_cycle", "average": 0.8, "gradient_clip": 1.0, "weight_decay": 0.01}
    chosen = small_config("classical_pointcloud", loss="earth_mover", encoded_points=24, max_epochs=4, **own)
    chosen["architecture"] = {**chosen["architecture"], "n_output_points": 64}
    return {**chosen, "input_scale": "auto", **more}


def weights(folder):
    return models.load(folder / "model.pt")[0].state_dict()


@pytest.mark.parametrize("step", [2, 5])
def test_a_training_with_schedule_and_average_resumes_exactly(case, tmp_path, monkeypatch, step):
    whole = run_training(case, tmp_path / "whole", recipe())
    ends = checkpoints.CheckpointAndEarlyStopping.on_train_batch_end

    def end_at_step(callback, trainer, *more):
        if trainer.global_step == step:
            callback.interrupt.received = signal.SIGTERM
        ends(callback, trainer, *more)

    monkeypatch.setattr(checkpoints.CheckpointAndEarlyStopping, "on_train_batch_end", end_at_step)
    with pytest.raises(SystemExit):
        run_training(case, tmp_path / "cut", recipe())
    monkeypatch.undo()
    cut = weights(run_training(case, tmp_path / "cut", recipe()))
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(cut[name], tensor, rtol=0, atol=0)


def test_the_trained_model_has_averaged_weights(case, tmp_path):
    training = {"training": {**recipe()["training"], "average": None, "patience": 50}}
    plain = weights(run_training(case, tmp_path / "plain", recipe(**training)))
    averaged = weights(run_training(case, tmp_path / "averaged", recipe()))
    assert any(not torch.equal(plain[name], tensor) for name, tensor in averaged.items())


def test_doubling_the_data_halves_the_measured_scale(tmp_path):
    factors = []
    for gain in (1.0, 2.0):
        case = write_sampled(tmp_path / str(gain))
        for folder in case.shards:
            np.save(folder / "points_um.npy", gain * np.load(folder / "points_um.npy"))
        cells = open_cells(case.manifest, case.shards, recipe(), "train")
        factors.append(with_input_scale(recipe(), cells, 256)["input_scale"])
    assert factors[1] == pytest.approx(factors[0] / 2)


def test_the_measured_scale_stands_with_the_weights_and_in_the_record(case, tmp_path):
    out = run_training(case, tmp_path, recipe())
    stored = models.load(out / "model.pt")[1]
    assert isinstance(stored["input_scale"], float)
    record = json.loads((out / "record.json").read_text())
    assert record["model_config"]["input_scale"] == stored["input_scale"]
    assert record["model_config"]["measured_scale"]["rms_um"] > 0
