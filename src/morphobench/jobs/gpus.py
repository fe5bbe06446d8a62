"""Which GPUs a job computes on: those that its scheduler gave it, or, without one, those that are free."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from morphobench.errors import InputError
from morphobench.log import logger

# Locks last as long as the process: the system lets go of them, however it ends.
_HELD: list[IO[str]] = []


def visible() -> list[str]:
    """Return the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(number) for number, _ in enumerate(listed.stdout.splitlines())]


def _take(name: str, folder: Path) -> IO[str] | None:
    file = (folder / f"{name.replace('/', '_')}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _free(n: int, names: Sequence[str], folder: Path) -> dict[str, IO[str]]:
    """Lock n of the GPUs, or none when fewer are free, so that no two jobs wait for each other."""
    taken: dict[str, IO[str]] = {}
    for name in names:
        if len(taken) < n and (file := _take(name, folder)):
            taken[name] = file
    if len(taken) < n:
        for file in taken.values():
            file.close()
        return {}
    return taken


def reserve(n: int, names: Sequence[str], folder: Path, *, wait_s: float = 5.0) -> list[str]:
    """Hold `n` of these GPUs for this process until it ends, and return them; wait until so many are free.

    Parameters
    ----------
    n
        How many, at most as many as there are names.
    names
        Of the GPUs.
    folder
        Where the locks are, one file per GPU, shared by the user's jobs on this machine.
    wait_s
        Between two looks, seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = False
    while len(taken := _free(n, names, folder)) < n:
        if not told:
            logger.info("waiting for %d of the GPUs %s to be free", n, ", ".join(names))
            told = True
        time.sleep(wait_s)
    _HELD.extend(taken.values())
    return list(taken)


def claim(n: int, accelerator: str) -> None:
    """Make sure that a job has the GPUs it asked for, before anything touches one.

    Parameters
    ----------
    n
        GPUs that the job asked for.
    accelerator
        `train.accelerator`; with cpu nothing is to be done.

    Raises
    ------
    InputError
        When a SLURM job that asked for a GPU sees none: on a CPU it would take weeks.
    """
    if n < 1 or accelerator == "cpu":
        return
    if "SLURM_JOB_ID" in os.environ:
        import torch

        if torch.cuda.device_count() < n:
            raise InputError(
                f"this job asked SLURM for {n} GPU(s) and sees {torch.cuda.device_count()} on node "
                f"{os.environ.get('SLURMD_NODENAME', os.uname().nodename)} in partition "
                f"{os.environ.get('SLURM_JOB_PARTITION', '?')}. Name a partition with GPUs in "
                "MORPHOBENCH_GPU_PARTITION, see that torch is built for CUDA (python -c 'import torch; "
                "print(torch.version.cuda)'), or compute on CPUs with --profile slurm-cpu."
            )
        return
    names = visible()
    if len(names) >= n:
        folder = Path(tempfile.gettempdir()) / f"morphobench-gpus-{os.getuid()}"
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(reserve(n, names, folder))
