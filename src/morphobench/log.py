"""Logging of one job: a file and the terminal, versions at the top, plain messages for people."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from morphobench import __version__
from morphobench.errors import InputError

logger = logging.getLogger("morphobench")


def bar(done: int, total: int, width: int = 20) -> str:
    """Return a progress bar in text, for logs that several jobs share.

    Examples
    --------
    >>> bar(5, 20)
    '[#####...............]'
    """
    full = width * done // max(total, 1)
    return f"[{'#' * full}{'.' * (width - full)}]"


def _end_with_the_engine() -> None:
    """End this process when the snakemake that started it is gone, as after a kill -9.

    An orphan would go on writing into the folders of the next run.
    """
    engine = next((p for p in psutil.Process().parents() if "snakemake" in " ".join(p.cmdline())), None)

    def watch() -> None:
        while engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE:
            time.sleep(2)
        os._exit(1)

    if engine is not None:
        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def job(log_file: str | Path) -> Iterator[logging.Logger]:
    """Run the body of a workflow script: log to `log_file` and stderr, end clearly.

    An `InputError` ends the process with status 1 and its message alone; any other exception is logged
    with its traceback and raised.
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
    logger.info("morphobench %s, python %s, %s", __version__, platform.python_version(), platform.node())
    start = time.perf_counter()
    try:
        yield logger
    except InputError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception:
        logger.exception("unexpected failure; please report it with this log (%s)", path)
        raise
    logger.info("done in %.1f s", time.perf_counter() - start)
