"""Both formulations of the image models give the same numbers, on one device."""

from __future__ import annotations

import copy

import pytest
import torch

from morphobench import models
from morphobench.models.inputs import Batch

NARROW = {"latent_dim": 6, "channels": [2, 3, 4, 5], "strides": [1, 2, 1, 2]}
SHAPES = [
    {"size": 17},
    {"size": 14, "num_res_units": 2},
    {"size": 13, "channels": [3, 4, 4], "strides": [2, 1, 1], "prior": "gaussian"},
]


def both(family, dtype, **changes):
    """The same model in either formulation; parameters at zero or one would hide that one is lost."""
    torch.manual_seed(1)
    slabs = models.create(family, **{**NARROW, **changes}).to(dtype)
    with torch.no_grad():
        for parameter in slabs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    dense = copy.deepcopy(slabs)
    slabs.dense, dense.dense = False, True
    return slabs, dense


def step(model, x):
    """Return loss, output, gradients, running values of a step; error, embeddings, output after it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    terms = model.train().loss_terms(Batch(x), torch.Generator().manual_seed(2))
    loss = (terms.output - terms.target).square().mean() + terms.divergence.mean()
    loss.backward()
    gradients = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    optimizer.step()
    running = torch.cat([buffer.flatten() for name, buffer in model.named_buffers() if "running" in name])
    with torch.no_grad():
        z, after = model.eval().encode(x), model.reconstruct(x)
    error = (after - x).square().mean()
    return loss.detach(), terms.output.detach(), gradients, running, error, z, after


@pytest.mark.parametrize("family", ["classical_image", "rotation_invariant_image"])
@pytest.mark.parametrize("changes", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-3)])
def test_loss_gradients_and_a_step_are_the_same(family, changes, dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, *[changes["size"]] * 3, dtype=dtype, generator=generator)
    found = [step(model, x) for model in both(family, dtype, **changes)]
    # Adam divides gradients by their own size, rounding errors too: in single precision few digits of single
    # weights remain the same, of the error many.
    n_compared = 7 if dtype == torch.float64 else 5
    for slabs, dense in list(zip(*found, strict=True))[:n_compared]:
        assert (slabs - dense).abs().max() <= tolerance * slabs.abs().max()
    assert found[1][0].item() == pytest.approx(found[0][0].item(), rel=1e-5)


@pytest.mark.parametrize(
    ("family", "on_cpu"), [("classical_image", []), ("rotation_invariant_image", ["slabs"])]
)
def test_the_formulation_follows_the_device_and_the_symmetry(family, on_cpu):
    model = models.create(family, size=9, latent_dim=4, channels=[2, 3], strides=[1, 2])
    assert model.dense is None
    calls = []
    model.encoder["embedding"].register_forward_hook(lambda *_: calls.append("slabs"))
    model.encode(torch.randn(2, 1, 9, 9, 9))
    model.dense = True
    model.encode(torch.randn(2, 1, 9, 9, 9))
    assert calls == on_cpu
