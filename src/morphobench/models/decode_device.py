"""Where models run, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def device_of(accelerator: str) -> torch.device:
    """Return the device for an accelerator setting: auto takes a GPU when there is one."""
    use_gpu = accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def home_of(model: torch.nn.Module) -> torch.device:
    """Return the device that a model's weights are on."""
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def accelerated(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the context in which models run: "32-true" as they are, "bf16-mixed" with half the bits.

    As in training, weights stay in single precision; only what tolerates it is computed in bfloat16.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
