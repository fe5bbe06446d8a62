"""Cache of fetched files, of one run or shared by many: complete and verified under their final names.

A file's path follows from location, name and checksum, so two versions of an object never meet, and a partial
file continues only with its own version.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from morphobench.errors import InputError
from morphobench.log import logger

_GB = 1e9
# Rights that no folder or file below the cache has: to write for everybody, and the sticky bit.
_NEVER = 0o1002
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
    make_folder(part.parent)
    while True:
        with _opened(part) as file:
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


def make_folder(folder: Path) -> None:
    """Make a folder below the cache, with the rights of the one above it whatever the umask.

    So users share what they fetch when they share the folder of the cache.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode) & ~_NEVER)


def share(path: Path) -> None:
    """Give a file of this user the rights that its folder has, but for those to execute."""
    rights = stat.S_IMODE(path.parent.stat().st_mode) & 0o666 & ~_NEVER
    # Another user began it, and gave it the same rights.
    with contextlib.suppress(PermissionError):
        path.chmod(rights)


def _opened(part: Path) -> BinaryIO:
    """Open a partial file to append to it; an OSError when it is a link or no file of its own."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    # As open("a+b"); what is given to nobody else yet may not be read by them.
    file = os.open(part, flags, 0o600)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(file)
        raise OSError(errno.EMLINK, "is no file of its own but a link")
    share(part)
    return os.fdopen(file, "a+b")


@contextlib.contextmanager
def accessible(folder: Path) -> Iterator[None]:
    """Raise an InputError that names owner and rights where another user's cache cannot be used."""
    try:
        yield
    except PermissionError as error:
        place = Path(error.filename or folder)
        closed = next((one for one in (place.parent, *place.parents) if os.access(one, os.X_OK)), place)
        inside = next((one for one in (place, *place.parents) if one.parent == closed), place)
        inside = inside if os.path.lexists(inside) else closed
        found = inside.stat()
        owner = f"user {found.st_uid}, {stat.filemode(found.st_mode)}"
        remedy = f"Ask its owner for chmod -R g+rwX {folder}, or set download.cache to a folder of your own"
        raise InputError(f"{inside}: is closed to this user (it belongs to {owner}). {remedy}.") from error


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
