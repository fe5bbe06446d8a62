"""An object that touches a file when it is unpickled."""

from __future__ import annotations

from pathlib import Path


class Malice:
    """Unpickling an instance creates the file `mark`."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))
