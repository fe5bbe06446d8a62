"""What a training step launches, counted without a GPU, its products and its seconds."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from morphobench.models.base import Autoencoder
from morphobench.models.device import autocast
from morphobench.models.inputs import Batch
from morphobench.models.losses import LOSSES

# Operators that launch nothing, beside views.
_IDLE = ("profiler", "aten._unsafe_view", "aten.empty", "aten.new_empty", "aten.empty_like", "aten.detach")


class Operators(TorchDispatchMode):
    """Counts the operators that run below it, without views and allocations.

    By operator: how often it ran, the bytes it read and wrote, and the operations of its products.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.n_bytes: Counter[str] = Counter()
        self.flop: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__str__()
        if not func.is_view and not name.startswith(_IDLE):
            self.counts[name] += 1
            self.n_bytes[name] += sum(map(_bytes, tree_flatten((args, kwargs, result))[0]))
            if func.overloadpacket in flop_registry:
                self.flop[name] += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def _bytes(leaf: Any) -> int:
    """Return the bytes in memory of a tensor, only its own where it is expanded, and 0 of anything else."""
    if not isinstance(leaf, torch.Tensor):
        return 0
    own = (n for n, stride in zip(leaf.shape, leaf.stride(), strict=True) if stride)
    return math.prod(own) * leaf.element_size()


class Step:
    """A training step without Lightning: forward pass, loss, backward pass and optimizer."""

    def __init__(
        self, model: Autoencoder, batch: Batch, loss: str, precision: str = "32-true", **options: Any
    ) -> None:
        self.model, self.batch, self.precision = model.train(), batch, precision
        self.compare = partial(LOSSES[loss], **options)
        self.generator = torch.Generator().manual_seed(0)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def loss(self) -> torch.Tensor:
        with autocast(self.precision, self.batch.x.device):
            terms = self.model.loss_terms(self.batch, self.generator)
            return (self.compare(terms.output, terms.target) + terms.divergence).mean()

    def __call__(self) -> torch.Tensor:
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


def counted(step: Step) -> Operators:
    """Return the operators of a step; one before it fills what is computed once."""
    step()
    with Operators() as operators:
        step()
    return operators


def flop(step: Step) -> int:
    """Return the floating-point operations of the products of a step: two for each multiplication."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def kernels_of(step: Step) -> dict[str, tuple[int, float]] | None:
    """Return how often each kernel of a GPU ran in a step, and its milliseconds; None without one."""
    if not torch.cuda.is_available():
        return None
    step()
    wait()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        step()
        wait()
    on_gpu = [event for event in profiler.key_averages() if event.device_type == DeviceType.CUDA]
    return {event.key: (event.count, event.self_device_time_total / 1e3) for event in on_gpu}


def wait() -> None:
    """Wait for what a GPU still computes."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def median_seconds(run: Callable[[], Any], warm_up: int, timed: int) -> float:
    """Return the median seconds of calls, each to the end of what it launched."""
    times = []
    for _ in range(warm_up + timed):
        wait()
        start = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[warm_up:])


def matrix_rate(device: torch.device, precision: str, n: int) -> float:
    """Return the floating-point operations per second of products of n x n matrices, as torch now rounds."""
    left, right = torch.randn(2, n, n, device=device)
    with autocast(precision, device):
        return 2 * n**3 / median_seconds(lambda: left @ right, 2, 5)
