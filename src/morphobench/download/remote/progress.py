"""How far a download is, as lines of a log that several jobs share."""

from __future__ import annotations

import threading
import time

from morphobench.log import bar, logger

_EVERY_S = 5.0
_GB = 1e9


class Progress:
    """Counts files and bytes from many threads, and logs them with the rate and the time left.

    Parameters
    ----------
    dataset
        Name for the log.
    n_files
        Files to come.
    n_bytes
        Their bytes, as far as known; 0 when unknown.
    """

    def __init__(self, dataset: str, n_files: int, n_bytes: int) -> None:
        self._dataset, self._n_files, self._n_bytes = dataset, n_files, n_bytes
        self._files = self._bytes = 0
        self._lock = threading.Lock()
        self._start = self._said = time.monotonic()

    def add(self, n_bytes: int = 0, *, files: int = 0) -> None:
        """Count what came; every few seconds, and at the end, a line is logged."""
        with self._lock:
            self._bytes += n_bytes
            self._files += files
            now = time.monotonic()
            if now - self._said < _EVERY_S and not (files and self._files == self._n_files):
                return
            self._said = now
            logger.info("download: %s %s", self._dataset, self._line(now - self._start))

    def _line(self, seconds: float) -> str:
        rate = self._bytes / max(seconds, 1e-9)
        files = f"{self._files} of {self._n_files} files, {self._bytes / _GB:.3f}"
        if not self._n_bytes:
            return f"{bar(self._files, self._n_files)} {files} GB, {rate / 1e6:.1f} MB/s"
        left_s = max(self._n_bytes - self._bytes, 0) / max(rate, 1.0)
        shown = bar(min(self._bytes, self._n_bytes), self._n_bytes)
        return f"{shown} {files} of {self._n_bytes / _GB:.3f} GB, {rate / 1e6:.1f} MB/s, {left_s:.0f} s left"
