"""GPUs of a job: those that SLURM granted, or free ones of this machine, one job each."""

import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from morphobench.errors import InputError
from morphobench.log import logger

# Open files of this process whose locks the system releases when it ends, however it ends.
_HELD: list[int] = []
_REMEDY = "Set XDG_RUNTIME_DIR to a folder of your own that nobody else can write to (chmod 700)."


def visible() -> list[str]:
    """Return the GPUs in CUDA_VISIBLE_DEVICES; where it is not set, those that nvidia-smi lists."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is not None:
        return [name.strip() for name in names.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(number) for number, _ in enumerate(listed.stdout.splitlines())]


def runtime_folder() -> Path:
    """Return the folder of this user's locks on this machine, made where it is missing.

    Raises
    ------
    InputError
        When another user owns it or can write to it, or it is a link.
    """
    places = os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"
    above = next((Path(place) for place in places if place and Path(place).is_dir()), None)
    if above is not None:
        _check_own(above)
        folder = above / "morphobench-gpus"
    else:
        folder = Path(tempfile.gettempdir()) / f"morphobench-gpus-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _check_own(folder)
    return folder


def _check_own(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        kind = f"owner {found.st_uid}, {stat.filemode(found.st_mode)}"
        raise InputError(f"{folder}: is not a folder of this user alone ({kind}). {_REMEDY}")


def _lock_file(path: Path) -> int | None:
    """Open and lock a file of this user, None when another process holds it; links are not followed."""
    # Not filelock: it empties the file that it finds.
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"{path}: is no lock of this user ({error.strerror}). Remove it.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _lock(n: int, names: Sequence[str], folder: Path) -> dict[str, int]:
    """Lock n of the GPUs, or none when fewer are free, so that no two jobs wait for each other."""
    locks: dict[str, int] = {}
    for name in names:
        file = _lock_file(folder / f"{name.replace('/', '_')}.lock")
        if file is None:
            continue
        locks[name] = file
        if len(locks) == n:
            return locks
    for file in locks.values():
        os.close(file)
    return {}


def reserve(n: int, names: Sequence[str], folder: Path, *, wait_s: float = 5.0) -> list[str]:
    """Wait until `n` of these GPUs are free, and lock them by files in `folder` until this process ends."""
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
        When a SLURM job that asked for a GPU sees none: on a CPU it would take weeks. When the folder of
        locks is not this user's alone.
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
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(reserve(n, names, runtime_folder()))
