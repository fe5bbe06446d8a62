"""How a process computes: its threads, and how exact products are on a GPU."""

from __future__ import annotations

import torch


def compute_with(threads: int, *, tf32: bool = False) -> None:
    """Set the threads of torch, and what a GPU makes of single precision; for the whole process.

    Parameters
    ----------
    threads
        Of the CPU.
    tf32
        Whether a GPU may round the factors of matrix products and convolutions to ten bits (TF32), as torch
        lets it in convolutions unless told otherwise. A code then follows a rotation to three digits only,
        so this is for training alone. CPUs compute in full in any case.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
