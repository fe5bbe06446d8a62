"""Logging of one job: a file and the terminal, versions at the top, plain messages for people."""

from __future__ import annotations

import logging
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from morphobench import __version__
from morphobench.errors import InputError

logger = logging.getLogger("morphobench")


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
    logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
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
