"""Prefixes of public S3 buckets, read without an account, and files of web servers."""

import io
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree

import pandas as pd

from morphobench.errors import InputError
from morphobench.log import logger
from morphobench.remote import checksums
from morphobench.remote.connections import Transient, byte_count
from morphobench.remote.store import UNKNOWN_SIZE, Store
from morphobench.remote.transfer import Remote, Transfer

_PAGES_PER_LINE = 50
# A page has at most 1,000 keys of 1 KiB, three times as long in a URL, and a dozen elements for each.
_MOST_PAGE_BYTES, _MOST_PAGE_ELEMENTS = 8 * 2**20, 50_000


def object_url(bucket: str, key: str = "", version: str | None = None) -> str:
    """Return the URL of an object or bucket; AWS_ENDPOINT_URL(_S3) may name a server other than Amazon's."""
    # The certificate covers one name before s3.
    amazon = f"https://s3.amazonaws.com/{bucket}" if "." in bucket else f"https://{bucket}.s3.amazonaws.com"
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else amazon
    return f"{base}/{quote(key)}" + (f"?versionId={quote(version, safe='')}" if version else "")


class S3Prefix(Store):
    """Objects below ``s3://bucket/prefix``."""

    def __init__(self, location: str, cache: Path, download_config: Mapping[str, Any]) -> None:
        super().__init__(location, cache, download_config)
        self._bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not self._bucket:
            raise InputError(f"{location}: names no bucket. Write s3://bucket/prefix.")

    def remote(self, name: str) -> Remote:
        """Return an object by its name below the prefix."""
        return Remote(name, object_url(self._bucket, self._prefix + name))

    def checksum_of(self, headers: Mapping[str, str]) -> str:
        """Return the checksum in the ETag of a response."""
        return checksums.from_etag(headers.get("ETag", ""))

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Yield name, size and checksum of the objects whose names begin with `under`, page by page.

        Raises
        ------
        InputError
            When the bucket does not exist, denies, or cannot be reached.
        """
        transfer = Transfer(self._config, dataset)
        query = {"list-type": "2", "prefix": self._prefix + under, "encoding-type": "url"}
        tokens: set[str] = set()

        def parse(page: bytes) -> tuple[list[tuple[str, int, str]], str]:
            rows, token = parse_page(page)
            if token in tokens:
                raise Transient("the list of objects begins again")
            return rows, token

        for number in itertools.count(1):
            url = f"{object_url(self._bucket)}?{urlencode(query, quote_via=quote)}"
            rows, token = transfer.read(url, parse, _MOST_PAGE_BYTES)
            named = [(key.removeprefix(self._prefix), size, checksum) for key, size, checksum in rows]
            yield pd.DataFrame(named, columns=["name", "size", "checksum"])
            if number % _PAGES_PER_LINE == 0:
                logger.info("download: %s: %d pages of objects listed", self.location, number)
            if not token:
                return
            tokens.add(token)
            query["continuation-token"] = token


def parse_page(page: bytes) -> tuple[list[tuple[str, int, str]], str]:
    """Return key, size and checksum of the objects on a page of a listing, and the token of the next page.

    Raises
    ------
    Transient
        When the page is torn, or is no list of S3.
    """
    try:
        root = _parse(page)
        # Some servers name the namespace, some do not.
        form, _, kind = root.tag.rpartition("}")
        form += "}" if form else ""
        if kind != "ListBucketResult":
            said = root.findtext(f"{form}Code") or kind
            raise Transient(f"the answer is no list of objects but {said[:100]!r}")
        tags = f"{form}Key", f"{form}Size", f"{form}ETag"
        texts = [[item.findtext(tag) for tag in tags] for item in root.iterfind(f"{form}Contents")]
        rows = [
            (unquote_plus(key), _size(size), checksums.from_etag(etag or "")) for key, size, etag in texts
        ]
    except (ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
        raise Transient(f"the list of objects is torn ({error})") from error
    # Keys that end in a slash only mark folders.
    rows = [row for row in rows if not row[0].endswith("/")]
    token = root.findtext(f"{form}NextContinuationToken") or ""
    if (root.findtext(f"{form}IsTruncated") or "").strip().lower() == "true" and not token:
        raise Transient("the list of objects is cut off: it has no token of its next page")
    return rows, token


def _parse(page: bytes) -> ElementTree.Element:
    """Return the root of an XML page that is no larger in memory than a list of S3."""
    pages = ElementTree.iterparse(io.BytesIO(page), events=("start",))
    for number, _ in enumerate(pages):
        if number == _MOST_PAGE_ELEMENTS:
            raise Transient(f"the list of objects has more than {number} elements on a page")
    return pages.root


def _size(text: str) -> int:
    """Return a listed size; unknown when it is there but is none."""
    size = byte_count(text.strip())
    return UNKNOWN_SIZE if size is None else size


class WebServer(Store):
    """Files below ``https://host/path`` or ``http://host/path``, which cannot be listed."""

    is_listed = False

    def remote(self, name: str) -> Remote:
        """Return a file by its name below the address."""
        return Remote(name, f"{self.location.rstrip('/')}/{quote(name)}")

    def checksum_of(self, headers: Mapping[str, str]) -> str:
        """Return the version in the headers of a response."""
        return checksums.from_web(headers)

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Raise an InputError: there is no list."""
        raise InputError(f"{self.location}: a web server's files cannot be listed. Name them in a manifest.")
