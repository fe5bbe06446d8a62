"""Thread count and TF32 settings of PyTorch, the device of a model and its precision."""

from contextlib import AbstractContextManager
from typing import Any

import torch

from morphobench import models
from morphobench.files import FilePath
from morphobench.models.base import Autoencoder


def configure_torch(threads: int, *, tf32: bool = False) -> None:
    """Set the CPU threads and the GPU's float32 arithmetic of this process.

    With `tf32`, factors of matrix products and convolutions are rounded to ten bits, as PyTorch does in
    convolutions by default. An embedding then follows a rotation to three digits only: for training alone.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    # Deterministic trainings would fill all memory with NaN before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False


def select_device(accelerator: str) -> torch.device:
    """Return the device for `cpu`, `gpu`, or `auto`: a GPU when there is one."""
    use_gpu = accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def load_for_inference(path: FilePath, accelerator: str, threads: int) -> tuple[Autoencoder, dict[str, Any]]:
    """Return a trained model in its fastest form on its device, and its configuration; see `models.load`."""
    configure_torch(threads)
    model, model_config = models.load(path)
    return model.to(select_device(accelerator)).export(), model_config


def model_device(model: torch.nn.Module) -> torch.device:
    """Return the device of a model's weights, the CPU for a model without."""
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the context of a forward pass in "32-true", or "bf16-mixed": weights stay in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
