"""Files at one location, by their names below it: listed, and fetched into the cache."""

import errno
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.ome_zarr import is_zarr
from morphobench.log import logger
from morphobench.remote import cache
from morphobench.remote.connections import FileError, byte_count, checked, list_again
from morphobench.remote.ranged import RangedFile
from morphobench.remote.transfer import Progress, Remote, Transfer

COLUMNS = {"name": "object", "size": "int64", "checksum": "object"}
UNKNOWN_SIZE = -1
ByName = Mapping[str, Any] | None
# With more folders than these, what they share is listed instead of each.
_MOST_FOLDERS = 8


class Store:
    """Files of a server, with the cache they are fetched into; kinds of servers define the first methods."""

    is_listed = True

    def __init__(self, location: str, cache: Path, download_config: Mapping[str, Any]) -> None:
        self.location, self._cache, self._config = location, cache, download_config

    def remote(self, name: str) -> Remote:
        """Return a file by its name, with what is known of it without asking the server."""
        raise NotImplementedError

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Yield name, size and checksum of the files whose names begin with `under`, page by page."""
        raise NotImplementedError

    def checksum_of(self, headers: Mapping[str, str]) -> str:
        """Return the checksum in the headers of a response."""
        return ""

    def listing(self, under: str = "") -> pd.DataFrame:
        """List the files whose names begin with `under`: name, size (bytes), checksum ("" when unknown).

        Raises
        ------
        InputError
            When the location cannot be listed, or has no such file.
        """
        pages = list(self.pages(under, self.location))
        if not sum(map(len, pages)):
            raise InputError(f"{self.location}: holds nothing below {under!r}. Mend source.location.")
        return pd.concat(pages, ignore_index=True).astype(COLUMNS)

    def describe(self, names: Iterable[str], *, dataset: str) -> pd.DataFrame:
        """Return name, size (-1 when unknown) and checksum of those of the names that exist."""
        inside = {manifests.name_inside(self.location, name) for name in names}
        if not self.is_listed:
            unknown = {"name": sorted(inside), "size": UNKNOWN_SIZE, "checksum": ""}
            return pd.DataFrame(unknown).astype(COLUMNS)
        pages = (page for under in _folders(inside) for page in self.pages(under, dataset))
        # Not isin: pandas would make a table of all names for every page.
        parts = [page[[name in inside for name in page["name"]]] for page in pages]
        parts = [part for part in parts if len(part)] or [pd.DataFrame(columns=list(COLUMNS))]
        return pd.concat(parts, ignore_index=True).drop_duplicates("name").astype(COLUMNS)

    def check_space(self, described: pd.DataFrame, *, dataset: str) -> None:
        """Raise an InputError when the disk cannot hold those of the described files not yet in the cache."""
        n_bytes = int(described["size"].clip(lower=0).sum())
        # The cache is searched only where it matters.
        if n_bytes > cache.free_bytes(self._cache):
            rows = described[described["size"] > 0].itertuples(index=False)
            n_bytes -= sum(row.size for row in rows if self._path(row.name, row.checksum).exists())
        cache.check_space(self._cache, n_bytes, dataset)

    def fetch_each(
        self, names: Sequence[str], *, dataset: str, expected: ByName = None, sizes: ByName = None
    ) -> dict[str, Path | FileError]:
        """Fetch files; return each one's path, or why it alone cannot be fetched.

        Without `expected` and `sizes`, checksums and bytes as they were listed, each file's version is
        asked for first; with them, files in the cache need no request.

        Raises
        ------
        InputError
            When a name leaves the location, a file is not as it was listed, the server cannot be reached or
            denies, or the disk is full.
        """
        transfer = Transfer(self._config, dataset)
        expected, sizes = expected or {}, sizes or {}
        inside = {name: manifests.name_inside(self.location, name) for name in names}
        remotes: dict[str, Remote] = {}

        def resolve(name: str) -> None:
            remotes[name] = self._resolve(inside[name], expected.get(name, ""), sizes.get(name), transfer)

        errors = transfer.each(resolve, inside)
        paths = {name: self._path(remote.name, remote.checksum) for name, remote in remotes.items()}
        with cache.accessible(self._cache):
            missing = [name for name, path in paths.items() if not _is_complete(path, remotes[name])]
            if missing:
                n_bytes = sum(_bytes_left(paths[name], remotes[name]) for name in missing)
                cache.check_space(self._cache, n_bytes, dataset)
                progress = Progress(dataset, len(missing), n_bytes)
                errors |= transfer.each(
                    lambda one: transfer.fetch(remotes[one], paths[one], progress), missing
                )
        return {name: errors.get(name) or paths[name] for name in inside}

    def fetch(self, names: Sequence[str], *, dataset: str, expected: ByName = None) -> dict[str, Path]:
        """Fetch all files, as `fetch_each`; an InputError names the first that cannot be fetched."""
        paths = self.fetch_each(names, dataset=dataset, expected=expected)
        return {name: checked(path) for name, path in paths.items()}

    def open(self, name: str, *, dataset: str, limit: int) -> BinaryIO:
        """Open a file to read parts of it, `limit` bytes at most, without a copy in the cache.

        Raises
        ------
        InputError
            When there is no such file, or the server denies or cannot be reached; the same while reading.
        """
        url = self.remote(manifests.name_inside(self.location, name)).url
        transfer = Transfer(self._config, dataset)
        raw = RangedFile(url, lambda start, length: transfer.read_range(url, start, length), limit)
        return io.BufferedReader(raw)

    def sizes(self, names: Iterable[str], *, dataset: str) -> dict[str, int | FileError]:
        """Return the bytes of single files, -1 when unknown, or why one cannot be fetched; nothing is listed.

        Raises
        ------
        InputError
            When the server denies or cannot be reached.
        """
        transfer, found = Transfer(self._config, dataset), {}

        def ask(name: str) -> None:
            remote = self.remote(manifests.name_inside(self.location, name))
            length = remote.size
            if length is None:
                length = byte_count(transfer.headers(remote.url).get("Content-Length"))
            found[name] = UNKNOWN_SIZE if length is None else length

        return found | transfer.each(ask, dict.fromkeys(names))

    def _resolve(self, name: str, expected: str, size: int | None, transfer: Transfer) -> Remote:
        """Return a file with its version: the expected one, else the present one."""
        remote, dataset = self.remote(name), transfer.dataset
        if remote.checksum and expected and remote.checksum != expected:
            change = f"{expected} when it was listed, {remote.checksum} now"
            raise InputError(f"{dataset}: {name} changed in {self.location}: {change}. {list_again(dataset)}")
        size = remote.size if size in (None, UNKNOWN_SIZE) else size
        if expected or remote.checksum:
            return remote._replace(size=size, checksum=expected or remote.checksum)
        headers = transfer.headers(remote.url)
        length, checksum = byte_count(headers.get("Content-Length")), self.checksum_of(headers)
        path = self._path(name, checksum)
        with cache.accessible(self._cache):
            others = cache.other_versions(path)
        if others and not path.exists():
            message = "download: %s: %s changed since it was fetched before (%s); the new one is used now"
            logger.warning(message, dataset, remote.url, others[-1])
        return remote._replace(size=length if size is None else size, checksum=checksum)

    def _path(self, name: str, checksum: str) -> Path:
        return cache.cached_path(self._cache, self.location, name, checksum)


def _is_there(path: Path) -> bool:
    return path.is_file() or is_zarr(path)


class Folder(Store):
    """Files in a folder of this machine, used in place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.location = folder, str(folder)

    def listing(self, under: str = "") -> pd.DataFrame:
        """List the files whose names begin with `under`."""
        self._check()
        paths = (Path(where) / name for where, _, names in os.walk(self.folder) for name in names)
        rows = [(path.relative_to(self.folder).as_posix(), path.stat().st_size, "") for path in paths]
        rows = sorted(row for row in rows if row[0].startswith(under))
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    def describe(self, names: Iterable[str], *, dataset: str) -> pd.DataFrame:
        """Return name, size and checksum of those of the names that exist."""
        paths = self._paths(names)
        rows = [(name, path.stat().st_size, "") for name, path in paths.items() if _is_there(path)]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    def check_space(self, described: pd.DataFrame, *, dataset: str) -> None:
        """Do nothing: no file is copied."""

    def fetch_each(self, names: Sequence[str], *, dataset: str, **_: object) -> dict[str, Path | FileError]:
        """Return each file's path, or why it cannot be used."""
        reason = "no such file. Restore it, or mend or remove its row in the manifest."
        return {
            name: path if _is_there(path) else FileError(f"{dataset}: {path}: {reason}")
            for name, path in self._paths(names).items()
        }

    def open(self, name: str, *, dataset: str, limit: int) -> BinaryIO:
        """Open a file; a FileError when there is none."""
        return checked(self.fetch_each([name], dataset=dataset)[name]).open("rb")

    def sizes(self, names: Iterable[str], *, dataset: str) -> dict[str, int | FileError]:
        """Return the bytes of files, or why a file cannot be used."""
        paths = self.fetch_each(list(names), dataset=dataset)
        return {
            name: path if isinstance(path, FileError) else path.stat().st_size for name, path in paths.items()
        }

    def _paths(self, names: Iterable[str]) -> dict[str, Path]:
        self._check()
        return {name: self.folder / manifests.name_inside(self.location, name) for name in names}

    def _check(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder. Mend source.location.")


def _folders(names: Iterable[str]) -> list[str]:
    """Return the beginnings of names to list: their folders, or what many folders share."""
    folders = sorted({name.rpartition("/")[0] for name in names})
    if "" in folders:
        return [""]
    if len(folders) > _MOST_FOLDERS:
        folders = [common] if (common := os.path.commonpath(folders)) else []
    return [f"{folder}/" for folder in folders] or [""]


def _is_complete(path: Path, remote: Remote) -> bool:
    """Return whether the cache has a file; one cut short, as by a power cut, is removed."""
    if path.is_file() and remote.size not in (None, path.stat().st_size):
        path.unlink()
    if not path.is_file():
        return False
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return True


def _bytes_left(path: Path, remote: Remote) -> int:
    part = cache.part_path(path)
    return max((remote.size or 0) - (part.stat().st_size if part.is_file() else 0), 0)
