"""Weights with their records: half precision, what they are refused for, and what starts from them."""

from __future__ import annotations

import copy
import json
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.malice import Malice
from fabricate.sampled import DATASET, write_sampled
from fabricate.trained import CELLS, FAMILIES, intensity_config, run_training, small_config

from morphobench import models
from morphobench.errors import InputError
from morphobench.files import weights as records
from morphobench.models import weights
from morphobench.models.cells import cell_batch, open_cells
from morphobench.train import reuse
from morphobench.train.module import AutoencoderModule

POINTS = small_config("classical_pointcloud", max_epochs=2)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(case, tmp_path_factory):
    return run_training(case, tmp_path_factory.mktemp("trained"), POINTS) / "model.pt"


def stored_in(folder, trained):
    """Copy weights and record, to be changed."""
    folder.mkdir(exist_ok=True)
    for path in (trained, records.record_of(trained)):
        shutil.copy(path, folder)
    return folder / trained.name


def changed(config, *keys, value):
    config = copy.deepcopy(config)
    place = config
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return config


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_moves_embeddings_by_less_than_a_hundredth_of_their_length(case, tmp_path, family):
    config = small_config(family, max_epochs=1)
    path = run_training(case, tmp_path / "out", config) / "model.pt"
    weights.write(tmp_path / "half.pt", weights.read(path), half=True)
    assert (tmp_path / "half.pt").stat().st_size < path.stat().st_size
    cells = open_cells(case.manifest, case.shards, config, "test")
    x = cell_batch(cells, range(len(cells)), config).x
    with torch.inference_mode():
        one, other = (weights.read(file).model.encode(x).numpy() for file in (path, tmp_path / "half.pt"))
    moved = np.linalg.norm(one - other, axis=1) / np.linalg.norm(one, axis=1)
    assert 0 < moved.max() < 0.01


def test_what_half_precision_cannot_hold_stays_single(trained, tmp_path):
    stored = weights.read(trained)
    name = next(name for name, value in stored.model.state_dict().items() if value.is_floating_point())
    with torch.no_grad():
        stored.model.state_dict()[name].fill_(1e6)
    weights.write(tmp_path / "half.pt", stored, half=True)
    assert (weights.read(tmp_path / "half.pt").model.state_dict()[name] == 1e6).all()


def test_a_training_starts_where_the_weights_are(case, trained, tmp_path, monkeypatch):
    losses = []
    step = AutoencoderModule.training_step
    monkeypatch.setattr(
        AutoencoderModule, "training_step", lambda *args: losses.append(step(*args)) or losses[-1]
    )
    out = run_training(case, tmp_path / "seeded", POINTS)
    first = losses[0].item()
    losses.clear()
    out = run_training(case, tmp_path / "started", POINTS, start_weights=trained)
    assert losses[0].item() < first
    record = json.loads((out / "record.json").read_text())
    assert record["start_weights"]["file"] == str(trained)
    assert record["start_weights"]["sha256"] == records.sha256(trained)
    again = run_training(case, tmp_path / "again", POINTS, start_weights=trained)
    assert (again / "model.pt").read_bytes() == (out / "model.pt").read_bytes()
    assert json.loads((again / "record.json").read_text())["fingerprint"] == record["fingerprint"]
    # Other weights are another training, although file and configuration are the same.
    other = stored_in(tmp_path / "other", run_training(case, tmp_path / "b", POINTS, seed=2) / "model.pt")
    anew = run_training(case, tmp_path / "again", POINTS, start_weights=other)
    assert json.loads((anew / "record.json").read_text())["fingerprint"] != record["fingerprint"]


def test_a_factor_of_intensities_is_that_of_the_weights(case, tmp_path):
    config = intensity_config(max_epochs=1)
    trained = run_training(case, tmp_path / "a", config) / "model.pt"
    config["intensity"]["input_scale"] = None
    out = run_training(case, tmp_path / "b", config, start_weights=trained)
    assert models.load(out / "model.pt")[1]["intensity"]["input_scale"] == 0.01


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (("architecture", "latent_dim"), 9, "architecture.latent_dim is 9, theirs 8"),
        (("input_scale",), 2.0, "input_scale is 2.0, theirs 0.5"),
        (("family",), "rotation_invariant_pointcloud", "family is"),
        (("representation",), "cube", "representation is"),
        (("intensity",), {"input_scale": 1.0}, "intensity.input_scale is 1.0, theirs not set"),
    ],
)
def test_weights_of_another_model_are_refused_with_the_difference(trained, keys, value, named):
    config = changed(POINTS, *keys, value=value)
    with pytest.raises(InputError, match=named):
        weights.check(trained, weights.read(trained), config, CELLS["preprocessing"])


def test_weights_of_other_cells_are_refused_with_the_difference(case, trained, tmp_path):
    other = {**CELLS, "preprocessing": {"kind": "packing", "voxel_um": 0.3, "mask": {"tolerance_um": 1}}}
    for architecture in (True, False):
        with pytest.raises(
            InputError, match=r"mask.tolerance_um is 1, theirs not set; voxel_um is 0.3, theirs 0.2"
        ):
            weights.check(
                trained,
                weights.read(trained),
                POINTS,
                other["preprocessing"],
                architecture=architecture,
            )


def test_weights_that_have_seen_test_cells_are_refused(case, trained, tmp_path, caplog):
    record, cells = weights.read(trained).record, pd.read_parquet(case.manifest)
    weights.check_unseen(trained, record, DATASET, cells)
    leaked = cells.assign(split=cells["split"].replace({"val": "test"}))
    with pytest.raises(InputError, match=r"3 groups .* test cells of tiny: nucleus_09"):
        weights.check_unseen(trained, record, DATASET, leaked)
    weights.check_unseen(trained, record, "another", leaked)
    assert "3 groups of cells" in caplog.text


def spoil_pickle(path):
    torch.save({"model_config": "{}", "state_dict": Malice(path.with_name("mark"))}, path)
    record = records.record_of(path)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": records.sha256(path)}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: records.record_of(path).unlink(), "has no record"),
        (lambda path: records.record_of(path).write_text("{"), "is no record of weights"),
        (lambda path: records.record_of(path).write_bytes(pickle.dumps({})), "is no record of weights"),
        (lambda path: records.record_of(path).write_text('{"format": 0}'), "format 0, not 1"),
        (lambda path: path.write_bytes(path.read_bytes() + b"0"), "is the record of other weights"),
        (spoil_pickle, "holds more than tensors and text"),
    ],
)
def test_bad_weights_are_named_with_the_reason_and_never_executed(trained, tmp_path, spoil, reason):
    path = stored_in(tmp_path / "stored", trained)
    spoil(path)
    with pytest.raises(InputError, match=reason) as raised:
        weights.read(path)
    assert str(path.parent) in str(raised.value)
    assert not path.with_name("mark").exists()


def reused(case, trained, out, config=POINTS, cells=CELLS, dataset="new"):
    out.mkdir()
    files = {"model_out": out / "model.pt", "record_out": out / "record.json"}
    reuse.run(trained, case.manifest, **files, dataset=dataset, model_config=config, cells_config=cells)
    return out / "model.pt"


def test_reused_weights_are_those_of_the_training_and_cost_nothing(case, trained, tmp_path):
    weights.write(tmp_path / "half.pt", weights.read(trained), half=True)
    wider = changed(POINTS, "architecture", "latent_dim", value=64)
    stored = weights.read(reused(case, tmp_path / "half.pt", tmp_path / "out", config=wider))
    assert stored.model_config["architecture"] == POINTS["architecture"]
    assert stored.record["train_s"] is None
    assert stored.record["weights_from"]["dataset"] == DATASET
    half = weights.read(tmp_path / "half.pt").model.state_dict()
    assert all(torch.equal(value, half[name]) for name, value in stored.model.state_dict().items())


def test_reused_weights_of_another_kind_are_refused(case, trained, tmp_path):
    with pytest.raises(InputError, match="family is"):
        reused(case, trained, tmp_path / "out", config=small_config("classical_image"))


def test_weights_of_the_same_data_set_keep_record_and_bytes(case, trained, tmp_path):
    path = reused(case, trained, tmp_path / "out", dataset=DATASET)
    assert path.read_bytes() == trained.read_bytes()
    assert weights.read(path).record == weights.read(trained).record
