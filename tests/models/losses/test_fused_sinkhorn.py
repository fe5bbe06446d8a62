"""The Sinkhorn kernels: the values and gradients of the plain loss; on a GPU, or in Triton's interpreter."""

from __future__ import annotations

import math
import os
from functools import partial

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="needs Triton, which comes with torch where that is built for GPUs")

from morphobench.models.losses import sinkhorn  # noqa: E402

SETTINGS = {"blur": 0.01, "scaling": 0.5}
fused = partial(sinkhorn._fused, **SETTINGS)
plain = partial(sinkhorn.sinkhorn, **SETTINGS)


def clouds(width, scale=1.0, shift=0.0):
    """Two batches of clouds that fill no block; the second pair needs more steps than the others."""
    generator = torch.Generator().manual_seed(3)
    a = scale * torch.randn(3, 70, width, generator=generator)
    b = scale * torch.randn(3, 45, width, generator=generator) + shift
    a[1] *= 7
    return a, b


def value_and_gradients(loss, a, b):
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    value = loss(a, b)
    return [found.cpu().double() for found in (value.detach(), *torch.autograd.grad(value.sum(), (a, b)))]


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.5), (30.0, 5.0), (1.0, 50.0), (0.001, 0.0)])
def test_equals_the_plain_loss(width, scale, shift):
    a, b = clouds(width, scale, shift)
    value, *gradients = value_and_gradients(fused, a.to(DEVICE), b.to(DEVICE))
    expected, *expected_gradients = value_and_gradients(plain, a.double(), b.double())
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        assert (found - wanted).abs().max() < 1e-2 * wanted.abs().max()


def test_a_sample_does_not_depend_on_its_batch():
    a, b = (cloud.to(DEVICE) for cloud in clouds(3))
    alone = [fused(a[i : i + 1], b[i : i + 1]) for i in range(3)]
    assert torch.equal(fused(a, b), torch.cat(alone))


def test_equal_clouds_cost_nothing_and_pull_nowhere():
    a = clouds(3)[0].to(DEVICE)
    a[:, 20:] = a[:, :1]
    value, *gradients = value_and_gradients(fused, a, a.flip(1))
    assert value.abs().max() < 1e-5
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_coordinate_spoils_its_own_sample_alone():
    a, b = clouds(3)
    a[1, 3, 0] = math.nan
    for found in value_and_gradients(fused, a.to(DEVICE), b.to(DEVICE)):
        assert torch.isfinite(found).reshape(3, -1).all(1).tolist() == [True, False, True]


def test_without_gradients_there_is_nothing_to_follow():
    a, b = (cloud.to(DEVICE) for cloud in clouds(3))
    with torch.no_grad():
        assert not fused(a.requires_grad_(), b).requires_grad
