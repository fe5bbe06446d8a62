"""A training step on a GPU launches its work and waits for nothing, shown on tensors without content."""

from __future__ import annotations

import math
import re
import shutil
from contextlib import nullcontext

import pytest
import torch
from fabricate.trained import small_config
from torch.utils._python_dispatch import TorchDispatchMode

from morphobench import models
from morphobench.errors import InputError
from morphobench.log import logger
from morphobench.models import kernels
from morphobench.models.cloud import checked
from morphobench.models.inputs import Batch, subsample
from morphobench.models.losses import LOSSES
from morphobench.train.augment import augment
from morphobench.train.compiled import compiled
from morphobench.train.finite import FiniteLosses

POINTS = {"subsample": {"n_points": 64, "n_queries": 16}}
CLOUDS = ("classical_pointcloud", "rotation_invariant_pointcloud", "rotation_invariant_pointcloud_sdf")


class NoWaiting(TorchDispatchMode):
    """Refuses what Python would wait for: how many there are, and copies to the device that block."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Numbers of tensors are refused by tensors without content themselves.
        assert func.overloadpacket is not torch.ops.aten.nonzero
        result = func(*args, **kwargs)
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            source = args[-1] if func.overloadpacket is torch.ops.aten.copy_ else args[0]
            blocks = source.device.type == "cpu" and result.is_meta
            assert not blocks or kwargs.get("non_blocking"), "a copy to the device that blocks"
        return result


def step(family):
    """Run a training step as `AutoencoderModule` does."""
    config, generator = small_config(family), torch.Generator().manual_seed(1)
    with torch.device("meta"):
        model = models.create(family, **config["architecture"])
        if family in CLOUDS:
            x, rotated = torch.empty(2, 80, 3), {"rotation": "so3", "jitter": 0.1}
        else:
            x, rotated = torch.empty(2, 1, *3 * [model.size]), {"rotation": "lattice", "jitter": 0.0}
            model.dense = True
    implicit = family == "rotation_invariant_pointcloud_sdf"
    batch = Batch(x, x, x[..., 0]) if implicit else Batch(x)
    # What is computed once.
    model.loss_terms(batch, generator)
    with NoWaiting():
        batch = subsample(batch, POINTS if family in CLOUDS else {}, generator)
        terms = model.loss_terms(augment(batch, rotated, generator), generator)
        LOSSES["l1" if implicit else "chamfer" if family in CLOUDS else "mse"](
            terms.output, terms.target
        ).mean().backward()


@pytest.mark.parametrize("family", [*CLOUDS, "classical_image", "rotation_invariant_image"])
def test_a_training_step_waits_for_nothing(family, monkeypatch):
    monkeypatch.setattr(kernels, "fits", lambda *_: True)
    monkeypatch.setattr(checked, "_agree", lambda _: True)
    # Which there is not for tensors without content.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    step(family)


class OnGPU:
    """A loss as a GPU has it: its number arrives later."""

    is_cuda = True

    def __init__(self, value):
        self.value = value

    def detach(self):
        return self

    def to(self, device, non_blocking):
        assert non_blocking
        return torch.tensor(self.value)


class Arrival:
    def record(self):
        pass

    def synchronize(self):
        pass


def test_a_loss_of_a_gpu_is_checked_one_step_later(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Arrival)
    losses = FiniteLosses()
    for value in (1.0, math.nan):
        losses.add(OnGPU(value), "train", f"in epoch 3, step {value}")
    with pytest.raises(InputError, match="the train loss is nan in epoch 3, step nan; the last good"):
        losses.check()
    losses.check()
    losses.add(OnGPU(math.inf), "val", "in epoch 4, step 0")
    with pytest.raises(InputError, match="the val loss is inf in epoch 4"):
        losses.add(OnGPU(1.0), "val", "in epoch 4, step 1")


@pytest.mark.parametrize(("how", "missing"), [("cuda_graphs", "a GPU"), (True, r"a C\+\+ compiler")])
def test_what_cannot_be_compiled_is_trained_uncompiled(how, missing, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(logger, "propagate", True)
    assert compiled(step, how, torch.device("cpu")) is step
    assert re.search(f"train.compile = {how} needs {missing}; the training goes on uncompiled", caplog.text)
