"""What a training step launches, counted without a GPU, its products and its seconds."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from morphobench.models.base import Autoencoder
from morphobench.models.device import autocast
from morphobench.models.inputs import Batch
from morphobench.models.losses import LOSSES

# Operators that launch nothing, beside views.
_IDLE = ("profiler", "aten._unsafe_view", "aten.empty", "aten.new_empty", "aten.empty_like", "aten.detach")


class Operators(TorchDispatchMode):
    """Counts the operators that run below it, without views and allocations, and the bytes they write."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.n_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__str__()
        if not func.is_view and not name.startswith(_IDLE):
            self.counts[name] += 1
            written = [leaf for leaf in tree_flatten(result)[0] if isinstance(leaf, torch.Tensor)]
            self.n_bytes += sum(leaf.numel() * leaf.element_size() for leaf in written)
        return result


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
