"""Packages of a quilt registry: their files, with checksums and the URLs of their bytes."""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.remote import cache, checksums, s3
from morphobench.remote.connections import FileError, byte_count
from morphobench.remote.store import UNKNOWN_SIZE, Store
from morphobench.remote.transfer import Remote

_FORM = re.compile(r"quilt\+(s3://[^/#]+)/?#package=([\w-]+/[\w-]+)(?:@([0-9a-f]{6,64}))?")


class QuiltPackage(Store):
    """Files of one version of ``quilt+s3://bucket#package=owner/name``: of ``@hash``, else the latest."""

    def __init__(self, location: str, folder: Path, download_config: Mapping[str, Any]) -> None:
        super().__init__(location, folder, download_config)
        parts = _FORM.fullmatch(location)
        if parts is None:
            form = "quilt+s3://bucket#package=owner/name, with @hash at the end to keep to a version"
            raise InputError(f"{location}: not a quilt package. Write {form}.")
        self._registry, self._name, self._hash = parts.groups()
        self._rows: pd.DataFrame | None = None
        self._lock = threading.Lock()

    def remote(self, name: str) -> Remote:
        """Return a file of the package; a FileError when it has none of this name."""
        entries = self._entries()
        if name not in entries.index:
            top = ", ".join([other for other in entries.index if "/" not in other][:10]) or "only folders"
            raise FileError(
                f"{self.location}: has no file {name}. Mend location or row (at its top are {top})."
            )
        row = entries.loc[name]
        return Remote(name, row["url"], int(row["size"]), row["checksum"])

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Yield name, size and checksum of the files whose names begin with `under`, as one page."""
        entries = self._entries()
        yield entries[entries.index.str.startswith(under)].reset_index()[["name", "size", "checksum"]]

    def _entries(self) -> pd.DataFrame:
        """Return size, checksum and url by name; the table of a version is cached."""
        with self._lock:
            if self._rows is None:
                cached = self._cache / "quilt" / f"{self._hash}.parquet"
                if not (self._hash and len(self._hash) == 64 and cached.is_file()):
                    cached = self._browse()
                self._rows = pd.read_parquet(cached).set_index("name")
        return self._rows

    def _browse(self) -> Path:
        # Settings read at import: no copy of manifests outside the cache, no usage report, no bars.
        for name in ("QUILT_DISABLE_CACHE", "QUILT_DISABLE_USAGE_METRICS", "QUILT_MINIMIZE_STDOUT"):
            os.environ.setdefault(name, "true")
        import quilt3

        try:
            package = quilt3.Package.browse(self._name, registry=self._registry, top_hash=self._hash)
            rows = [
                (name, _size(entry.size), checksums.from_quilt(entry.hash), _url(str(entry.physical_key)))
                for name, entry in package.walk()
            ]
        except InputError:
            raise
        # quilt3 lets through whatever goes wrong below it: botocore, JSON, files, its own.
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"{self.location}: the package cannot be read ({type(error).__name__}: {reason}). Check "
                "bucket, name and hash, that it is public, and the network; then run the same command again."
            ) from error
        cached = self._cache / "quilt" / f"{package.top_hash}.parquet"
        if not cached.is_file():
            with cache.accessible(self._cache):
                self._cache.mkdir(parents=True, exist_ok=True)
                cache.make_folder(cached.parent)
                files.write_table(pd.DataFrame(rows, columns=["name", "size", "checksum", "url"]), cached)
                cache.share(cached)
        return cached


def _size(size: object) -> int:
    known = byte_count(size)
    return UNKNOWN_SIZE if known is None else known


def _url(physical_key: str) -> str:
    parts = urlsplit(physical_key)
    if parts.scheme != "s3":
        raise InputError(f"{physical_key}: the package points elsewhere than to S3; that is not fetched.")
    version: Mapping[str, list[str]] = parse_qs(parts.query)
    return s3.object_url(parts.netloc, unquote(parts.path.lstrip("/")), version.get("versionId", [None])[0])
