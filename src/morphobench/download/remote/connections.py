"""Requests over HTTP: a bounded number of connections, and what a user can make of each failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions

from morphobench.errors import InputError

_CHUNK_BYTES = 2**20
_TRY_LATER = {408, 425, 429, 500, 502, 503, 504}
# Only redirections are followed here: whoever asks tries again, from where it had come.
_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)
_REASONS = {
    exceptions.ConnectTimeoutError: "no answer in time",
    exceptions.ReadTimeoutError: "no bytes in time",
    exceptions.NameResolutionError: "the host's name is not known",
    exceptions.NewConnectionError: "no connection",
    exceptions.IncompleteRead: "the connection ended early",
    exceptions.ProtocolError: "the connection broke",
}


def list_again(dataset: str) -> str:
    """Return the remedy where what was listed is no longer what is there."""
    return f"List the files again (delete results/download/{dataset}/manifest.parquet)."


class FileError(InputError):
    """One file cannot be had, whatever is tried; the others can."""


class Transient(Exception):
    """Something that may be gone at the next try."""

    def __init__(self, reason: object, retry_after_s: float = 0.0) -> None:
        super().__init__(str(reason))
        self.retry_after_s = retry_after_s


class Connections:
    """Connections to any number of servers, each with the proxy that the environment names for it.

    Parameters
    ----------
    dataset
        Name for messages.
    n_most
        Most connections to one server.
    timeout_s
        Longest wait for a connection, and for the next bytes.
    """

    def __init__(self, dataset: str, n_most: int, timeout_s: float) -> None:
        self._dataset = dataset
        timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._options = {"maxsize": n_most, "block": True, "timeout": timeout, "retries": _REDIRECTS}
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def request(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return a response, to be used as a context.

        Raises
        ------
        Transient
            When another try may succeed: no connection, too many requests, a server in trouble.
        FileError
            When there is no such object.
        InputError
            When access is denied or the location is wrong.
        """
        asked = {"Accept-Encoding": "identity", **(headers or {})}
        try:
            raw = self._pool(url).request(method, url, headers=asked, preload_content=False)
            if raw.status < 300:
                return Response(raw)
            body = raw.read(2000, decode_content=False).decode(errors="replace")
            raw.close()
        except exceptions.HTTPError as error:
            raise Transient(_plain(error)) from error
        if raw.status in _TRY_LATER:
            after = raw.headers.get("Retry-After", "")
            raise Transient(f"the server answers {raw.status}", float(after) if after.isdigit() else 0.0)
        raise self._refused(url, raw.status, body)

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        with self._lock:
            if parts.netloc not in self._pools:
                direct = proxy_bypass(parts.hostname or "")
                proxy = None if direct else getproxies().get(parts.scheme)
                self._pools[parts.netloc] = (
                    urllib3.ProxyManager(proxy, **self._options)
                    if proxy
                    else urllib3.PoolManager(**self._options)
                )
            return self._pools[parts.netloc]

    def _refused(self, url: str, status: int, body: str) -> InputError:
        where = f"{self._dataset}: {url}"
        if status == 416:
            return InputError(
                f"{where}: changed, it is shorter than when it was listed ({status}). "
                f"{list_again(self._dataset)}"
            )
        if status in (401, 403):
            return InputError(
                f"{where}: access denied ({status}). Only what is public can be fetched, without an account: "
                "check the location, or copy the data yourself and set source.location to the copy."
            )
        if "NoSuchBucket" in body:
            return InputError(f"{where}: no such bucket. Mend source.location.")
        if status in (404, 410):
            return FileError(f"{where}: no such object ({status}). Mend source.location or the manifest.")
        return InputError(f"{where}: the server answers {status} {body[:200]}. Check source.location.")


class Response:
    """A response under way."""

    def __init__(self, raw: urllib3.BaseHTTPResponse) -> None:
        self._raw = raw
        self.headers: Mapping[str, str] = raw.headers

    def __enter__(self) -> Response:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A connection whose body was not read to its end cannot be used again.
        if kind is not None:
            self._raw.close()
        self._raw.release_conn()

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes, whatever becomes of its rest.

        Raises
        ------
        Transient
            When it ends early or stalls, after the last bytes that came.
        """
        try:
            while chunk := self._raw.read1(_CHUNK_BYTES, decode_content=False):
                yield chunk
        except exceptions.HTTPError as error:
            raise Transient(_plain(error)) from error


def _plain(error: Exception) -> str:
    """Return the reason of a network error without addresses of objects in memory."""
    error = getattr(error, "reason", None) or error
    return next((text for kind, text in _REASONS.items() if isinstance(error, kind)), str(error))
