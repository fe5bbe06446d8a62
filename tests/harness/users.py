"""Work done as another user of this machine, where the tests run as root."""

from __future__ import annotations

# Python's own files may be closed to the other user: what a connection imports late is imported here.
import encodings.idna  # noqa: F401
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ALICE, BOB, LAB = 64_001, 64_002, 64_100


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can reach, as pytest's own is not."""
    if os.geteuid() != 0:
        pytest.skip("a second user needs tests that run as root")
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="morphobench-users-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def as_user(
    uid: int, work: Callable[[], Any], *, groups: Sequence[int] = (), umask: int = 0o022, **environment: str
) -> Any:
    """Return what `work` returns, or the exception that it raises, in a process of this user."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        try:
            os.setgroups(list(groups))
            os.setgid(uid)
            os.setuid(uid)
            os.umask(umask)
            os.environ.update(environment)
            sender.send(work())
        except BaseException as error:  # noqa: BLE001
            sender.send(error)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    result = receiver.recv() if receiver.poll(30) else TimeoutError("the other user did not end")
    process.kill()
    process.join()
    return result
