"""Cache of fetched files, of one run or shared by many: complete and verified under their final names.

A file's path follows from location, name and checksum, so two versions of an object never meet, and a partial
file continues only with its own version.
"""

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
_MOST_NAME_BYTES, _MOST_SUFFIX_BYTES = 220, 20


def cached_path(cache: Path, location: str, name: str, checksum: str) -> Path:
    """Return the path of one version of a file: ``<location>/<folder of the name>/<version>-<file name>``.

    A file name that leaves no room for what is put around it gives way to its digest.
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "-", location).strip("-")[-48:]
    folder, _, file = name.rpartition("/")
    if len(file.encode()) > _MOST_NAME_BYTES:
        suffix = Path(file).suffix
        file = _digest(file) + (suffix if len(suffix.encode()) <= _MOST_SUFFIX_BYTES else "")
    return cache / f"{readable}-{_digest(location)}" / folder / f"{_digest(checksum)}-{file}"


def other_versions(path: Path) -> list[Path]:
    """List the other complete versions of a file in the cache."""
    file = path.name.partition("-")[2]
    entries = path.parent.iterdir() if path.parent.is_dir() else ()
    return sorted(other for other in entries if other != path and other.name.partition("-")[2] == file)


def part_path(path: Path) -> Path:
    """Return the path of the partial file."""
    return path.with_name(f"{path.name}.part")


@contextlib.contextmanager
def locked_part(path: Path) -> Iterator[BinaryIO | None]:
    """Open the partial file for one thread of one process; yield None once the complete file is there.

    Others wait. A process that dies, even by kill -9, releases the lock.
    """
    # Not filelock: it leaves a lock file beside every file, and stops on file systems without locks.
    part = part_path(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with part.open("a+b") as file:
            # Some network file systems know no locks; then the checksum alone keeps two writers apart.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            is_current = _is_same(part, file)
            if path.exists():
                if is_current:
                    part.unlink()
                yield None
                return
            if is_current:
                yield file
                return


def _is_same(part: Path, file: BinaryIO) -> bool:
    """Return whether a path still names an open file, which another process may have renamed meanwhile."""
    try:
        return os.path.samestat(part.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of the cache."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        remedy = "Set download.cache to a folder that can be written."
        raise InputError(f"{folder}: cannot hold what is fetched ({error.strerror}). {remedy}") from error


def check_space(folder: Path, n_bytes: int, dataset: str) -> None:
    """Raise an InputError with the GB needed and free when the disk cannot hold that many bytes more."""
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
