"""Parts of remote files: the right bytes, few requests, never more than allowed, whatever the server does."""

from __future__ import annotations

import io
import os
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from harness import s3_server
from harness.s3_server import BUCKET, SETTINGS, Fault, away, server

from morphobench.errors import InputError
from morphobench.remote import open_store
from morphobench.remote.connections import FileError
from morphobench.remote.ranged import RangedFile

__all__ = ["away", "server"]

BODY = os.urandom(700_000)


def ranged(body=BODY, limit=10**7):
    return RangedFile("toy", lambda start, length: (body[start : start + length], len(body)), limit)


@pytest.mark.parametrize("seed", range(5))
def test_any_reads_give_the_bytes_of_the_file(seed):
    rng = random.Random(seed)
    here, there = io.BytesIO(BODY), io.BufferedReader(ranged())
    for _ in range(30):
        position, length = rng.randrange(len(BODY) + 1000), rng.choice([1, 100, 70_000, 300_000])
        whence = rng.choice([io.SEEK_SET, io.SEEK_END])
        offset = position if whence == io.SEEK_SET else -min(position, len(BODY))
        assert there.seek(offset, whence) == here.seek(offset, whence)
        assert there.read(length) == here.read(length)


def test_no_byte_is_asked_for_twice_and_none_beyond_the_limit():
    asked = []

    def read_range(start, length):
        asked.append((start, length))
        return BODY[start : start + length], len(BODY)

    def read(start, length):
        file.seek(start)
        return file.read(length)

    file = io.BufferedReader(RangedFile("toy", read_range, limit=200_000))
    for _ in range(3):
        assert read(0, 50_000) == BODY[:50_000]
    assert len(asked) == 1
    with pytest.raises(InputError, match=r"toy: more than 0.2 MB"):
        read(0, 300_000)
    assert sum(length for _, length in asked) <= 200_000


@pytest.fixture
def store(away, tmp_path):
    away.put({"set/a.tif": BODY, "set/empty.csv": b""})
    return open_store(f"s3://{BUCKET}/set", SETTINGS | {"cache": str(tmp_path / "cache")})


def test_a_bucket_is_read_in_parts_and_nothing_is_kept(store, away, tmp_path):
    file = store.open("a.tif", dataset="toy", limit=10**6)
    file.seek(-100, io.SEEK_END)
    assert (file.raw.size, file.read()) == (len(BODY), BODY[-100:])
    assert [one.range.split("-")[0] for one in away.proxy.gets("a.tif")] == [
        "bytes=0",
        f"bytes={len(BODY) - 100}",
    ]
    assert file.raw.bytes_read < 70_000
    assert not list((tmp_path / "cache").rglob("*-a.tif"))
    assert store.open("empty.csv", dataset="toy", limit=10).read() == b""
    with pytest.raises(FileError, match=r"no such object"):
        store.open("none", dataset="toy", limit=10)


@pytest.mark.parametrize("fault", [s3_server.drop, s3_server.stall, s3_server.answer(503)])
def test_a_passing_fault_is_outlived(fault, store, away):
    away.proxy.faults = [Fault("a.tif", fault)]
    assert store.open("a.tif", dataset="toy", limit=10**6).read(1000) == BODY[:1000]


def test_sizes_are_those_of_single_files_without_a_list(store, away, tmp_path):
    sizes = store.sizes(["a.tif", "none"], dataset="toy")
    assert sizes["a.tif"] == len(BODY)
    assert isinstance(sizes["none"], FileError)
    assert not away.proxy.gets("list-type")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a").write_bytes(b"abc")
    local = open_store(str(tmp_path / "here"), SETTINGS | {"cache": None})
    assert local.sizes(["a"], dataset="toy") == {"a": 3}
    assert local.open("a", dataset="toy", limit=1).read() == b"abc"


class _Whole(BaseHTTPRequestHandler):
    """A server that knows no ranges."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_without_ranges_is_read_from_the_start(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Whole)
    threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    location = f"http://127.0.0.1:{web.server_address[1]}"
    file = open_store(location, SETTINGS | {"cache": str(tmp_path)}).open("a.tif", dataset="toy", limit=10**6)
    file.seek(300_000)
    assert file.read(10) == BODY[300_000:300_010]
    web.shutdown()
    web.server_close()
