"""Compiling a training step, where the machine can."""

import shutil
from collections.abc import Callable
from typing import Any

import torch

from morphobench.log import logger
from morphobench.models import kernels


def compiled(step: Callable[..., Any], how: bool | str, device: torch.device) -> Callable[..., Any]:
    """Return a function compiled by `torch.compile`, as `train.compile` says; as it is where that cannot be.

    `how` is true, or "cuda_graphs": all kernels of a step are launched at once, which small batches gain by.
    """
    if not how:
        return step
    lacking = _lacking(how, device)
    if lacking:
        logger.warning("train.compile = %s needs %s; the training goes on uncompiled", how, lacking)
        return step
    return torch.compile(step, mode="reduce-overhead") if how == "cuda_graphs" else torch.compile(step)


def _lacking(how: bool | str, device: torch.device) -> str | None:
    """Return what this machine lacks to compile, if it does."""
    if device.type == "cuda":
        return None if kernels.can_compile() else "Triton and a C compiler"
    if how == "cuda_graphs":
        return "a GPU"
    return None if any(map(shutil.which, ("c++", "g++", "clang++"))) else "a C++ compiler"
