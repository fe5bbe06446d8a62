"""How many operators a training step launches: a GPU is kept busy by few large ones."""

from __future__ import annotations

import pytest
import torch
from operators import Operators, Step, counted, flop

from morphobench import models
from morphobench.models import kernels
from morphobench.models.base import LossTerms
from morphobench.models.cloud import checked
from morphobench.models.inputs import Batch

# The blocks of paper scale, narrow: the number of operators depends on neither width nor batch.
IMAGE = {"size": 33, "latent_dim": 4, "channels": [2] * 7, "strides": [1, 1, 2, 2, 2, 2, 2]}
CLOUD = {"latent_dim": 8, "hidden_dim": 4, "k": 4}
# At most a third of what the formulation for CPUs launched when GPUs had it too: 952 and 1972.
CEILINGS = {"classical_image": 317, "rotation_invariant_image": 657}
CLOUD_CEILINGS = {"classical_pointcloud": 470}
# On a GPU and without the loss; before there were kernels, 536 and 406.
VECTOR_CEILINGS = {"rotation_invariant_pointcloud": 320, "rotation_invariant_pointcloud_sdf": 226}


def image_step(family, dense):
    model = models.create(family, **IMAGE)
    model.dense = dense
    return Step(model, Batch(torch.randn(2, 1, 33, 33, 33)), "mse")


@pytest.mark.parametrize(("family", "ceiling"), CEILINGS.items())
def test_the_image_models_on_a_gpu(family, ceiling):
    assert sum(counted(image_step(family, dense=True)).counts.values()) <= ceiling


@pytest.mark.parametrize(("family", "ceiling"), CLOUD_CEILINGS.items())
def test_the_cloud_models(family, ceiling):
    step = Step(models.create(family, **CLOUD, n_output_points=32), Batch(torch.randn(2, 32, 3)), "chamfer")
    assert sum(counted(step).counts.values()) <= ceiling


@pytest.mark.parametrize(("family", "ceiling"), VECTOR_CEILINGS.items())
def test_vector_neurons_on_a_gpu(family, ceiling, monkeypatch):
    """Tensors without content take the kernels, too: torch knows what these return."""
    monkeypatch.setattr(kernels, "fits", lambda *_: True)
    monkeypatch.setattr(checked, "_agree", lambda _: True)
    with torch.device("meta"):
        model, points = models.create(family, **CLOUD), torch.empty(2, 32, 3)
    with Operators() as operators:
        inputs = (points, points) if family == "rotation_invariant_pointcloud_sdf" else (points,)
        model(*inputs).square().mean().backward()
    assert operators.counts["morphobench.rectify"] >= 5
    assert sum(operators.counts.values()) <= ceiling


def test_views_and_allocations_launch_nothing():
    x = torch.ones(4, 4, requires_grad=True)

    class Doubling(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(4, 4))

        def loss_terms(self, batch, generator):
            output = (batch.x.T.view(4, 4) @ self.weight).unflatten(1, (2, 2))
            return LossTerms(output, torch.zeros_like(output), output.new_zeros(4))

    step = Step(Doubling(), Batch(x.detach()), "mse")
    assert counted(step).counts["aten.mm"] == 2
    assert not any("view" in name or "empty" in name for name in counted(step).counts)
    # Forward, and the gradient by the weight: 4^3 multiplications and additions each.
    assert flop(step) == 2 * 2 * 4**3
