"""What all places of files have in common, local or remote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from morphobench.download.remote.connections import FileError

COLUMNS = {"name": "object", "size": "int64", "checksum": "object"}
UNKNOWN_SIZE = -1


class Store(ABC):
    """Files at one location, by their names below it."""

    location: str

    @abstractmethod
    def listing(self, under: str = "") -> pd.DataFrame:
        """Return the files whose names begin with `under`: name, size (bytes), checksum ("" unknown)."""

    @abstractmethod
    def describe(self, names: Iterable[str], *, dataset: str) -> pd.DataFrame:
        """Return name, size (-1 unknown) and checksum of those of the names that are there."""

    @abstractmethod
    def check_space(self, described: pd.DataFrame, *, dataset: str) -> None:
        """Stop when the disk cannot hold the files of such a table that are not here yet."""

    @abstractmethod
    def fetch_each(
        self,
        names: Sequence[str],
        *,
        dataset: str,
        expected: Mapping[str, str] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> dict[str, Path | FileError]:
        """Bring files here; of each, return where it is, or why it alone cannot be had.

        Parameters
        ----------
        names
            Below the location; names that climb out of it are refused.
        dataset
            Name for messages.
        expected, sizes
            Checksums and bytes as they were listed. An object that is another by now stops everything;
            files that are here already are taken without asking. Without them each object is asked for its
            version first.

        Raises
        ------
        InputError
            When the server cannot be reached or denies, an object changed, or the disk is full.
        """

    def fetch(
        self, names: Sequence[str], *, dataset: str, expected: Mapping[str, str] | None = None
    ) -> dict[str, Path]:
        """Bring files here, all of them; see `fetch_each`.

        Raises
        ------
        InputError
            When one cannot be had, naming dataset, file and remedy; what came is kept.
        """
        found = self.fetch_each(names, dataset=dataset, expected=expected)
        for path in found.values():
            if isinstance(path, FileError):
                raise path
        return found
