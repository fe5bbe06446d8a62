"""A server on loopback that answers with the bytes it is given, correct or not."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass
class Request:
    """Method, path with its query, and headers in small letters."""

    method: str
    path: str
    headers: dict[str, str]


# What is sent for a request, piece by piece, before the connection is closed.
Answer = Callable[[Request], Iterable[bytes]]


@dataclass
class RawServer:
    """Answers each request by the function of the moment, and notes the requests."""

    answer: Answer
    asked: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                first = self.rfile.readline().decode().split()
                if len(first) < 2:
                    return
                lines = iter(lambda: self.rfile.readline().decode().strip(), "")
                pairs = (line.split(":", 1) for line in lines)
                headers = {name.lower(): value.strip() for name, value in pairs}
                request = Request(first[0], first[1], headers)
                server.asked.append(request)
                with contextlib.suppress(OSError):
                    for piece in server.answer(request):
                        self.wfile.write(piece)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address = True, True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def raw_server(answer: Answer) -> Iterator[RawServer]:
    """Run a server; close it in the end."""
    server = RawServer(answer)
    try:
        yield server
    finally:
        server.close()


def head(status: str = "200 OK", **headers: object) -> bytes:
    """Return the first lines of an answer; underscores in names of headers stand for dashes."""
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(*pieces: bytes, ends: bool = True) -> bytes:
    """Return a body in chunks; without `ends` its last, empty one is missing."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return body + (b"0\r\n\r\n" if ends else b"")
