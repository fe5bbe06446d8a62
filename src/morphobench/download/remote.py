"""Where files come from: a local folder, used in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from morphobench.download.manifests import inside
from morphobench.errors import InputError


class Store:
    """Files below a local folder.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def listing(self, under: str = "") -> pd.DataFrame:
        """List the files below a subfolder: columns name, size (bytes) and checksum (empty: unknown)."""
        paths = sorted(path for path in inside(self.folder, under or ".").rglob("*") if path.is_file())
        rows = [(path.relative_to(self.folder).as_posix(), path.stat().st_size, "") for path in paths]
        return pd.DataFrame(rows, columns=["name", "size", "checksum"])

    def fetch(
        self, names: Sequence[str], *, dataset: str, expected: Mapping[str, str] | None = None
    ) -> dict[str, Path]:
        """Return the local path of every name.

        Raises
        ------
        InputError
            When one is missing or leaves the folder, naming dataset, file and remedy.
        """
        paths = {}
        for name in names:
            try:
                path = inside(self.folder, name)
            except InputError as error:
                raise InputError(f"{dataset}: {error}") from error
            if not path.is_file():
                raise InputError(
                    f"{dataset}: {path}: no such file. Restore it, or mend the name in the dataset's yaml."
                )
            paths[name] = path
        return paths


def open_store(location: str, settings: Mapping[str, Any]) -> Store:
    """Open a place that files come from.

    Parameters
    ----------
    location
        A folder, or file:// and its path.
    settings
        Section `download` of the configuration.

    Raises
    ------
    InputError
        When there is no such folder.
    """
    parts = urlsplit(location)
    folder = Path(unquote(parts.path)) if parts.scheme == "file" else Path(location)
    if not folder.is_dir():
        raise InputError(f"{location}: no such folder. Mend the location in the dataset's yaml.")
    return Store(folder)
