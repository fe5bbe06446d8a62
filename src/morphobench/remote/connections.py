"""HTTP requests: a bounded number of connections, and a reason and remedy for each failure."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions

from morphobench.errors import InputError

_CHUNK_BYTES = 2**20
_TRY_LATER = {408, 425, 429, 500, 502, 503, 504}
# `Transfer.retry` tries again, from the last byte that came.
_RETRY = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=0)
_MOST_REDIRECTIONS = 5
# No object of S3 is larger; what says so is no size.
_MOST_BYTES = 2**50
_REASONS = {
    exceptions.ConnectTimeoutError: "no answer in time",
    exceptions.ReadTimeoutError: "no bytes in time",
    exceptions.NameResolutionError: "the host's name is not known",
    exceptions.NewConnectionError: "no connection",
    exceptions.IncompleteRead: "the connection ended early",
    exceptions.ProtocolError: "the connection broke",
}


def list_again(dataset: str) -> str:
    """Return the remedy for a listing that no longer holds."""
    return f"List the files again (delete results/download/{dataset}/manifest.parquet)."


class FileError(InputError):
    """One file cannot be fetched; the others can."""


def checked(path: Path | FileError) -> Path:
    """Return the path of a file, or raise why it cannot be fetched."""
    if isinstance(path, FileError):
        raise path
    return path


class OutOfRange(InputError):
    """A file has no such bytes."""


class Transient(Exception):
    """A failure that may be gone at the next try."""

    def __init__(self, reason: object, retry_after_s: float = 0.0) -> None:
        super().__init__(str(reason))
        self.retry_after_s = retry_after_s


class BadBody(Transient):
    """What came is not the whole body of one file; a failure of this file when it lasts."""


def byte_count(text: object) -> int | None:
    """Return a number of bytes as a server or listing writes it; None for what is none.

    Examples
    --------
    >>> byte_count("12"), byte_count("-1"), byte_count("ten"), byte_count("9" * 30)
    (12, None, None, None)
    """
    text = str(text)
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST_BYTES))
    return int(text) if is_number and int(text) <= _MOST_BYTES else None


class Connections:
    """At most `n_most` connections to each server, through the proxy that the environment names for it."""

    def __init__(self, dataset: str, n_most: int, timeout_s: float) -> None:
        self._dataset = dataset
        timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._options = {"maxsize": n_most, "block": True, "timeout": timeout, "retries": _RETRY}
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    @contextmanager
    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield a response; read its body with `chunks`.

        Raises
        ------
        Transient
            When another try may succeed: no connection, too many requests, a broken body.
        FileError
            When there is no such object, or it is redirected to where it must not be asked for.
        InputError
            When access is denied or the location is wrong.
        """
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        try:
            response = self._open(method, url, headers)
            try:
                if response.status not in ((200, 206) if "Range" in headers else (200,)):
                    raise self._error(url, response)
                yield response
            except BaseException:
                # A connection whose body was not read to its end cannot be used again.
                response.close()
                raise
            finally:
                response.release_conn()
        except exceptions.InvalidHeader as error:
            raise BadBody(error) from error
        except exceptions.HTTPError as error:
            raise Transient(_reason(error)) from error

    def _open(self, method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Return the response after all redirections, each of them checked before it is followed."""
        here, options = url, {"headers": headers, "preload_content": False, "redirect": False}
        for _ in range(_MOST_REDIRECTIONS + 1):
            response = self._pool(here).request(method, here, **options)
            if not (target := response.get_redirect_location()):
                return response
            response.drain_conn()
            response.release_conn()
            try:
                here = urljoin(here, target)
            except ValueError as error:
                raise BadBody(f"redirected to {target[:200]!r}, which is no address") from error
            if _is_near(here) and not _is_near(url):
                remedy = "Set source.location to where the files are."
                reason = f"is redirected to {here}, an address of this machine; that is not followed"
                raise FileError(f"{self._dataset}: {url}: {reason}. {remedy}")
        raise Transient(f"redirected more than {_MOST_REDIRECTIONS} times")

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        with self._lock:
            if proxy not in self._pools:
                kind, where = (urllib3.ProxyManager, [proxy]) if proxy else (urllib3.PoolManager, [])
                self._pools[proxy] = kind(*where, **self._options)
            return self._pools[proxy]

    def _error(self, url: str, response: urllib3.BaseHTTPResponse) -> Exception:
        status, where = response.status, f"{self._dataset}: {url}"
        if status in _TRY_LATER:
            return Transient(f"the server answers {status}", _retry_after_s(response))
        if status < 300:
            return BadBody(f"the server answers {status}, which is no whole file")
        if status == 416:
            return OutOfRange(f"{where}: changed, shorter than listed (416). {list_again(self._dataset)}")
        if status in (401, 403):
            return InputError(
                f"{where}: access denied ({status}). Only what is public can be fetched, without an account: "
                "check the location, or copy the data yourself and set source.location to the copy."
            )
        body = response.read(2000, decode_content=False).decode(errors="replace")
        if "NoSuchBucket" in body:
            return InputError(f"{where}: no such bucket. Mend source.location.")
        if status in (404, 410):
            return FileError(f"{where}: no such object ({status}). Mend source.location or the manifest.")
        return InputError(f"{where}: the server answers {status} {body[:200]}. Check source.location.")


def chunks(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the body as it comes: bytes before a failure are yielded before it is raised."""
    return iter(lambda: response.read1(_CHUNK_BYTES, decode_content=False), b"")


def _is_near(url: str) -> bool:
    """Return whether a URL names this machine or one reached without a router: loopback, link-local."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None)
    # A name that only the proxy knows, or none.
    except (OSError, ValueError):
        return False
    own = [ip_address(address[0]) for *_, address in found]
    own = [getattr(one, "ipv4_mapped", None) or one for one in own]
    return any(one.is_loopback or one.is_link_local or one.is_unspecified for one in own)


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float:
    """Return the seconds that the server asks to wait; 0 for what is no time."""
    try:
        return float(_RETRY.get_retry_after(response) or 0)
    except (exceptions.InvalidHeader, ValueError, OverflowError):
        return 0.0


def _reason(error: Exception) -> str:
    """Return the reason of a network error without addresses of objects in memory."""
    error = getattr(error, "reason", None) or error
    return next((text for kind, text in _REASONS.items() if isinstance(error, kind)), str(error))
