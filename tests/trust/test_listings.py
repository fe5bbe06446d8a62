"""Only complete lists are complete: a server on loopback that answers with anything but a whole list."""

from __future__ import annotations

import tracemalloc
from urllib.parse import parse_qs, urlsplit

import pytest
from harness.raw_server import head, raw_server
from harness.s3_server import SETTINGS

from morphobench.download import index
from morphobench.errors import InputError
from morphobench.remote import open_store, s3
from morphobench.remote.connections import Transient

SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def contents(key, size="3", etag="&quot;0f&quot;"):
    return f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{etag}</ETag></Contents>"


def page(*keys, truncated="false", token="", root=f"ListBucketResult {SPACE}"):
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    inside = "".join(contents(f"set/{key}") for key in keys)
    name = root.partition(" ")[0]
    return (
        f"<?xml version='1.0'?><{root}><IsTruncated>{truncated}</IsTruncated>{inside}{more}</{name}>".encode()
    )


@pytest.fixture
def listing(tmp_path, monkeypatch):
    """List a bucket whose pages are made by a function of the token that is asked for."""

    def read(pages, **more):
        def answer(request):
            query = parse_qs(urlsplit(request.path).query)
            body = pages(query.get("continuation-token", [""])[0])
            return [head(Content_Length=len(body)), body]

        with raw_server(answer) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            store = open_store("s3://bucket/set", SETTINGS | {"cache": str(tmp_path)})
            return store.describe(["a/1", "a/2"], dataset="toy")

    return read


def test_a_whole_list_is_read(listing):
    pages = {"": page("a/1", truncated="true", token="x"), "x": page("a/2")}
    assert listing(pages.get)["name"].tolist() == ["a/1", "a/2"]
    without = page("a/1", "a/2", root="ListBucketResult")
    assert listing(lambda _: without)["size"].tolist() == [3, 3]


NO_LIST = {
    "an error with status 200": b"<Error><Code>SlowDown</Code></Error>",
    "a proxy's page": b"<html><head/><body><p>Please log in</p></body></html>",
    "no XML": b"<!DOCTYPE html><html><body><p>Please log in<br></body></html>",
    "nothing": b"",
    "another list": page("a/1", root="ListVersionsResult"),
    "a root that only ends like one": page("a/1", root="NoListBucketResult"),
    "cut off without a token": page("a/1", truncated="true"),
    "a key without a name": page("a/1").replace(b"Key>", b"Kye>"),
    "a page that is too large": page("a/1") + b" " * 9 * 2**20,
    "a page of many elements": page("a/1").replace(b"<Contents>", b"<a/>" * 60_000 + b"<Contents>"),
    "a page of deep elements": b"<ListBucketResult>" + b"<a>" * 60_000,
    "entities": b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>"
    + b"".join(b"<!ENTITY a%d '%s'>" % (i, b"&a%s;" % (b"%d" % (i - 1) if i else b"") * 10) for i in range(9))
    + b"]><ListBucketResult><Contents><Key>&a8;</Key><Size>1</Size></Contents></ListBucketResult>",
}


@pytest.mark.parametrize("case", NO_LIST)
def test_what_is_no_list_never_means_that_files_do_not_exist(case, listing):
    with pytest.raises(InputError, match="3 times in a row"):
        listing(lambda _: NO_LIST[case])


@pytest.mark.parametrize("case", NO_LIST)
def test_a_fault_that_passes_is_outlived(case, listing):
    answers = iter([NO_LIST[case]])
    assert listing(lambda _: next(answers, page("a/1", "a/2")))["name"].tolist() == ["a/1", "a/2"]


@pytest.mark.parametrize("tokens", [{"": "x", "x": "x"}, {"": "x", "x": "y", "y": "x"}])
def test_a_token_seen_before_is_a_fault(tokens, listing):
    with pytest.raises(InputError, match="begins again, 3 times in a row"):
        listing(lambda token: page("a/1", truncated="true", token=tokens[token]))


def test_an_index_of_a_broken_list_is_not_kept(tmp_path, monkeypatch):
    """A first run through a login page must not decide for the next one that no cell has a file."""
    table = b"CellId,crop_raw,crop_seg\nc1,a/1,a/2\n"
    answers = [NO_LIST["a proxy's page"]] * 3

    def answer(request):
        body = table if "list-type" not in request.path else answers.pop(0) if answers else page("a/1", "a/2")
        return [head(Content_Length=len(body), ETag='"v"'), b"" if request.method == "HEAD" else body]

    dataset = {"name": "toy", "kind": "punctate", "source": {"location": "s3://bucket/set", "cells": "t.csv"}}
    with raw_server(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        config = SETTINGS | {"cache": str(tmp_path / "cache")}
        out = tmp_path / "manifest.parquet"
        with pytest.raises(InputError, match="no list of objects but 'html'"):
            index.run(out, dataset=dataset, download_config=config)
        assert not out.exists()
        index.run(out, dataset=dataset, download_config=config)
    import pandas as pd

    assert pd.read_parquet(out)[["crop_raw_size", "crop_seg_size"]].to_numpy().tolist() == [[3, 3]]


@pytest.mark.parametrize("size", ["-5", "1" * 30, "1e3", "0x1F", "ten", "٣", "nan"])
def test_an_odd_size_is_an_unknown_one(size):
    body = f"<ListBucketResult>{contents('set/a', size)}{contents('set/b')}</ListBucketResult>"
    (_, odd, _), (_, good, _) = s3.parse_page(body.encode())[0]
    assert (odd, good) == (-1, 3)


def test_memory_stays_flat(listing):
    """Pages of a large bucket are not gathered, and one endless page is not read to its end."""

    def pages(token):
        number = int(token or 0)
        names = [f"b/{number}-{i:04}-{'x' * 200}" for i in range(500)]
        return page(*names, **({"truncated": "true", "token": str(number + 1)} if number < 40 else {}))

    tracemalloc.start()
    try:
        listing(pages)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 41 pages of 150 kB, read and parsed one by one.
    assert peak < 5e6
    with pytest.raises(Transient, match="elements on a page"):
        s3.parse_page(NO_LIST["a page of many elements"])
