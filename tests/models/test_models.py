"""Models as files: the same after loading, refused when damaged or foreign, never executed."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from fabricate.malice import Malice
from fabricate.sampled import clouds_um
from fabricate.trained import FAMILIES, small_config, write_untrained

from morphobench import models
from morphobench.errors import InputError


@pytest.mark.parametrize("family", FAMILIES)
def test_model_is_the_same_after_saving(family, tmp_path):
    path = write_untrained(tmp_path / "model.pt", family)
    model, kept = models.load(path)
    assert kept == small_config(family)
    models.save(model, kept, tmp_path / "again.pt")
    again, _ = models.load(tmp_path / "again.pt")
    raw = clouds_um(2)
    x = torch.from_numpy(raw) if kept["representation"] != "cube" else torch.randn(2, 1, 9, 9, 9)
    assert not again.training
    with torch.no_grad():
        assert torch.equal(model(x), again(x))


def content_of(path):
    return torch.load(path, weights_only=True)


@pytest.fixture
def saved(tmp_path):
    return write_untrained(tmp_path / "model.pt", "classical_pointcloud")


def test_a_file_cut_short_anywhere_is_no_model(saved):
    whole = saved.read_bytes()
    for n_bytes in np.linspace(0, len(whole) - 1, 25).astype(int):
        saved.write_bytes(whole[:n_bytes])
        with pytest.raises(InputError, match=r"model\.pt is not a model of this project"):
            models.load(saved)


@pytest.mark.parametrize("writer", [torch.save, lambda data, path: path.write_bytes(pickle.dumps(data))])
def test_nothing_in_a_foreign_file_is_executed(tmp_path, writer):
    mark, path = tmp_path / "executed", tmp_path / "model.pt"
    writer({"model_config": "{}", "state_dict": Malice(mark)}, path)
    with pytest.raises(InputError, match="more than tensors") as caught:
        models.load(path)
    assert not mark.exists()
    assert "weights_only" not in str(caught.value)
    # The file was a weapon indeed.
    torch.load(path, weights_only=False) if writer is torch.save else pickle.loads(path.read_bytes())
    assert mark.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"family": "no_such"}, "unknown model family 'no_such'"),
        ({"family": ["no_such"]}, "not a model"),
        ({"architecture": {"width": 3}}, "unknown architecture key 'width'"),
        (
            {"architecture": {**small_config("classical_pointcloud")["architecture"], "latent_dim": 9}},
            "size mismatch",
        ),
        ({"architecture": []}, "not a model"),
    ],
)
def test_settings_that_do_not_fit_are_refused(saved, change, reason):
    content = content_of(saved)
    torch.save(
        {**content, "model_config": json.dumps({**json.loads(content["model_config"]), **change})}, saved
    )
    with pytest.raises(InputError, match=reason):
        models.load(saved)


@pytest.mark.parametrize(
    "content", [torch.zeros(3), [1], "text", None, {}, {"model_config": "{"}, {"model_config": 3}]
)
def test_another_kind_of_content_is_no_model(saved, content):
    torch.save(content, saved)
    with pytest.raises(InputError, match="not a model of this project"):
        models.load(saved)


def test_the_same_model_has_the_same_bytes_under_any_name(saved, tmp_path):
    model, chosen = models.load(saved)
    for name in ("one.pt", "another.pt"):
        models.save(model, chosen, tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()
