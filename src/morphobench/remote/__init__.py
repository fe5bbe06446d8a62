"""Locations of a dataset's files: a folder, a prefix of a bucket, a quilt package, or a web server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from morphobench.errors import InputError
from morphobench.remote.quilt import QuiltPackage
from morphobench.remote.s3 import S3Prefix, WebServer
from morphobench.remote.store import Folder, Store

DEFAULT_CACHE = Path("results/cache")
_STORES = {"s3": S3Prefix, "quilt+s3": QuiltPackage, "http": WebServer, "https": WebServer}


def open_store(location: str, download_config: Mapping[str, Any]) -> Store:
    """Open a location, with section `download` of the configuration; no server is asked yet.

    Raises
    ------
    InputError
        When the location has a form that is not known.
    """
    scheme = location.partition("://")[0] if "://" in location else "file"
    if scheme == "file":
        return Folder(local_folder(location))
    if scheme not in _STORES:
        raise InputError(f"{location}: is no folder, and none of {', '.join(_STORES)}. Mend source.location.")
    return _STORES[scheme](location, Path(download_config["cache"] or DEFAULT_CACHE), download_config)


def is_remote(location: str | None) -> bool:
    """Return whether files at a location must be fetched before they can be read."""
    return bool(location) and "://" in location and not location.startswith("file://")


def local_folder(location: str | None) -> Path:
    """Return the folder of a local location; the working directory for none.

    Examples
    --------
    >>> local_folder("file:///data/my%20cells").as_posix(), local_folder("cells").as_posix()
    ('/data/my cells', 'cells')
    """
    location = location or ""
    return Path(unquote(urlsplit(location).path) if location.startswith("file://") else location)
