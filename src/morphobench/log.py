"""Logging of one job: a file and the terminal, versions at the top, plain messages for people."""

import errno
import logging
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib import metadata
from pathlib import Path
from types import FrameType

import psutil

from morphobench import __version__
from morphobench.errors import InputError

logger = logging.getLogger("morphobench")
# Between being told to end and being ended, seconds.
_GRACE_S = 10
_FULL = (errno.ENOSPC, errno.EDQUOT)


def bar(done: int, total: int, width: int = 20) -> str:
    """Return a progress bar in text, for logs that several jobs share.

    Examples
    --------
    >>> bar(5, 20)
    '[#####...............]'
    """
    full = width * done // max(total, 1)
    return f"[{'#' * full}{'.' * (width - full)}]"


def _engine() -> psutil.Process | None:
    """Return the snakemake that started this process; None where there is none, or processes are hidden."""
    with suppress(psutil.Error, OSError):
        for process in psutil.Process().parents():
            with suppress(psutil.Error, OSError):
                if "snakemake" in " ".join(process.cmdline()):
                    return process
    return None


def _is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; True where that cannot be told."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True


def _end_with_the_engine() -> None:
    """End this process when the snakemake that started it is gone, as after a kill -9.

    An orphan would go on writing into the folders of the next run. It is told first, for a training may still
    write its checkpoint.
    """
    engine = _engine()

    def watch() -> None:
        while _is_alive(engine):
            time.sleep(2)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        os._exit(1)

    if engine is not None:
        threading.Thread(target=watch, daemon=True).start()


def version() -> str:
    """Return the version by git's tag, such as v0.1.0-3-g1234abcd: commits since then, -dirty when edited.

    Without a tag 0.1.0+1234abcd, and outside a clone the package's own.
    """
    options = ["--tags", "--match=v*", "--always", "--dirty", "--abbrev=12"]
    command = ["git", "-C", str(Path(__file__).parent), "describe", *options]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        described = done.stdout.strip()
        return described if described.startswith("v") else f"{__version__}+{described}"
    return __version__


def _now() -> str:
    return f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"


def _where() -> str:
    """Return host, cores and, inside of SLURM, the job that this process belongs to."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    place = f"{platform.node()}, {cores} cores, process {os.getpid()}"
    if "SLURM_JOB_ID" in os.environ:
        known = {"job": "SLURM_JOB_ID", "partition": "SLURM_JOB_PARTITION", "node": "SLURMD_NODENAME"}
        named = [f"{name} {os.environ[key]}" for name, key in known.items() if key in os.environ]
        place += f", SLURM {', '.join(named)}"
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"{place}, CUDA devices {devices}" if devices else place


def _versions() -> str:
    """Return the versions of what computes, read without importing it."""
    found = []
    for name in ("numpy", "scipy", "torch", "pytorch-lightning", "snakemake"):
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def _end_orderly(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that half-written files are removed and the log says why it ends."""
    logger.error("told to end (%s)", signal.Signals(number).name)
    sys.exit(128 + number)


@contextmanager
def job(log_file: str | Path) -> Iterator[logging.Logger]:
    """Run the body of a workflow script: log to `log_file` and stderr, end clearly.

    An `InputError` ends the process with status 1 and its message alone; any other exception is logged
    with its traceback and raised. SIGTERM ends it too, after what is half written has been removed.
    """
    path = Path(log_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    for handler in (logging.FileHandler(path, mode="w"), logging.StreamHandler()):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        # Where captureWarnings sends what Python and the libraries warn of.
        logging.getLogger("py.warnings").addHandler(handler)
    logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    _end_with_the_engine()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end_orderly)
    logger.info("morphobench %s, python %s, %s", version(), platform.python_version(), _now())
    logger.info("on %s", _where())
    logger.info("with %s", _versions())
    start, complete = time.perf_counter(), False
    try:
        yield logger
        complete = True
    except InputError as error:
        logger.error("%s", error)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _FULL:
            logger.exception("unexpected failure; please report it with this log (%s)", path)
            raise
        where = error.filename or f"the disk of the outputs, or that of TMPDIR ({tempfile.gettempdir()}),"
        logger.error("%s cannot be written: %s. Make room (df -h), run again.", where, error.strerror)
        sys.exit(1)
    except Exception:
        logger.exception("unexpected failure; please report it with this log (%s)", path)
        raise
    finally:
        seconds, end = time.perf_counter() - start, "done in" if complete else "not complete after"
        logger.info("%s %.1f s, %s", end, seconds, _now())
