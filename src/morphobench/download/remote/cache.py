"""The folder that holds what was fetched, for one run or shared by many; what is in it is whole and verified.

A file's place follows from location, name and checksum: two versions of an object never meet, a half-fetched
one continues only with its own version, and a file under its final name need not be looked at again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from morphobench.errors import InputError
from morphobench.log import logger

_GB = 1e9


def path_of(cache: Path, location: str, name: str, checksum: str) -> Path:
    """Return the place of a version of a file: ``<location>/<folder of the name>/<version>-<file name>``."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", location).strip("-")[-48:]
    folder, _, file = name.rpartition("/")
    return cache / f"{readable}-{_digest(location)}" / folder / f"{_digest(checksum)}-{file}"


def other_versions(path: Path) -> list[Path]:
    """Return the other versions of a file that the cache holds."""
    file = path.name.partition("-")[2]
    there = path.parent.iterdir() if path.parent.is_dir() else ()
    return sorted(other for other in there if other != path and other.name.partition("-")[2] == file)


def part_of(path: Path) -> Path:
    """Return where a file grows before it takes its final name."""
    return path.with_name(f"{path.name}.part")


@contextlib.contextmanager
def growing(path: Path) -> Iterator[BinaryIO | None]:
    """Yield the file's part, opened for this process and thread alone; None when the file is there already.

    Another that fetches the same file is waited for. A process that dies, even by kill -9, lets go.
    """
    part = part_of(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with part.open("a+b") as file:
            # Some network file systems know no locks; then the checksum alone keeps two writers apart.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():
                _remove_if_same(part, file)
                yield None
                return
            if _is_same(part, file):
                yield file
                return


def _is_same(part: Path, file: BinaryIO) -> bool:
    """Say whether a name still stands for an open file, or another gave it its final name meanwhile."""
    try:
        return os.path.samestat(part.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _remove_if_same(part: Path, file: BinaryIO) -> None:
    if _is_same(part, file):
        part.unlink()


def free_bytes(folder: Path) -> int:
    """Return how many bytes the disk of the cache can still take."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(
            f"{folder}: cannot hold what is fetched ({error.strerror}). Set download.cache to a folder "
            "that can be written."
        ) from error


def check_space(folder: Path, n_bytes: int, dataset: str) -> None:
    """Stop before the first byte when the disk cannot hold what is to come.

    Raises
    ------
    InputError
        Naming the GB needed and free.
    """
    free = free_bytes(folder)
    needed_gb, free_gb = n_bytes / _GB, free / _GB
    if n_bytes > free:
        raise InputError(
            f"{dataset}: {needed_gb:.3f} GB are needed in {folder.resolve()}, {free_gb:.3f} GB are free. "
            "Make room, set download.cache to a folder on a larger disk, or take fewer cells (max_cells)."
        )
    logger.info("download: %s needs %.3f GB in %s, %.3f GB are free", dataset, needed_gb, folder, free_gb)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
