"""GPUs of a job: those that SLURM granted, or free ones of this machine, one job each."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from morphobench.errors import InputError
from morphobench.log import logger

# The system releases a lock when the process ends, however it ends.
_HELD: list[FileLock] = []


def visible() -> list[str]:
    """Return the GPUs in CUDA_VISIBLE_DEVICES; where it is not set, those that nvidia-smi lists."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is not None:
        return [name.strip() for name in names.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(number) for number, _ in enumerate(listed.stdout.splitlines())]


def _lock(n: int, names: Sequence[str], folder: Path) -> dict[str, FileLock]:
    """Lock n of the GPUs, or none when fewer are free, so that no two jobs wait for each other."""
    locks: dict[str, FileLock] = {}
    for name in names:
        lock = FileLock(folder / f"{name.replace('/', '_')}.lock", blocking=False)
        try:
            locks[name] = lock.acquire().lock
        except Timeout:
            continue
        if len(locks) == n:
            return locks
    for lock in locks.values():
        lock.release()
    return {}


def reserve(n: int, names: Sequence[str], folder: Path, *, wait_s: float = 5.0) -> list[str]:
    """Wait until `n` of these GPUs are free, and lock them by files in `folder` until this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    locks = _lock(n, names, folder)
    if not locks:
        logger.info("waiting for %d of the GPUs %s to be free", n, ", ".join(names))
    while not locks:
        time.sleep(wait_s)
        locks = _lock(n, names, folder)
    _HELD.extend(locks.values())
    return list(locks)


def claim(n: int, accelerator: str) -> None:
    """Make sure that a job has the `n` GPUs it asked for, before anything uses one; with cpu, do nothing.

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
            node = os.environ.get("SLURMD_NODENAME", os.uname().nodename)
            where = f"node {node} in partition {os.environ.get('SLURM_JOB_PARTITION', '?')}"
            found = f"this job asked SLURM for {n} GPU(s) and sees {torch.cuda.device_count()} on {where}"
            remedy = "Correct MORPHOBENCH_GPU_PARTITION, install torch with CUDA, or use --profile slurm-cpu"
            raise InputError(f"{found}. {remedy}.")
        return
    names = visible()
    if len(names) >= n:
        folder = Path(tempfile.gettempdir()) / f"morphobench-gpus-{os.getuid()}"
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(reserve(n, names, folder))
