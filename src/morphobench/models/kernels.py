"""Whether kernels of our own can be compiled for a GPU."""

import importlib.util
import os
import shutil
from functools import cache

import torch

from morphobench.log import logger


def fits(*tensors: torch.Tensor) -> bool:
    """Return whether kernels may take these: on a GPU, in a precision that they read, where they compile."""
    read = (torch.float32, torch.bfloat16)
    return all(tensor.is_cuda and tensor.dtype in read for tensor in tensors) and can_compile()


@cache
def can_compile() -> bool:
    """Return whether Triton and a C compiler are there; where not, warn once."""
    compilers = (os.environ.get("CC", "cc"), "gcc", "clang")
    if importlib.util.find_spec("triton") and any(map(shutil.which, compilers)):
        return True
    problem = "point-cloud models and the Sinkhorn loss are slow on this GPU: fast kernels need Triton and a"
    logger.warning("%s C compiler. Install gcc, or load its module.", problem)
    return False
