"""Files in a folder of this machine, used in place."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.remote.connections import FileError
from morphobench.remote.store import COLUMNS, Store


class Folder(Store):
    """Files in a folder, used in place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.location = folder, str(folder)

    def listing(self, under: str = "") -> pd.DataFrame:
        """List the files whose names begin with `under`."""
        self._check()
        paths = (Path(where) / name for where, _, names in os.walk(self.folder) for name in names)
        rows = [(path.relative_to(self.folder).as_posix(), path.stat().st_size, "") for path in paths]
        rows = sorted(row for row in rows if row[0].startswith(under))
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    def describe(self, names: Iterable[str], *, dataset: str) -> pd.DataFrame:
        """Return name, size and checksum of those of the names that exist."""
        paths = self._paths(names)
        rows = [(name, path.stat().st_size, "") for name, path in paths.items() if path.is_file()]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    def check_space(self, described: pd.DataFrame, *, dataset: str) -> None:
        """Do nothing: no file is copied."""

    def fetch_each(self, names: Sequence[str], *, dataset: str, **_: object) -> dict[str, Path | FileError]:
        """Return each file's path, or why it cannot be used."""
        reason = "no such file. Restore it, or mend or remove its row in the manifest."
        return {
            name: path if path.is_file() else FileError(f"{dataset}: {path}: {reason}")
            for name, path in self._paths(names).items()
        }

    def _paths(self, names: Iterable[str]) -> dict[str, Path]:
        self._check()
        return {name: self.folder / manifests.name_inside(self.location, name) for name in names}

    def _check(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder. Mend source.location.")
