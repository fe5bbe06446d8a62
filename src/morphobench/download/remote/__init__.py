"""Where a dataset's files are: a folder here, a prefix of a bucket, a quilt package, or a web server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from morphobench.download.remote.fetched import Fetched
from morphobench.download.remote.folder import Folder
from morphobench.download.remote.quilt import Package
from morphobench.download.remote.s3 import Prefix
from morphobench.download.remote.store import Store
from morphobench.download.remote.web import Web
from morphobench.errors import InputError

__all__ = ["Store", "is_remote", "local_folder", "open_store"]

DEFAULT_CACHE = Path("results/cache")


def open_store(location: str, settings: Mapping[str, Any]) -> Store:
    """Open what holds a dataset's files; nothing is asked of any server yet.

    Parameters
    ----------
    location
        ``s3://bucket/prefix``, ``quilt+s3://bucket#package=owner/name[@hash]``, ``https://host/path``,
        ``file:///folder`` or a plain folder.
    settings
        Section `download` of the configuration: cache (null: results/cache), connections, retries,
        timeout_s, backoff_s.

    Raises
    ------
    InputError
        When the location has another form.
    """
    scheme = location.partition("://")[0] if "://" in location else ""
    folder = Path(settings["cache"] or DEFAULT_CACHE)
    if scheme == "s3":
        return Fetched(Prefix(location, settings), folder, settings)
    if scheme == "quilt+s3":
        return Fetched(Package(location, folder), folder, settings)
    if scheme in ("http", "https"):
        return Fetched(Web(location), folder, settings)
    if scheme in ("", "file"):
        return Folder(local_folder(location))
    raise InputError(
        f"{location}: files are fetched from s3://, quilt+s3://, https://, http://, file:// or a folder. "
        "Mend source.location."
    )


def is_remote(location: str | None) -> bool:
    """Return whether what is at a location must be fetched before it can be read."""
    return bool(location) and "://" in location and not location.startswith("file://")


def local_folder(location: str | None) -> Path:
    """Return the folder that a location stands for; the working directory for none.

    Examples
    --------
    >>> local_folder("file:///data/my%20cells").as_posix(), local_folder("cells").as_posix()
    ('/data/my cells', 'cells')
    """
    location = location or ""
    return Path(unquote(urlsplit(location).path) if location.startswith("file://") else location)
