"""Kernels of vector neurons give the values and gradients of the plain layers; on a GPU, or interpreted."""

from __future__ import annotations

import os

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="needs Triton, which comes with torch where that is built for GPUs")

from morphobench.models import kernels  # noqa: E402
from morphobench.models.cloud import fused_edges, fused_vectors, graph  # noqa: E402
from morphobench.models.cloud import vector_neurons as vn  # noqa: E402

torch.manual_seed(2)


def gradients(output, inputs, along):
    return torch.autograd.grad((output * along).sum(), inputs)


def nearly(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(
            ours.cpu().double(), theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item()
        )


@pytest.fixture
def fused(monkeypatch):
    """Let tensors in single precision take the kernels, in small blocks; others take the plain layers."""
    monkeypatch.setattr(kernels, "fits", lambda *tensors: all(x.dtype == torch.float32 for x in tensors))
    for module in (fused_edges, fused_vectors):
        for name, size in {"_POINTS": 16, "_CHANNELS": 8, "_SLAB": 32}.items():
            monkeypatch.setattr(module, name, size)


@pytest.mark.parametrize(("slope", "n_points", "m", "c"), [(0.0, 40, 3, 7), (0.2, 17, 0, 3)])
def test_rectifier(slope, n_points, m, c, fused):
    shapes = (2, 3, 1, m), (2, 3, n_points, c), (m + c, m + c), (2, 3, 1, m + c)
    constant, local, weight, along = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    found = []
    # The gradient of a mean over points has one row for all of them.
    for dtype in (torch.float32, torch.float64):
        inputs = [x.to(DEVICE, dtype).requires_grad_() for x in (weight, local, constant)][: 3 if m else 2]
        output = vn.rectify(inputs[0], inputs[1], slope, *inputs[2:])
        found.append([output, *gradients(output.mean(2, keepdim=True), inputs, along.to(output))])
    nearly(found[0], [x.cpu() for x in found[1]])


@pytest.mark.parametrize("n_vectors", [3, 6])
def test_layer_of_edges(n_vectors, fused):
    layer = vn.VectorLinearLeakyReLU(n_vectors, 10, 0.1).double()
    edges, along = torch.randn(1, 18, 3, n_vectors, 3).double(), torch.randn(1, 3, 18, 10).double()
    edges[0, 0] = 0
    found = []
    for dtype in (torch.float32, torch.float64):
        layer.to(DEVICE, dtype)
        output = layer.edge_mean(edges.to(DEVICE, dtype))
        found.append([output, *gradients(output, list(layer.parameters()), along.to(output))])
    nearly(found[0], [x.cpu() for x in found[1]])


def test_neighbours(fused):
    points = torch.randn(2, 40, 3, device=DEVICE) + 5
    found, wanted = (graph.nearest_points(x, 6).sort(2).values for x in (points, points.double()))
    assert torch.equal(found, wanted)
    assert fused_edges.squares(points[0]).diagonal().eq(0).all()
