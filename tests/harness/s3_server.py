"""A real S3 server on loopback, and a proxy before it that breaks what goes through as it is asked to."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

BUCKET = "allencell"
SETTINGS = {"connections": 4, "retries": 2, "timeout_s": 1.0, "backoff_s": 0.001}
# Ends when the other end of its standard input does, however that ended.
_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
_PUBLIC = ("s3:HeadObject", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket")


@contextlib.contextmanager
def s3_server(max_keys: int = 7) -> Iterator[int]:
    """Run a server; yield its port. A listing has few keys on a page: tests see several pages."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": str(max_keys)},
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    pytest.importorskip("moto", reason="the S3 server of the tests (moto) is not installed")
    with s3_server() as port:
        yield port


@pytest.fixture
def away(server: int) -> Iterator[Away]:
    with open_away(server) as place:
        yield place


@contextlib.contextmanager
def open_away(port: int) -> Iterator[Away]:
    """Yield an empty public bucket, reached through the proxy, without an account."""
    proxy = FaultyProxy(port)
    place = Away(port, proxy)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield place
    proxy.close()


class Away:
    """A bucket with its owner's keys, and the proxy that everyone else comes through."""

    def __init__(self, port: int, proxy: FaultyProxy) -> None:
        import boto3

        self.port, self.proxy = port, proxy
        self.owner = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="owner",
            aws_secret_access_key="owner",
            region_name="us-east-1",
        )
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/moto-api/reset")
        assert connection.getresponse().status == 200
        connection.close()
        self.make_bucket(BUCKET)

    def make_bucket(self, name: str, public: bool = True) -> None:
        self.owner.create_bucket(Bucket=name)
        self.owner.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if public:
            everything = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
            allow = {"Effect": "Allow", "Principal": "*", "Action": list(_PUBLIC), "Resource": everything}
            policy = {"Version": "2012-10-17", "Statement": [allow]}
            self.owner.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))

    def put(self, objects: Mapping[str, bytes], bucket: str = BUCKET) -> None:
        for key, body in objects.items():
            self.owner.put_object(Bucket=bucket, Key=key, Body=body)

    def put_folder(self, folder: Path, prefix: str) -> None:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self.put({f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths})


@dataclass
class Asked:
    """A request that came to the proxy."""

    method: str
    path: str
    range: str


@dataclass
class Fault:
    """What happens to the next so many GET requests whose path has a text in it."""

    path: str
    do: Callable[[BaseHTTPRequestHandler, int, dict[str, str], bytes], None]
    times: int = 1


@dataclass
class FaultyProxy:
    """Hands requests on to a server, and notes them."""

    upstream: int
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy._serve(self)

            do_HEAD = do_GET
            # quilt3 pushes and pulls without the proxy; nothing else writes.

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._lock = threading.Lock()
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def gets(self, text: str = "") -> list[Asked]:
        return [one for one in self.asked if one.method == "GET" and text in one.path]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.asked.append(Asked(handler.command, handler.path, handler.headers.get("Range", "")))
            fault = next((f for f in self.faults if f.times > 0 and f.path in handler.path), None)
            if handler.command != "GET":
                fault = None
            if fault is not None:
                fault.times -= 1
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream)
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in ("host", "connection")}
        connection.request(handler.command, handler.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in ("connection", "server", "date")}
        connection.close()
        with contextlib.suppress(OSError):
            (fault.do if fault else whole)(handler, answer.status, kept, body)


def whole(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    _head(handler, status, headers)
    handler.wfile.write(body)


def refuse(handler: BaseHTTPRequestHandler, *_: object) -> None:
    """Break the connection without a word."""
    _reset(handler)


def drop(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    """Break the connection after half of the body."""
    _half(handler, status, headers, body)
    # The reader should have what was sent: a reset may throw it away.
    time.sleep(0.1)
    _reset(handler)


def truncate(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    """End politely after half of the body."""
    _half(handler, status, headers, body)


def shorten(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    """Give half of the body and say that it is all."""
    body = body[: len(body) // 2]
    whole(handler, status, _with_length(headers, len(body)), body)


def stall(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    """Fall silent after half of the body."""
    _half(handler, status, headers, body)
    time.sleep(3 * SETTINGS["timeout_s"])


def mute(handler: BaseHTTPRequestHandler, *_: object) -> None:
    """Take the request and never answer."""
    time.sleep(3 * SETTINGS["timeout_s"])


def delay(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    """Answer late, in time."""
    time.sleep(0.3 * SETTINGS["timeout_s"])
    whole(handler, status, headers, body)


def corrupt(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    """Turn over one bit in the middle."""
    middle = len(body) // 2
    whole(handler, status, headers, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])


def answer(status: int, **headers: str) -> Callable[..., None]:
    """Answer with this status instead."""

    def do(handler: BaseHTTPRequestHandler, *_: object) -> None:
        code = "AccessDenied" if status == 403 else "SlowDown"
        body = f"<Error><Code>{code}</Code></Error>".encode()
        whole(handler, status, _with_length(headers, len(body)), body)

    return do


def meanwhile(change: Callable[[], None], then: Callable[..., None] = drop) -> Callable[..., None]:
    """Let something happen to the source while half of the old body is on its way."""

    def do(handler: BaseHTTPRequestHandler, *rest: object) -> None:
        change()
        then(handler, *rest)

    return do


def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response_only(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True


def _half(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    _head(handler, status, headers)
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()


def _with_length(headers: Mapping[str, str], length: int) -> dict[str, str]:
    kept = {key: value for key, value in headers.items() if key.lower() != "content-length"}
    return kept | {"Content-Length": str(length)}


def _reset(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
