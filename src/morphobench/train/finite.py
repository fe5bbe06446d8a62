"""Whether the losses of a training are finite, without waiting for a GPU."""

import math

import torch

from morphobench.errors import InputError


class FiniteLosses:
    """Raises an InputError at a loss that is not finite.

    On a GPU that is at the next loss or `check`: to look at a number of the step at hand, Python would have
    to wait for it, and then the GPU for Python.
    """

    def __init__(self) -> None:
        self._unseen: tuple[torch.Tensor, torch.cuda.Event, str, str] | None = None

    def add(self, loss: torch.Tensor, phase: str, where: str) -> None:
        """Take the loss of a phase ("train", "val") and where it was met."""
        if not loss.is_cuda:
            _check(loss.item(), phase, where)
            return
        value, arrived = loss.detach().to("cpu", non_blocking=True), torch.cuda.Event()
        arrived.record()
        self.check()
        self._unseen = value, arrived, phase, where

    def check(self) -> None:
        """Check the loss that was added last; no checkpoint may be written before."""
        if self._unseen is None:
            return
        value, arrived, *of = self._unseen
        self._unseen = None
        arrived.synchronize()
        _check(value.item(), *of)


def _check(loss: float, phase: str, where: str) -> None:
    if not math.isfinite(loss):
        problem = f"the {phase} loss is {loss} {where}; the last good checkpoint is kept."
        raise InputError(f"{problem} Lower training.lr and run again.")
