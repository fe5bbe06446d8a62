"""Files of a web server, which cannot be listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import pandas as pd

from morphobench.download.remote import checksums
from morphobench.download.remote.transfer import Remote
from morphobench.errors import InputError


class Web:
    """Files below an address.

    Parameters
    ----------
    location
        ``https://host/path`` or ``http://host/path``.
    """

    is_listed = False

    def __init__(self, location: str) -> None:
        self.location = location

    def remote(self, name: str) -> Remote:
        """Return a file by its name; nothing is asked."""
        return Remote(name, f"{self.location.rstrip('/')}/{quote(name)}")

    def checksum_of(self, headers: Mapping[str, str]) -> str:
        """Return the version that a response gives."""
        return checksums.of_web(headers)

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Refuse: there is no list."""
        raise InputError(f"{self.location}: a web server's files cannot be listed. Name them in a manifest.")
