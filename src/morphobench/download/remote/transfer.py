"""Bytes over HTTP into the cache: in parallel, resumed where they stopped, tried again, verified.

Objects of public buckets are plain HTTPS resources, and one code fetches them, quilt's physical objects and
files of web servers. s3fs 0.6, the newest that aicsimageio 4.14 allows, does not start with aiobotocore 3,
and could neither continue a half-fetched object nor verify one; botocore needs half a minute of computing to
read a list of 430,000 objects, and for a small object more time than the network does. So urllib3, which is
below both, asks for lists (`morphobench.download.remote.s3`) and bytes.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from morphobench.download.remote import cache, checksums
from morphobench.download.remote.connections import Connections, FileError, Response, Transient, list_again
from morphobench.download.remote.progress import Progress
from morphobench.errors import InputError
from morphobench.log import logger

Item = TypeVar("Item")

_LONGEST_WAIT_S = 60.0
_NO_MORE: Any = object()
_NETWORK = (
    "Check the network (proxy, firewall) and the location, then run the same command again: it continues."
)


class Stopped(Exception):
    """Another thread failed, or the user interrupted."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An object and what is known of it.

    Attributes
    ----------
    name
        Below its location.
    url
        Where it is.
    size
        Bytes; None when unknown.
    checksum
        See `morphobench.download.remote.checksums`; empty when unknown.
    """

    name: str
    url: str
    size: int | None = None
    checksum: str = ""


class Transfer:
    """Connections to servers, a bounded number, and the patience with which they are used.

    Parameters
    ----------
    settings
        Section `download` of the configuration: connections, retries, timeout_s and backoff_s.
    dataset
        Name for messages.
    """

    def __init__(self, settings: Mapping[str, Any], dataset: str) -> None:
        self._dataset = dataset
        self._http = Connections(dataset, int(settings["connections"]), float(settings["timeout_s"]))
        self._n_threads = int(settings["connections"])
        self._retries, self._backoff_s = int(settings["retries"]), float(settings["backoff_s"])
        self._stop = threading.Event()
        # Waiting times alone are drawn from it: jobs that were turned away together must not return together.
        self._jitter = random.Random(os.urandom(8))

    def each(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` on every item in as many threads as there are connections; the first error ends all."""
        waiting, lock = iter(items), threading.Lock()

        def run() -> None:
            try:
                while not self._stop.is_set():
                    with lock:
                        item = next(waiting, _NO_MORE)
                    if item is _NO_MORE:
                        return
                    work(item)
            except Stopped:
                return
            except BaseException:
                self._stop.set()
                raise

        with ThreadPoolExecutor(self._n_threads) as threads:
            futures = [threads.submit(run) for _ in range(self._n_threads)]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stop.set()
                raise

    def headers(self, url: str) -> Mapping[str, str]:
        """Return the headers of a resource.

        Raises
        ------
        FileError
            When there is no such resource.
        InputError
            When the server cannot be reached or refuses.
        """
        return self.patiently(url, lambda: self._head(url))

    def read(self, url: str, parse: Callable[[bytes], Item]) -> Item:
        """Return what `parse` makes of a resource; it raises `Transient` for a torn one.

        Raises
        ------
        InputError
            When there is none, or the server cannot be reached or refuses.
        """

        def attempt() -> Item:
            with self._http.request("GET", url) as response:
                return parse(b"".join(response.chunks()))

        return self.patiently(url, attempt)

    def fetch(self, remote: Remote, path: Path, progress: Progress) -> None:
        """Bring an object to its place in the cache, continuing a half-fetched one.

        Raises
        ------
        FileError
            When the object is not there, or its bytes are wrong every time.
        InputError
            When it changed since it was listed, cannot be reached, or the disk is full.
        """
        try:
            with cache.growing(path) as file:
                if file is not None:
                    self._fetch_verified(remote, path, file, progress)
        except OSError as error:
            raise InputError(
                f"{self._dataset}: {path} could not be written ({error.strerror or error}). Check free "
                "disk space (df -h) and that the folder is writable, then run the same command again: it "
                "continues."
            ) from error
        progress.add(files=1)

    def patiently(self, what: str, work: Callable[[], Any], gained: Callable[[], int] = lambda: 0) -> Any:
        """Call `work` until it succeeds, waiting longer after each failure in a row that gained nothing.

        Parameters
        ----------
        what
            The resource, for messages.
        work
            Raises `Transient` for what may be gone at the next try.
        gained
            Returns a number that changes when a failed try brought something all the same.

        Raises
        ------
        InputError
            After too many failures in a row.
        """
        failures, before = 0, gained()
        while True:
            try:
                return work()
            except Transient as error:
                failures = failures + 1 if gained() == before else 1
                before = gained()
                if failures > self._retries:
                    raise InputError(
                        f"{self._dataset}: {what}: {error}, {failures} times in a row. {_NETWORK}"
                    ) from error
                self._wait(what, failures, error)

    def _wait(self, what: str, failures: int, error: Transient) -> None:
        longest = self._backoff_s * 2 ** (failures - 1)
        seconds = min(max(longest * self._jitter.uniform(0.5, 1.0), error.retry_after_s), _LONGEST_WAIT_S)
        logger.info("download: %s: %s; next try in %.1f s", what, error, seconds)
        if self._stop.wait(seconds):
            raise Stopped

    def _fetch_verified(self, remote: Remote, path: Path, file: BinaryIO, progress: Progress) -> None:
        for _ in range(self._retries + 1):
            is_md5 = self.patiently(
                remote.url, lambda: self._continue(remote, file, progress), gained=lambda: _end(file)
            )
            file.flush()
            verdict = checksums.agrees(cache.part_of(path), remote.checksum, is_md5=is_md5)
            if verdict is not False:
                if verdict is None:
                    logger.info("download: %s: size checked, no checksum of its bytes is known", remote.url)
                os.replace(cache.part_of(path), path)
                return
            logger.warning("download: %s: wrong bytes (%s); fetching it anew", remote.url, remote.checksum)
            file.truncate(0)
        raise FileError(
            f"{self._dataset}: {remote.url}: its bytes do not have the checksum {remote.checksum}, "
            f"{self._retries + 1} times. It was damaged or changed at the source. "
            f"{list_again(self._dataset)} Or tell the owner."
        )

    def _continue(self, remote: Remote, file: BinaryIO, progress: Progress) -> bool:
        """Append what is missing; return whether an ETag would be made of MD5 sums."""
        start = _end(file)
        # Of an unknown length, what is there may be all.
        if remote.size is None or start > remote.size:
            start = file.truncate(0)
        if start and start == remote.size:
            return True
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._http.request("GET", remote.url, headers) as response:
            if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                start = file.truncate(0)
            self._check_same(remote, response, start)
            for chunk in response.chunks():
                # What came is kept before anything else ends the work.
                file.write(chunk)
                progress.add(len(chunk))
                if self._stop.is_set():
                    raise Stopped
            return "kms" not in response.headers.get("x-amz-server-side-encryption", "")

    def _check_same(self, remote: Remote, response: Response, start: int) -> None:
        """Stop when an object is not the one that was listed."""
        now = checksums.of_s3(response.headers.get("ETag", ""))
        is_other = remote.checksum.startswith("etag:") and now and now != remote.checksum
        if remote.checksum.startswith("version:"):
            now = checksums.of_web(response.headers)
            is_other = now != remote.checksum
        length = response.headers.get("Content-Length")
        size = start + int(length) if length else remote.size
        if is_other or (remote.size is not None and size != remote.size):
            raise InputError(
                f"{self._dataset}: {remote.url} changed: {remote.size} bytes, {remote.checksum} when it was "
                f"listed, {size} bytes, {now or 'no checksum'} now. Nothing of the new version was taken. "
                f"{list_again(self._dataset)}"
            )

    def _head(self, url: str) -> Mapping[str, str]:
        with self._http.request("HEAD", url) as response:
            return response.headers


def _end(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)
