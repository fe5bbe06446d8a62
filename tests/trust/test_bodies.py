"""Only whole bodies are kept: a server on loopback that lies about lengths, ranges and versions."""

from __future__ import annotations

import hashlib
import logging
import re

import pytest
from harness.raw_server import chunked, head, raw_server
from harness.s3_server import SETTINGS

from morphobench.errors import InputError
from morphobench.remote import cache, open_store
from morphobench.remote.connections import FileError

BODY = bytes(range(256)) * 40
OTHER = BODY[::-1]
NAME = "a/cell.tif"
MD5 = f'"{hashlib.md5(BODY).hexdigest()}"'
MULTI = '"0123456789abcdef0123456789abcdef-2"'


def etag(quoted):
    return f"etag:{quoted.strip(chr(34))}"


LISTED, SIZE = etag(MD5), len(BODY)


@pytest.fixture(autouse=True)
def near(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def attack(tmp_path, monkeypatch):
    """Fetch a listed object from a server that answers so; return what is there then, and the server."""

    def fetch(answer, checksum=LISTED, size=SIZE, scheme="s3"):
        with raw_server(answer) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            location = "s3://bucket/set" if scheme == "s3" else f"{server.url}/set"
            store = open_store(location, SETTINGS | {"cache": str(tmp_path / "cache")})
            known = {"expected": {NAME: checksum}, "sizes": {NAME: size}} if size is not None else {}
            return store.fetch_each([NAME], dataset="toy", **known)[NAME], server

    return fetch


def kept(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".part"]


def gets(server):
    return [one for one in server.asked if one.method == "GET"]


# What a server may send in place of a body of 10,240 bytes, and what is said of it.
BROKEN = {
    "cut, no length": ([head(ETag=MULTI), BODY[:3000]], "3000 of 10240 bytes"),
    "cut between chunks": (
        [head(ETag=MULTI, Transfer_Encoding="chunked"), chunked(BODY[:3000])],
        "3000 of 10240 bytes",
    ),
    "longer, no length": ([head(ETag=MULTI), BODY + b"x"], "longer than"),
    "no content": ([head("204 No Content", ETag=MULTI)], "answers 204"),
    "accepted": ([head("202 Accepted", ETag=MULTI, Content_Length=len(BODY)), BODY], "answers 202"),
    "unasked part": (
        [head("206 Partial Content", ETag=MULTI, Content_Range="bytes 0-10239/99999"), BODY],
        "answers 206",
    ),
    "odd length": ([head(ETag=MULTI, Content_Length="ten"), BODY[:3000]], "3000 of 10240 bytes"),
    "negative length": ([head(ETag=MULTI, Content_Length=-5), BODY[:3000]], "3000 of 10240 bytes"),
    "two lengths": ([head(ETag=MULTI, Content_Length="10240, 3000"), BODY[:3000]], "Content-Length"),
}


def test_a_connection_that_always_breaks_in_a_chunk_ends_the_job(attack, tmp_path):
    pieces = [head(ETag=MULTI, Transfer_Encoding="chunked"), chunked(BODY[:3000], ends=False)]
    with pytest.raises(InputError, match="the connection broke, 3 times in a row"):
        attack(lambda _: pieces, etag(MULTI))
    assert kept(tmp_path) == []


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_whole_body_fails_the_file_and_is_not_kept(case, attack, tmp_path):
    pieces, words = BROKEN[case]
    found, server = attack(lambda _: pieces, etag(MULTI))
    assert isinstance(found, FileError), found
    assert re.search(words, str(found)), found
    assert len(gets(server)) == SETTINGS["retries"] + 1
    assert kept(tmp_path) == []


@pytest.mark.parametrize("case", BROKEN)
def test_a_server_that_does_so_once_is_outlived(case, attack):
    pieces, _ = BROKEN[case]

    def answer(request):
        # Whole, or the rest that is asked for.
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        if len(tries) == 0:
            tries.append(request)
            return pieces
        whole = head(ETag=MULTI, Content_Length=len(BODY))
        rest = {"Content_Range": f"bytes {start}-10239/10240", "Content_Length": len(BODY) - start}
        return [head("206 Partial Content", ETag=MULTI, **rest) if start else whole, BODY[start:]]

    tries = []
    found, _ = attack(answer, etag(MULTI))
    assert found.read_bytes() == BODY


def test_an_endless_body_stops_at_the_listed_size(attack, tmp_path):
    sent = []

    def answer(_):
        yield head(ETag=MULTI)
        while len(sent) < 1000:
            sent.append(1)
            yield bytes(2**20)

    found, _ = attack(answer, etag(MULTI))
    assert "longer than" in str(found)
    assert len(sent) < 100
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.part")) <= len(BODY)


def resuming(content_range, rest, **headers):
    """Send 4,000 bytes of one version; of a request for the rest, answer with this range and these bytes."""

    def answer(request):
        if request.method == "HEAD":
            return [head(**headers)]
        if "range" not in request.headers:
            return [head(**headers), BODY[:4000]] if len(asked) == 0 and not asked.append(1) else [whole]
        return [head("206 Partial Content", Content_Range=content_range, **headers), rest]

    asked, whole = [], head(Content_Length=len(OTHER), **headers) + OTHER
    return answer


@pytest.mark.parametrize(
    ("content_range", "rest"),
    [
        ("bytes 4001-10239/10240", BODY[4001:]),
        ("bytes 4000-9999/10240", BODY[4000:10000]),
        ("bytes 4000-10239/20480", BODY[4000:]),
        ("bytes 0-10239/10240", BODY),
        ("lines 4000-10239/10240", BODY[4000:]),
        ("", BODY[4000:]),
    ],
)
def test_only_the_range_that_was_asked_for_is_taken(content_range, rest, attack):
    found, _ = attack(resuming(content_range, rest, ETag=MULTI), etag(MULTI))
    assert found.read_bytes() == OTHER


def test_an_object_without_a_version_is_fetched_anew_never_resumed(attack):
    found, server = attack(resuming("bytes 4000-10239/10240", OTHER[4000:]), "", size=len(BODY))
    assert found.read_bytes() == OTHER
    assert [one.headers.get("range") for one in gets(server)] == [None, None]


def test_a_rest_that_names_no_version_is_not_joined_to_a_listed_one(attack):
    def answer(request):
        if "range" in request.headers:
            return [head("206 Partial Content", Content_Range="bytes 4000-10239/10240"), OTHER[4000:]]
        return [head(ETag=MULTI), BODY[:4000]] if len(gone) == 0 and not gone.append(1) else [head() + BODY]

    gone = []
    found, _ = attack(answer, etag(MULTI))
    assert found.read_bytes() == BODY


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_a_web_server_that_tells_no_length_is_believed_only_where_an_end_can_be_seen(size, attack, tmp_path):
    def answer(request):
        told = {} if size is None else {"Content_Length": size}
        if request.method == "HEAD":
            return [head(Last_Modified="Fri, 27 Nov 2026 10:00:00 GMT", **told)]
        return [head(Last_Modified="Fri, 27 Nov 2026 10:00:00 GMT"), BODY]

    found, _ = attack(answer, size=None, scheme="http")
    if size is None:
        assert "tells no length" in str(found)
        assert kept(tmp_path) == []
    else:
        assert found.read_bytes() == BODY


def test_chunks_of_an_unknown_length_have_an_end(attack):
    def answer(request):
        ends = head(ETag='"v1"', Transfer_Encoding="chunked")
        return [ends] if request.method == "HEAD" else [ends, chunked(BODY[:5000], BODY[5000:])]

    found, _ = attack(answer, size=None, scheme="http")
    assert found.read_bytes() == BODY


@pytest.mark.parametrize("length", ["ten", "-3", "1" * 30, "5, 6", "٣", ""])
def test_an_odd_length_of_a_head_is_a_reason_not_a_crash(length, attack):
    def answer(request):
        first = (
            f'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n'.encode()
        )
        return [first] if request.method == "HEAD" else [head(ETag='"v"'), BODY]

    try:
        found, _ = attack(answer, size=None, scheme="http")
    except InputError as error:
        found = error
    assert isinstance(found, InputError), found


@pytest.mark.parametrize(
    "when", ["soon", "-7", "1" * 40, "1" * 5000, "nan", "Fri, 99 Nov 9999 99:99:99 GMT", "٣", "1.5"]
)
def test_an_odd_time_of_the_next_try_is_no_time(when, attack, monkeypatch):
    monkeypatch.setattr("morphobench.remote.transfer._LONGEST_WAIT_S", 0.1)

    def answer(_):
        if len(tries) == 0:
            tries.append(1)
            line = (
                f"HTTP/1.1 503 Busy\r\nRetry-After: {when}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return [line.encode()]
        return [head(ETag=MD5, Content_Length=len(BODY)), BODY]

    tries = []
    found, _ = attack(answer)
    assert found.read_bytes() == BODY


def parts_etag(size):
    sums = b"".join(hashlib.md5(LARGE[i : i + size]).digest() for i in range(0, len(LARGE), size))
    return f'"{hashlib.md5(sums).hexdigest()}-{-(-len(LARGE) // size)}"'


LARGE = bytes(9 * 2**20)


@pytest.mark.parametrize(
    ("part", "words"), [(8 * 2**20, "size and parts of 8 MiB"), (5_500_000, "size alone")]
)
def test_the_log_says_how_parts_were_verified(part, words, attack, caplog):
    tag = parts_etag(part)
    with caplog.at_level(logging.INFO, "morphobench"):
        found, _ = attack(lambda _: [head(ETag=tag), LARGE], etag(tag), len(LARGE))
    assert found.stat().st_size == len(LARGE)
    assert words in caplog.text


def test_a_part_file_of_nobodys_version_is_not_continued(attack, tmp_path):
    path = cache.cached_path(tmp_path / "cache", "s3://bucket/set", NAME, "")
    path.parent.mkdir(parents=True)
    cache.part_path(path).write_bytes(OTHER[:4000])
    found, _ = attack(lambda _: [head(), BODY], "", len(BODY))
    assert found.read_bytes() == BODY


@pytest.mark.parametrize(
    "pieces",
    [
        [head("206 Partial Content", Content_Range="bytes 5-104/10240"), BODY[5:105]],
        [head("206 Partial Content", Content_Range="bytes 0-99/*"), BODY[:100]],
        [head("206 Partial Content"), BODY],
        [head("206 Partial Content", Content_Range="bytes 0-65535/99999999"), BODY],
        [head("204 No Content")],
        [head(Content_Length=99), BODY[:50]],
        [head(), *[bytes(2**20)] * 70],
    ],
)
def test_a_part_is_the_part_that_was_asked_for(pieces, tmp_path):
    with raw_server(lambda _: pieces) as server:
        store = open_store(server.url, SETTINGS | {"cache": str(tmp_path)})
        with pytest.raises(InputError):
            store.open(NAME, dataset="toy", limit=2**20).read(100)


def test_a_part_that_does_not_end_is_cut(tmp_path):
    endless = [head("206 Partial Content", Content_Range="bytes 0-65535/99999999"), *[bytes(2**20)] * 500]
    with raw_server(lambda _: endless) as server:
        store = open_store(server.url, SETTINGS | {"cache": str(tmp_path)})
        assert store.open(NAME, dataset="toy", limit=2**20).read(100) == bytes(100)
