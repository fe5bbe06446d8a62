"""A server that answers GET, HEAD and listings of made-up S3 objects as fast as one process of Python can.

It stands where a real S3 server would be the slowest part of a measurement, and can wait before each answer
as a distant one does. Every object of a set has the same bytes.

Run by bench_download.py: python quick_s3.py N_OBJECTS OBJECT_BYTES LATENCY_MS
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 1000
BUCKET = "bench"


def key(number: int) -> str:
    """Return the key of an object: raw and segmented crops by turns, in the order of their names."""
    return f"set/files/{number:07}.bin"


class Answers(asyncio.Protocol):
    """One connection, kept open."""

    n_objects, body, etag, latency_s = 0, b"", "", 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Keep the way back."""
        self._transport, self._text = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request, now or later."""
        self._text += data
        while b"\r\n\r\n" in self._text:
            head, _, self._text = self._text.partition(b"\r\n\r\n")
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            if self.latency_s:
                asyncio.get_running_loop().call_later(self.latency_s, self._answer, method, path)
            else:
                self._answer(method, path)

    def _answer(self, method: str, path: str) -> None:
        parts = urlsplit(path)
        listed = "list-type" in parts.query
        body = self._page(parse_qs(parts.query)) if listed else self.body
        head = (
            f'HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nETag: "{self.etag}"\r\n'
            "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n"
            f"Content-Type: {'application/xml' if listed else 'binary/octet-stream'}\r\n\r\n"
        )
        self._transport.write(head.encode())
        if method == "GET":
            self._transport.write(body)

    def _page(self, asked: dict[str, list[str]]) -> bytes:
        first = int(asked.get("continuation-token", ["0"])[0])
        last = min(first + PAGE, self.n_objects)
        wanted = unquote(asked["prefix"][0])
        rows = "".join(
            f"<Contents><Key>{key(i)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{self.etag}&quot;</ETag><Size>{len(self.body)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for i in range(first, last)
            if key(i).startswith(wanted)
        )
        more = last < self.n_objects
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        ).encode()


async def main() -> None:
    """Serve until standard input ends."""
    n_objects, n_bytes, latency_ms = map(int, sys.argv[1:])
    Answers.n_objects, Answers.latency_s = n_objects, latency_ms / 1e3
    Answers.body = os.urandom(n_bytes)
    Answers.etag = hashlib.md5(Answers.body).hexdigest()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answers, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
