"""Kernels that fail, or are wrong, on a device are not used there; shown with stand-ins on a CPU."""

from __future__ import annotations

import pytest
import torch

from morphobench.models import kernels
from morphobench.models.cloud import checked, fused, plain

OPERATORS = ("rectify", "rectify_back", "squares", "edge_mean", "edge_mean_back")


def by_gradient(function):
    """Return the gradients of a plain layer by its inputs, as its kernel returns them."""

    def back(*arguments):
        *inputs, along, slope = arguments
        inputs = [one.double().requires_grad_() for one in inputs]
        with torch.enable_grad():
            output = function(*inputs, slope)
        return torch.autograd.grad(output, inputs, along.double())

    return back


@pytest.fixture
def kernel(monkeypatch):
    """Let single precision take kernels, which are the plain layers; return a function that changes one."""

    def mean_back(edges, *arguments):
        return by_gradient(lambda *weights: plain.edge_mean(edges.double(), *weights))(*arguments)

    operators = {
        "rectify": lambda *given: plain.rectify(*(one.double() for one in given[:-1]), given[-1]),
        "rectify_back": by_gradient(plain.rectify),
        "edge_mean": lambda *given: plain.edge_mean(*(one.double() for one in given[:-1]), given[-1]),
        "edge_mean_back": mean_back,
        "squares": lambda points: torch.cdist(points.double(), points.double()).square(),
    }
    for name, function in operators.items():
        monkeypatch.setattr(fused, name, function)
    monkeypatch.setattr(kernels, "fits", lambda *tensors: all(x.dtype == torch.float32 for x in tensors))
    checked._tried.cache_clear()
    yield lambda name, change: monkeypatch.setattr(fused, name, change(operators[name]))
    checked._tried.cache_clear()


def test_right_kernels_are_used(kernel):
    assert checked.fit(torch.zeros(1))
    assert not checked.fit(torch.zeros(1, dtype=torch.float64))


def wrong(function):
    def changed(*arguments):
        found = function(*arguments)
        return tuple(1.01 * one for one in found) if isinstance(found, tuple) else 1.01 * found

    return changed


def failing(_):
    def refuse(*_arguments):
        raise RuntimeError("no kernel image for this device")

    return refuse


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    ("change", "reason"), [(wrong, "differ from the plain"), (failing, "no kernel image")]
)
def test_a_kernel_that_is_wrong_or_fails_is_not_used_and_the_log_says_why(
    kernel, caplog, name, change, reason
):
    kernel(name, change)
    with torch.inference_mode():
        assert not checked.fit(torch.zeros(1))
        assert not checked.fit(torch.zeros(1))
    assert [reason in record.getMessage() for record in caplog.records] == [True]
