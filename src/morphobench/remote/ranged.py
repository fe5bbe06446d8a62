"""Parts of a remote file, read as from a file: a header costs one request, not the whole file."""

import io
from collections.abc import Callable

from morphobench.errors import InputError

_FIRST_BYTES, _MOST_BYTES_AT_ONCE = 2**16, 2**22
# Takes where a part starts and its length; returns its bytes, fewer at the end, and the size of the file.
ReadRange = Callable[[int, int], tuple[bytes, int]]


class RangedFile(io.RawIOBase):
    """A file read by ranges, each asked for once; those that follow one another double in length.

    `limit` bounds the bytes read in total; a read beyond is an InputError.
    """

    def __init__(self, name: str, read_range: ReadRange, limit: int) -> None:
        self.name, self._read_range, self._limit = name, read_range, limit
        self._parts: list[tuple[int, bytes]] = []
        self._position, self._next_bytes, self.bytes_read = 0, _FIRST_BYTES, 0
        self._fetch(0, 1)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; no byte is asked for."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        """Read at the position; see `io.RawIOBase`."""
        n_bytes = max(0, min(len(buffer), self.size - self._position))
        if not n_bytes:
            return 0
        start, body = self._part() or self._fetch(self._position, n_bytes)
        offset = self._position - start
        read = body[offset : offset + n_bytes]
        buffer[: len(read)] = read
        self._position += len(read)
        return len(read)

    def _part(self) -> tuple[int, bytes] | None:
        """Return the part that holds the position."""
        held = ((start, body) for start, body in self._parts if 0 <= self._position - start < len(body))
        return next(held, None)

    def _fetch(self, start: int, n_bytes: int) -> tuple[int, bytes]:
        follows = self._parts and start == self._parts[-1][0] + len(self._parts[-1][1])
        self._next_bytes = min(2 * self._next_bytes, _MOST_BYTES_AT_ONCE) if follows else _FIRST_BYTES
        length = max(n_bytes, self._next_bytes)
        if self.bytes_read + length > self._limit:
            length = n_bytes
        if self.bytes_read + length > self._limit:
            read = f"more than {self._limit / 1e6:g} MB would have to be read"
            raise InputError(f"{self.name}: {read} to tell what it holds. Is it the file that is meant?")
        body, self.size = self._read_range(start, length)
        self.bytes_read += len(body)
        if len(body) < min(n_bytes, self.size - start):
            raise InputError(
                f"{self.name}: {len(body)} bytes came for {n_bytes}. Run the same command again."
            )
        self._parts.append((start, body))
        return self._parts[-1]
