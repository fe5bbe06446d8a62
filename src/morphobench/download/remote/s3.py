"""Prefixes of public S3 buckets, read without an account."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree

import pandas as pd

from morphobench.download.remote import checksums
from morphobench.download.remote.connections import Transient
from morphobench.download.remote.transfer import Remote, Transfer
from morphobench.errors import InputError
from morphobench.log import logger

_PAGES_PER_LINE = 50


def url_of(bucket: str, key: str = "", version: str | None = None) -> str:
    """Return where an object or bucket is; AWS_ENDPOINT_URL(_S3) may name a server other than Amazon's."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        base = f"{endpoint.rstrip('/')}/{bucket}"
    elif "." in bucket:
        # The certificate covers one name before s3.
        base = f"https://s3.amazonaws.com/{bucket}"
    else:
        base = f"https://{bucket}.s3.amazonaws.com"
    return f"{base}/{quote(key)}" + (f"?versionId={quote(version, safe='')}" if version else "")


class Prefix:
    """All objects of a bucket whose keys begin alike.

    Parameters
    ----------
    location
        ``s3://bucket/prefix``.
    settings
        Section `download` of the configuration.
    """

    is_listed = True

    def __init__(self, location: str, settings: Mapping[str, Any]) -> None:
        self.location, self._settings = location, settings
        self._bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not self._bucket:
            raise InputError(f"{location}: names no bucket. Write s3://bucket/prefix.")

    def remote(self, name: str) -> Remote:
        """Return an object by its name below the prefix; nothing is asked."""
        return Remote(name, url_of(self._bucket, self._prefix + name))

    def checksum_of(self, headers: Mapping[str, str]) -> str:
        """Return the checksum that a response gives."""
        return checksums.of_s3(headers.get("ETag", ""))

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Yield name, size and checksum of the objects whose names begin with `under`, as they are listed.

        Raises
        ------
        InputError
            When the bucket is not there, denies, or cannot be reached.
        """
        transfer, number = Transfer(self._settings, dataset), 0
        asked = {"list-type": "2", "prefix": self._prefix + under, "encoding-type": "url"}
        while True:
            url = f"{url_of(self._bucket)}?{urlencode(asked, quote_via=quote)}"
            rows, token = transfer.read(url, _parsed)
            named = [(key.removeprefix(self._prefix), size, checksum) for key, size, checksum in rows]
            yield pd.DataFrame(named, columns=["name", "size", "checksum"])
            number += 1
            if number % _PAGES_PER_LINE == 0:
                logger.info("download: %s: %d pages of objects listed", self.location, number)
            if not token:
                return
            asked["continuation-token"] = token


def _parsed(page: bytes) -> tuple[list[tuple[str, int, str]], str]:
    """Return key, size and checksum of the objects on a page of a listing, and the token of the next page."""
    try:
        root = ElementTree.fromstring(page)
        # Some servers name the namespace, some do not.
        form = root.tag.removesuffix("ListBucketResult")
        told = f"{form}Key", f"{form}Size", f"{form}ETag"
        found = [[item.findtext(name) for name in told] for item in root.iterfind(f"{form}Contents")]
        rows = [(unquote_plus(key), int(size), checksums.of_s3(etag or "")) for key, size, etag in found]
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise Transient(f"the list of objects is torn ({error})") from error
    # What only marks a folder is no file.
    rows = [row for row in rows if not row[0].endswith("/")]
    return rows, root.findtext(f"{form}NextContinuationToken") or ""
