"""What running a model costs: measured, or openly not measured, never zero."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from fabricate.perfect_models import SURFACE_CONFIG, Balls, Echo, volume_config
from fabricate.sampled import write_sampled
from fabricate.shapes import write_sampled_shapes
from fabricate.trained import FAMILIES, N_REPEATS, RECORD, cost_of

from morphobench.models.cells import open_cells
from morphobench.score import cost


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("family", FAMILIES)
def test_cost_has_times_of_every_repeat_and_the_costs_of_training(family, case, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "energy_per_call", lambda call, n_repeats, country: (None, None))
    found = cost_of(case, tmp_path, family)
    assert found.keys() == RECORD.keys() | {
        "encode_s",
        "decode_s",
        "best_batch",
        "encode_best_s",
        "decode_best_s",
        "inference_legacy_s",
        "peak_bytes",
        "energy_kwh",
        "emissions_kg",
        "device",
    }
    assert {key: found[key] for key in RECORD} == RECORD
    for key in ("encode_s", "decode_s"):
        assert len(found[key]) == N_REPEATS
        assert all(seconds > 0 for seconds in found[key])
    published = found["inference_legacy_s"]
    if family == "rotation_invariant_pointcloud_sdf":
        assert published is None  # there is no masked surface to compare with
    else:
        # With the loss, it takes longer than the model alone.
        assert len(published) == N_REPEATS
        assert min(published) > min(found["encode_s"])
    assert found["best_batch"] in (1, 2, 4)
    assert found["encode_best_s"] > 0
    assert found["decode_best_s"] > 0
    # A process with torch in it; a kilobyte taken for a byte would be far below.
    assert 50e6 < found["peak_bytes"] < 1e12
    assert found["energy_kwh"] is None
    assert found["emissions_kg"] is None
    assert found["device"] == "cpu"


def test_warm_up_is_not_timed():
    calls = []
    times = cost.time_calls(lambda: calls.append(None), N_REPEATS, torch.device("cpu"))
    assert len(calls) == N_REPEATS + 1
    assert len(times) == N_REPEATS


@pytest.mark.parametrize(
    ("per_cell_s", "largest", "expected"),
    [
        ({1: 4.0, 2: 3.0, 4: 2.0, 8: 1.0}, 8, 8),
        ({1: 4.0, 2: 3.0, 4: 2.0, 8: 1.0}, 5, 4),
        ({1: 4.0, 2: 3.0, 4: 2.99, 8: 0.1}, 8, 2),
        ({1: 4.0, 2: 5.0}, 8, 1),
    ],
)
def test_the_best_batch_is_doubled_while_that_pays(per_cell_s, largest, expected):
    asked = []

    def per_cell(size):
        asked.append(size)
        return per_cell_s[size] / 2, per_cell_s[size] / 2

    size, times = cost.best_batch(per_cell, largest)
    assert size == expected
    assert sum(times) == per_cell_s[expected]
    assert max(asked) <= largest


def test_a_batch_that_does_not_fit_ends_the_search():
    def per_cell(size):
        if size > 2:
            raise torch.OutOfMemoryError("no room")
        return 1.0 / size, 1.0 / size

    assert cost.best_batch(per_cell, 64) == (2, (0.5, 0.5))


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def counter(monkeypatch, readable):
    monkeypatch.setattr(cost.os, "access", lambda path, mode: readable and mode == cost.os.R_OK)


def test_energy_is_empty_without_a_counter(no_gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "_ENERGY_COUNTER", tmp_path / "absent")
    assert cost.energy_per_call(pytest.fail, N_REPEATS) == (None, None)


def test_energy_is_empty_when_the_counter_may_not_be_read(no_gpu, monkeypatch):
    counter(monkeypatch, readable=False)
    assert cost.energy_per_call(pytest.fail, N_REPEATS) == (None, None)


def tracker(monkeypatch, energy_kwh, emissions_kg):
    class Tracker:
        final_emissions_data = SimpleNamespace(energy_consumed=energy_kwh)

        def __init__(self, **options):
            pass

        def start(self):
            pass

        def stop(self):
            return emissions_kg

    monkeypatch.setitem(sys.modules, "codecarbon", SimpleNamespace(OfflineEmissionsTracker=Tracker))


def test_energy_is_per_call(no_gpu, monkeypatch):
    calls = []
    counter(monkeypatch, readable=True)
    tracker(monkeypatch, 6.0, 3.0)
    assert cost.energy_per_call(lambda: calls.append(None), N_REPEATS) == (2.0, 1.0)
    assert len(calls) == N_REPEATS


@pytest.mark.parametrize("emissions_kg", [0.0, None])
def test_what_is_too_short_to_count_is_empty_not_zero(no_gpu, monkeypatch, emissions_kg):
    counter(monkeypatch, readable=True)
    tracker(monkeypatch, 0.0, emissions_kg)
    assert cost.energy_per_call(lambda: None, N_REPEATS) == (None, None)


def test_needs_no_test_cell(tmp_path):
    case = write_sampled(tmp_path / "data", splits=["train"] * 6)
    assert cost_of(case, tmp_path, "classical_pointcloud")["encode_s"]


@pytest.mark.parametrize(("representation", "model"), [("seg", Echo), ("sdf", Echo), ("surface", Balls)])
def test_the_published_time_of_shapes_includes_meshing_and_comparing(representation, model, tmp_path):
    shapes = write_sampled_shapes(tmp_path)
    chosen = SURFACE_CONFIG if representation == "surface" else volume_config(representation)
    cells = open_cells(shapes.manifest, shapes.shards, chosen, "train")
    how = {"n_points": 16, "device": torch.device("cpu"), "n_cells": 9}
    with torch.inference_mode():
        times = cost.inference_seconds_legacy(model(), cells, chosen, meshes=shapes.meshes, **how)
        assert cost.inference_seconds_legacy(model(), cells, chosen, **how) is None
    assert len(times) == len(cells) == 2
    assert min(times) > 0
