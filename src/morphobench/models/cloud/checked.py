"""Whether kernels of vector neurons give on a GPU what plain layers give, tried before their first use."""

from collections.abc import Iterator
from functools import cache

import torch

from morphobench.log import logger
from morphobench.models import kernels
from morphobench.models.cloud import fused, plain

# Relative to the largest value; kernels compute in single precision.
_TOLERANCE = 1e-4
_SLOPE = 0.2


def fit(*tensors: torch.Tensor) -> bool:
    """Return whether kernels may take these tensors, see `kernels.fits`, and are right on their device."""
    return kernels.fits(*tensors) and _agree(tensors[0].device)


# Code that is compiled does not look into the trial.
@torch.compiler.assume_constant_result
def _agree(device: torch.device) -> bool:
    return _tried(device)


@cache
def _tried(device: torch.device) -> bool:
    try:
        with torch.inference_mode(False), torch.enable_grad():
            apart = max(float((one - other).abs().max() / other.abs().max()) for one, other in _pairs(device))
    # Compilers and drivers raise what they like.
    except Exception as error:
        reason = f"they fail ({type(error).__name__}: {str(error)[:200]})"
    else:
        if apart <= _TOLERANCE:
            return True
        reason = f"they differ from the plain layers by {apart:.2g} of the largest value"
    logger.warning("kernels of vector neurons are not used on %s: %s; models are slower", device, reason)
    return False


def _pairs(device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield what kernels compute of some points, and the same of the plain layers in double precision."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def single(*tensors: torch.Tensor) -> list[torch.Tensor]:
        return [tensor.detach().to(device, torch.float32) for tensor in tensors]

    inputs = [drawn(2, 3, *shape).requires_grad_() for shape in ((1, 5), (70, 9), (70, 14), (1, 14))]
    output = plain.rectify(*inputs, _SLOPE)
    along = drawn(*output.shape)
    yield fused.rectify(*single(*inputs), _SLOPE).cpu(), output.detach()
    back = torch.autograd.grad(output, inputs, along)
    for one, other in zip(fused.rectify_back(*single(*inputs, along), _SLOPE), back, strict=True):
        yield one.cpu(), other
    edges, weights = drawn(2, 30, 4, 3, 3), [drawn(10, 3).requires_grad_() for _ in range(2)]
    output = plain.edge_mean(edges, *weights, _SLOPE)
    along = drawn(*output.shape)
    yield fused.edge_mean(*single(edges, *weights), _SLOPE).cpu(), output.detach()
    back = torch.autograd.grad(output, weights, along)
    for one, other in zip(fused.edge_mean_back(*single(edges, *weights, along), _SLOPE), back, strict=True):
        yield one.cpu(), other
    points = drawn(50, 3)
    yield fused.squares(*single(points)).cpu(), torch.cdist(points, points).square()
