"""Files at the other end of a network, fetched into the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from morphobench.download.remote import cache
from morphobench.download.remote.connections import FileError, list_again
from morphobench.download.remote.progress import Progress
from morphobench.download.remote.store import COLUMNS, UNKNOWN_SIZE, Store
from morphobench.download.remote.transfer import Remote, Transfer
from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.log import logger

# More folders than these are not listed one by one.
_MOST_FOLDERS = 8


class Place(Protocol):
    """What differs between buckets, packages and web servers."""

    location: str
    is_listed: bool

    def remote(self, name: str) -> Remote:
        """Return the object of this name, with what is known of it without asking."""

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Yield name, size and checksum of the files whose names begin with `under`."""

    def checksum_of(self, headers: Mapping[str, str]) -> str:
        """Return the checksum that the headers of a response give."""


class Fetched(Store):
    """Files of a bucket, a package or a web server.

    Parameters
    ----------
    place
        Where they are.
    folder
        The cache.
    settings
        Section `download` of the configuration.
    """

    def __init__(self, place: Place, folder: Path, settings: Mapping[str, Any]) -> None:
        self._place, self._cache, self._settings = place, folder, settings
        self.location = place.location

    def listing(self, under: str = "") -> pd.DataFrame:
        """See `Store`.

        Raises
        ------
        InputError
            Also when the place cannot be listed, or holds nothing of this name.
        """
        pages = list(self._place.pages(under, self.location))
        if not sum(map(len, pages)):
            raise InputError(f"{self.location}: holds nothing below {under!r}. Mend source.location.")
        return pd.concat(pages, ignore_index=True).astype(COLUMNS)

    def describe(self, names: Iterable[str], *, dataset: str) -> pd.DataFrame:
        """See `Store`; of what is listed, page by page, only these names are kept."""
        wanted = {manifests.name_inside(self.location, name) for name in names}
        if not self._place.is_listed:
            unknown = {"name": sorted(wanted), "size": UNKNOWN_SIZE, "checksum": ""}
            return pd.DataFrame(unknown).astype(COLUMNS)
        parts = [pd.DataFrame(columns=list(COLUMNS))]
        for under in _folders(wanted):
            for page in self._place.pages(under, dataset):
                # pandas would make a table of all that is wanted for every page.
                parts.append(page[[name in wanted for name in page["name"]]])
        found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
        return found.drop_duplicates("name").astype(COLUMNS)

    def check_space(self, described: pd.DataFrame, *, dataset: str) -> None:
        """See `Store`."""
        n_bytes = int(described["size"].clip(lower=0).sum())
        # Only where it matters is every file looked for.
        if n_bytes > cache.free_bytes(self._cache):
            rows = described[described["size"] > 0].itertuples(index=False)
            here = (row.size for row in rows if self._path(row.name, row.checksum).exists())
            n_bytes -= sum(here)
        cache.check_space(self._cache, n_bytes, dataset)

    def fetch_each(
        self,
        names: Sequence[str],
        *,
        dataset: str,
        expected: Mapping[str, str] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> dict[str, Path | FileError]:
        """See `Store`."""
        transfer = Transfer(self._settings, dataset)
        known, sizes = expected or {}, sizes or {}
        places = {name: manifests.name_inside(self.location, name) for name in names}
        found: dict[str, Path | FileError] = dict.fromkeys(places)
        remotes: dict[str, Remote] = {}

        def look_up(name: str) -> None:
            try:
                remotes[name] = self._remote(
                    places[name], known.get(name, ""), sizes.get(name), transfer, dataset
                )
            except FileError as error:
                found[name] = error

        transfer.each(look_up, found)
        missing = {}
        for name, remote in remotes.items():
            path = found[name] = self._path(remote.name, remote.checksum)
            if not _is_here(path, remote):
                missing[name] = remote
        if missing:
            self._bring(missing, found, transfer, dataset)
        return found

    def _bring(
        self,
        missing: Mapping[str, Remote],
        found: dict[str, Path | FileError],
        transfer: Transfer,
        dataset: str,
    ) -> None:
        n_bytes = sum(_left(found[name], remote) for name, remote in missing.items())
        cache.check_space(self._cache, n_bytes, dataset)
        progress = Progress(dataset, len(missing), n_bytes)

        def bring(name: str) -> None:
            try:
                transfer.fetch(missing[name], found[name], progress)
            except FileError as error:
                found[name] = error

        transfer.each(bring, missing)

    def _remote(self, name: str, known: str, size: int | None, transfer: Transfer, dataset: str) -> Remote:
        """Return an object with its version: that which is expected, else the present one."""
        remote = self._place.remote(name)
        if remote.checksum and known and remote.checksum != known:
            raise InputError(
                f"{dataset}: {name} changed in {self.location}: {known} when it was listed, "
                f"{remote.checksum} now. {list_again(dataset)}"
            )
        if known or remote.checksum:
            size = remote.size if size in (None, UNKNOWN_SIZE) else size
            return replace(remote, size=size, checksum=known or remote.checksum)
        headers = transfer.headers(remote.url)
        length = headers.get("Content-Length")
        remote = replace(
            remote, size=int(length) if length else None, checksum=self._place.checksum_of(headers)
        )
        self._report_change(remote, dataset)
        return remote

    def _report_change(self, remote: Remote, dataset: str) -> None:
        path = self._path(remote.name, remote.checksum)
        others = [other for other in cache.other_versions(path) if not other.name.endswith(".part")]
        if others and not path.exists():
            logger.warning(
                "download: %s: %s changed since it was fetched before; the new version is kept beside the "
                "old one (%s), and is the one used from now on",
                dataset,
                remote.url,
                others[-1],
            )

    def _path(self, name: str, checksum: str) -> Path:
        return cache.path_of(self._cache, self.location, name, checksum)


def _folders(names: Iterable[str]) -> list[str]:
    """Return the beginnings of names to list: their folders, or what many folders share."""
    folders = sorted({name.rpartition("/")[0] for name in names})
    if "" in folders:
        return [""]
    if len(folders) > _MOST_FOLDERS:
        folders = [common] if (common := os.path.commonpath(folders)) else []
    return [f"{folder}/" for folder in folders] or [""]


def _is_here(path: Path, remote: Remote) -> bool:
    """Say whether a verified file is there; after a power cut a name may stand for less than was written."""
    if not path.is_file():
        return False
    if remote.size is None or path.stat().st_size == remote.size:
        return True
    path.unlink()
    return False


def _left(path: Path, remote: Remote) -> int:
    part = cache.part_of(path)
    return max((remote.size or 0) - (part.stat().st_size if part.is_file() else 0), 0)
