"""Bytes over HTTP into the cache: in parallel, resumed where they stopped, tried again, verified.

By urllib3, not by s3fs or botocore above it: objects of public buckets are plain HTTPS resources, the s3fs
that aicsimageio allows can neither resume nor verify one, and botocore needs half a minute for 430,000 names.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import urllib3

from morphobench.errors import InputError
from morphobench.log import bar, logger
from morphobench.remote import cache, checksums
from morphobench.remote.connections import (
    BadBody,
    Connections,
    FileError,
    OutOfRange,
    Transient,
    byte_count,
    chunks,
    list_again,
)

Item = TypeVar("Item")

_LONGEST_WAIT_S = 60.0
_LOG_EVERY_S = 5.0
_GB = 1e9
# So far into a file, at most, it is read from its start where a server cannot begin later.
_MOST_SKIPPED_BYTES = 2**26


class Stopped(Exception):
    """Another thread failed, or the user interrupted."""


class Remote(NamedTuple):
    """A file by its name below a location: url, bytes (None when unknown), checksum ("" when unknown)."""

    name: str
    url: str
    size: int | None = None
    checksum: str = ""


class Progress:
    """Counts of fetched files and bytes from many threads, logged with the rate and the time left.

    Not bars of tqdm: several jobs share the log, which need not be a terminal, and files count beside bytes.
    """

    def __init__(self, dataset: str, n_files: int, n_bytes: int) -> None:
        self._dataset, self._n_files, self._n_bytes = dataset, n_files, n_bytes
        self._files = self._bytes = 0
        self._lock = threading.Lock()
        self._start = self._logged = time.monotonic()

    def add(self, n_bytes: int = 0, *, files: int = 0) -> None:
        """Count bytes and files; every few seconds, and after the last file, log a line."""
        with self._lock:
            self._bytes += n_bytes
            self._files += files
            now = time.monotonic()
            if now - self._logged < _LOG_EVERY_S and not (files and self._files == self._n_files):
                return
            self._logged = now
            logger.info("download: %s %s", self._dataset, self._line(now - self._start))

    def _line(self, seconds: float) -> str:
        rate = self._bytes / max(seconds, 1e-9)
        files = f"{self._files} of {self._n_files} files, {self._bytes / _GB:.3f}"
        if not self._n_bytes:
            return f"{bar(self._files, self._n_files)} {files} GB, {rate / 1e6:.1f} MB/s"
        left_s = max(self._n_bytes - self._bytes, 0) / max(rate, 1.0)
        done = bar(min(self._bytes, self._n_bytes), self._n_bytes)
        return f"{done} {files} of {self._n_bytes / _GB:.3f} GB, {rate / 1e6:.1f} MB/s, {left_s:.0f} s left"


class Transfer:
    """Requests in parallel, each tried again, as section `download` of the configuration says."""

    def __init__(self, download_config: Mapping[str, Any], dataset: str) -> None:
        self.dataset = dataset
        self._n_threads = int(download_config["connections"])
        self._http = Connections(dataset, self._n_threads, float(download_config["timeout_s"]))
        self._retries, self._backoff_s = int(download_config["retries"]), float(download_config["backoff_s"])
        self._stop = threading.Event()
        # Of waits alone, no result: jobs that a server refused together must not return together.
        self._jitter = random.Random(os.urandom(8))

    def each(self, work: Callable[[Item], None], items: Iterable[Item]) -> dict[Item, FileError]:
        """Call `work` on every item, in as many threads as connections; return the items' file errors.

        Any other error stops all threads and is raised.
        """
        errors: dict[Item, FileError] = {}

        def run(item: Item) -> None:
            try:
                if not self._stop.is_set():
                    work(item)
            except Stopped:
                pass
            except FileError as error:
                errors[item] = error
            except BaseException:
                self._stop.set()
                raise

        with ThreadPoolExecutor(self._n_threads) as threads:
            try:
                list(threads.map(run, items))
            except BaseException:
                self._stop.set()
                raise
        return errors

    def headers(self, url: str) -> Mapping[str, str]:
        """Return the headers of a resource; a FileError when there is none, else see `retry`."""

        def head() -> Mapping[str, str]:
            with self._http.request("HEAD", url) as response:
                return response.headers

        return self.retry(url, head)

    def read(self, url: str, parse: Callable[[bytes], Item], most_bytes: int) -> Item:
        """Return a parsed resource; `parse` raises `Transient` for an incomplete one. Errors as `retry`."""

        def get() -> Item:
            body = bytearray()
            with self._http.request("GET", url) as response:
                for chunk in chunks(response):
                    body += chunk
                    if len(body) > most_bytes:
                        raise Transient(f"the answer is longer than {most_bytes} bytes")
            return parse(bytes(body))

        return self.retry(url, get)

    def read_range(self, url: str, start: int, length: int) -> tuple[bytes, int]:
        """Return `length` bytes from `start`, fewer at the end, and the size of all. Errors as `retry`."""

        def get() -> tuple[bytes, int]:
            with self._http.request("GET", url, {"Range": f"bytes={start}-{start + length - 1}"}) as response:
                if response.status == 200:
                    return _part_of_whole(url, response, start, length)
                first, _, size = response.headers.get("Content-Range", "").partition("/")
                body = b"".join(_at_most(response, length))
                if not first.startswith(f"bytes {start}-") or (n_bytes := byte_count(size)) is None:
                    raise BadBody("the server answers with another part than was asked for")
                if len(body) != min(length, n_bytes - start):
                    raise BadBody(f"{len(body)} bytes came for {length}")
                return body, n_bytes

        try:
            return self.retry(url, get)
        except OutOfRange:
            if start:
                raise
            return b"", 0

    def fetch(self, remote: Remote, path: Path, progress: Progress) -> None:
        """Fetch a file to its path in the cache, from the end of its partial file on.

        Raises
        ------
        FileError
            When there is no such object, or its bytes are wrong every time.
        InputError
            When it changed since it was listed, cannot be reached, or the disk is full.
        PermissionError
            When the cache belongs to another user, see `cache.accessible`.
        """
        try:
            with cache.locked_part(path) as file:
                if file is not None:
                    self._fetch_verified(remote, path, file, progress)
        except PermissionError:
            raise
        except OSError as error:
            raise InputError(
                f"{self.dataset}: {path} could not be written ({error.strerror or error}). Check free disk "
                "space (df -h) and access to the folder, then run the same command again: it continues."
            ) from error
        progress.add(files=1)

    def retry(self, url: str, work: Callable[[], Item], position: Callable[[], int] = lambda: 0) -> Item:
        """Call `work` until it raises no `Transient`, waiting twice as long after each failure in a row.

        Failures count anew whenever `position` has moved. Raises an InputError after too many in a row; a
        FileError when what came was no whole body.
        """
        # Not urllib3.Retry: it sleeps through an interrupt, not after a first failure, and never counts anew.
        failures, before = 0, position()
        while True:
            try:
                return work()
            except Transient as error:
                failures = failures + 1 if position() == before else 1
                before = position()
                if failures > self._retries:
                    kind = FileError if isinstance(error, BadBody) else InputError
                    raise kind(
                        f"{self.dataset}: {url}: {error}, {failures} times in a row. Check the network "
                        "(proxy, firewall) and the location, then run the same command again: it continues."
                    ) from error
                self._wait(url, failures, error)

    def _wait(self, url: str, failures: int, error: Transient) -> None:
        longest = self._backoff_s * 2 ** (failures - 1)
        seconds = min(max(longest * self._jitter.uniform(0.5, 1.0), error.retry_after_s), _LONGEST_WAIT_S)
        logger.info("download: %s: %s; next try in %.1f s", url, error, seconds)
        if self._stop.wait(seconds):
            raise Stopped

    def _fetch_verified(self, remote: Remote, path: Path, file: BinaryIO, progress: Progress) -> None:
        for _ in range(self._retries + 1):
            is_md5 = self.retry(remote.url, lambda: self._append(remote, file, progress), lambda: _end(file))
            file.flush()
            proof = checksums.verified(cache.part_path(path), remote.checksum, is_md5=is_md5)
            if proof:
                if proof != checksums.CHECKSUM:
                    logger.info("download: %s: verified by %s", remote.url, proof)
                os.replace(cache.part_path(path), path)
                return
            logger.warning("download: %s: wrong bytes (%s); fetching it anew", remote.url, remote.checksum)
            file.truncate(0)
        raise FileError(
            f"{self.dataset}: {remote.url}: damaged or changed: its bytes do not have the checksum "
            f"{remote.checksum}, {self._retries + 1} times. {list_again(self.dataset)} Or tell the owner."
        )

    def _append(self, remote: Remote, file: BinaryIO, progress: Progress) -> bool:
        """Append the missing bytes; return whether an ETag would be made of MD5 sums."""
        start = _end(file)
        # Bytes of two versions must not meet; of an unknown length, what is there may be all.
        if remote.size is None or start > remote.size or not checksums.is_strong(remote.checksum):
            start = file.truncate(0)
        if start and start == remote.size:
            return True
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._http.request("GET", remote.url, headers) as response:
            if start and not self._continues(remote, response, start):
                if response.status == 206:
                    file.truncate(0)
                    raise BadBody("the server answers with another part than was asked for")
                start = file.truncate(0)
            self._check_unchanged(remote, response, start)
            self._write_body(remote, response, file, progress)
            return "kms" not in response.headers.get("x-amz-server-side-encryption", "")

    def _write_body(
        self, remote: Remote, response: urllib3.BaseHTTPResponse, file: BinaryIO, progress: Progress
    ) -> None:
        for chunk in chunks(response):
            end = _end(file) + len(chunk)
            if remote.size is not None and end > remote.size:
                file.truncate(0)
                raise BadBody(f"the body is longer than the listed {remote.size} bytes")
            # Written first: what came is kept, whatever ends the work.
            file.write(chunk)
            progress.add(len(chunk))
            if self._stop.is_set():
                raise Stopped
        if remote.size is not None and _end(file) != remote.size:
            raise BadBody(f"the body ended after {_end(file)} of {remote.size} bytes")
        is_chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if remote.size is None and not is_chunked and _length(response) is None:
            raise BadBody("the server tells no length, so that nobody can see whether all came")

    def _continues(self, remote: Remote, response: urllib3.BaseHTTPResponse, start: int) -> bool:
        """Return whether a response is the rest of the listed version, from `start` to its end."""
        expected = f"bytes {start}-{remote.size - 1}/{remote.size}"
        is_rest = response.status == 206 and response.headers.get("Content-Range") == expected
        # Other checksums than these are of the bytes, and verify the whole.
        is_named = not remote.checksum.startswith(("etag:", "version:")) or bool(_version(remote, response))
        return is_rest and is_named

    def _check_unchanged(self, remote: Remote, response: urllib3.BaseHTTPResponse, start: int) -> None:
        """Raise an InputError when an object is not the one that was listed."""
        now = _version(remote, response)
        comparable = remote.checksum.startswith("version:") or (now and remote.checksum.startswith("etag:"))
        length = _length(response)
        size = remote.size if length is None else start + length
        if (comparable and now != remote.checksum) or (remote.size is not None and size != remote.size):
            raise InputError(
                f"{self.dataset}: {remote.url} changed: {remote.size} bytes, {remote.checksum} when it was "
                f"listed, {size} bytes, {now or 'no checksum'} now. {list_again(self.dataset)}"
            )


def _version(remote: Remote, response: urllib3.BaseHTTPResponse) -> str:
    """Return what a response says of the version that it holds, in the form of the remote's checksum."""
    if remote.checksum.startswith("version:"):
        return checksums.from_web(response.headers)
    return checksums.from_etag(response.headers.get("ETag", ""))


def _length(response: urllib3.BaseHTTPResponse) -> int | None:
    return byte_count(response.headers.get("Content-Length"))


def _end(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _at_most(response: urllib3.BaseHTTPResponse, n_bytes: int) -> Iterator[bytes]:
    """Yield so many bytes of a body; close it where there are more."""
    for chunk in chunks(response):
        yield chunk[:n_bytes]
        if len(chunk) >= n_bytes:
            response.close()
            return
        n_bytes -= len(chunk)


def _part_of_whole(
    url: str, response: urllib3.BaseHTTPResponse, start: int, length: int
) -> tuple[bytes, int]:
    """Return a part of what a server sends from the first byte on, and the size of all."""
    size = _length(response)
    # Without a length, all is read: its end tells.
    end = start + length if size is not None else _MOST_SKIPPED_BYTES
    if start > _MOST_SKIPPED_BYTES:
        raise InputError(
            f"{url}: the server cannot send parts of a file. Check a copy in a folder or bucket."
        )
    body = b"".join(_at_most(response, end))
    if size is None and len(body) == end:
        raise InputError(f"{url}: the server tells no length. Check a copy in a folder or bucket.")
    if size is not None and len(body) < min(end, size):
        raise BadBody(f"the body ended after {len(body)} of {size} bytes")
    return body[start : start + length], len(body) if size is None else size
