"""Files are fetched from a real S3 server through a network that breaks: no wrong byte, nothing twice."""

from __future__ import annotations

import email.utils
import hashlib
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness import s3_server
from harness.s3_server import BUCKET, SETTINGS, Fault, away, server

from morphobench.errors import InputError
from morphobench.remote import cache, open_store, s3
from morphobench.remote.connections import FileError, Transient

__all__ = ["away", "server"]

LOCATION = f"s3://{BUCKET}/set"
BODIES = {f"crop_raw/cell {i}+ü.tif": os.urandom(50_000 + i) for i in range(5)}
VICTIM = "crop_raw/cell 2+ü.tif"
IN_URL = "cell%202"


@pytest.fixture
def bucket(away):
    away.put({f"set/{name}": body for name, body in BODIES.items()})
    return away


@pytest.fixture
def store(tmp_path):
    return open_store(LOCATION, SETTINGS | {"cache": str(tmp_path / "cache")})


def listed(store):
    table = store.listing("crop_raw/").set_index("name")
    return {"expected": table["checksum"].to_dict(), "sizes": table["size"].to_dict()}


def fetch(store, names=tuple(BODIES), **known):
    return store.fetch_each(list(names), dataset="toy", **known)


def finals(tmp_path):
    return {
        p.name.partition("-")[2]: p
        for p in (tmp_path / "cache").rglob("*")
        if p.is_file() and p.suffix != ".part"
    }


def test_a_listing_has_every_page_with_sizes_and_checksums(away, store):
    away.put(
        {f"set/a/{i:02}": bytes(i) for i in range(20)} | {"set/b": b"b", "settle/c": b"c", "set/a/": b""}
    )
    table = store.listing("a/")
    assert table["name"].tolist() == [f"a/{i:02}" for i in range(20)]
    assert table["size"].tolist() == list(range(20))
    assert table["checksum"][3] == f"etag:{hashlib.md5(bytes(3)).hexdigest()}"
    assert len(away.proxy.gets("list-type")) == 3
    assert set(store.listing()["name"]) == {*table["name"], "b"}


def test_names_in_a_listing_are_read_as_amazon_writes_them():
    page = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
    <Contents><Key>set/a+b%2Bc%C3%BC</Key><Size>3</Size><ETag>&quot;0f-2&quot;</ETag></Contents>
    <Contents><Key>set/folder/</Key><Size>0</Size></Contents>
    <NextContinuationToken>more</NextContinuationToken></ListBucketResult>"""
    assert s3.parse_page(page.encode()) == ([("set/a b+cü", 3, "etag:0f-2")], "more")
    for torn in (page[:200], page.replace("Size", "Sise")):
        with pytest.raises(Transient, match="torn"):
            s3.parse_page(torn.encode())


def test_files_come_once_and_are_found_again_without_a_request(bucket, store, tmp_path):
    known = listed(store)
    before = len(bucket.proxy.asked)
    paths = fetch(store, **known)
    assert {name: path.read_bytes() for name, path in paths.items()} == BODIES
    assert len(bucket.proxy.asked) - before == len(BODIES)
    assert paths[VICTIM].name.endswith("-cell 2+ü.tif")
    again = open_store(LOCATION, SETTINGS | {"cache": str(tmp_path / "cache")})
    assert fetch(again, **known) == paths
    assert len(bucket.proxy.asked) - before == len(BODIES)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_what_was_not_listed_is_asked_for_its_version(bucket, store, caplog):
    first = fetch(store, [VICTIM])[VICTIM]
    assert [one.method for one in bucket.proxy.asked] == ["HEAD", "GET"]
    assert fetch(store, [VICTIM])[VICTIM] == first
    assert [one.method for one in bucket.proxy.asked] == ["HEAD", "GET", "HEAD"]
    bucket.put({f"set/{VICTIM}": b"another"})
    second = fetch(store, [VICTIM])[VICTIM]
    assert (first.read_bytes(), second.read_bytes()) == (BODIES[VICTIM], b"another")
    assert "changed since it was fetched before" in caplog.text


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (s3_server.refuse, 2),
        (s3_server.drop, 2),
        (s3_server.truncate, 2),
        (s3_server.stall, 2),
        (s3_server.mute, 2),
        (s3_server.corrupt, 2),
        (s3_server.delay, 1),
        (s3_server.answer(503), 2),
        (s3_server.answer(429), 2),
        (s3_server.answer(500), 2),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_passing_fault_is_outlived(fault, requests, bucket, store, tmp_path):
    known = listed(store)
    bucket.proxy.faults = [Fault(IN_URL, fault)]
    paths = fetch(store, **known)
    assert {name: path.read_bytes() for name, path in paths.items()} == BODIES
    assert len(bucket.proxy.gets("/crop_raw/")) == len(BODIES) - 1 + requests
    assert len(bucket.proxy.gets(IN_URL)) == requests
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.parametrize("fault", [s3_server.drop, s3_server.truncate, s3_server.stall])
def test_half_a_file_is_continued_not_fetched_again(fault, bucket, store):
    known = listed(store)
    bucket.proxy.faults = [Fault(IN_URL, fault)]
    fetch(store, **known)
    assert [one.range for one in bucket.proxy.gets(IN_URL)] == ["", f"bytes={len(BODIES[VICTIM]) // 2}-"]


def test_a_server_may_name_the_time_of_the_next_try(bucket, store, caplog):
    known = listed(store)
    when = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    bucket.proxy.faults = [Fault(IN_URL, s3_server.answer(503, **{"Retry-After": when}))]
    with caplog.at_level(logging.INFO, "morphobench"):
        fetch(store, [VICTIM], **known)
    assert re.search(r"the server answers 503; next try in [123]\.\d s", caplog.text)


def test_failures_that_bring_bytes_are_no_reason_to_give_up(bucket, store):
    known = listed(store)
    bucket.proxy.faults = [Fault(IN_URL, s3_server.drop, times=3 * SETTINGS["retries"])]
    assert fetch(store, **known)[VICTIM].read_bytes() == BODIES[VICTIM]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (s3_server.refuse, "3 times in a row"),
        (s3_server.mute, "no bytes in time, 3 times in a row"),
        (s3_server.answer(503), "the server answers 503, 3 times in a row"),
        (s3_server.answer(403), "access denied"),
        (s3_server.shorten, "changed: .* 25001 bytes"),
        (s3_server.answer(418), "the server answers 418"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_lasting_fault_is_explained_and_a_new_run_continues(fault, words, bucket, store, tmp_path):
    known = listed(store)
    bucket.proxy.faults = [Fault(IN_URL, fault, times=99)]
    with pytest.raises(InputError, match=f"^toy: .*{IN_URL}.*{words}") as raised:
        fetch(store, **known)
    assert not isinstance(raised.value, FileError)
    kept = finals(tmp_path)
    assert "cell 2+ü.tif" not in kept
    for name, path in kept.items():
        assert path.read_bytes() == BODIES[f"crop_raw/{name}"]
    bucket.proxy.faults, before = [], len(bucket.proxy.gets(IN_URL))
    paths = fetch(store, **known)
    assert {name: path.read_bytes() for name, path in paths.items()} == BODIES
    assert len(bucket.proxy.gets(IN_URL)) - before == 1
    # What was under way when the job ended is continued: no byte of the others is asked for twice.
    others = [(one.path, one.range) for one in bucket.proxy.gets("/crop_raw/") if IN_URL not in one.path]
    assert len(others) == len(set(others))


def test_wrong_bytes_every_time_fail_that_file_alone(bucket, store, tmp_path):
    known = listed(store)
    bucket.proxy.faults = [Fault(IN_URL, s3_server.corrupt, times=99)]
    found = fetch(store, **known)
    assert isinstance(found[VICTIM], FileError)
    assert "do not have the checksum etag:" in str(found[VICTIM])
    assert len(bucket.proxy.gets(IN_URL)) == SETTINGS["retries"] + 1
    assert "cell 2+ü.tif" not in finals(tmp_path)
    assert all(found[name].read_bytes() == body for name, body in BODIES.items() if name != VICTIM)
    with pytest.raises(FileError, match="do not have the checksum"):
        store.fetch(list(BODIES), dataset="toy", expected=known["expected"])


@pytest.mark.parametrize("new", [os.urandom(len(BODIES[VICTIM])), b"short", os.urandom(90_000)])
def test_an_object_that_changes_on_its_way_is_reported_and_not_mixed(new, bucket, store, tmp_path):
    known = listed(store)
    change = s3_server.meanwhile(lambda: bucket.put({f"set/{VICTIM}": new}))
    bucket.proxy.faults = [Fault(IN_URL, change)]
    with pytest.raises(InputError, match=r"changed.*manifest\.parquet"):
        fetch(store, **known)
    assert "cell 2+ü.tif" not in finals(tmp_path)
    # Listed again, the new version comes whole, though half of the old one lies there.
    assert fetch(store, **listed(store))[VICTIM].read_bytes() == new


def test_an_object_that_changed_after_it_was_listed_is_reported(bucket, store):
    known = listed(store)
    bucket.put({f"set/{VICTIM}": os.urandom(len(BODIES[VICTIM]))})
    with pytest.raises(InputError, match=r"toy: .*cell%202.* changed: 50002 bytes, etag:"):
        fetch(store, **known)


def test_a_missing_object_fails_alone(bucket, store):
    known = listed(store)
    bucket.owner.delete_object(Bucket=BUCKET, Key=f"set/{VICTIM}")
    found = fetch(store, **known)
    assert isinstance(found[VICTIM], FileError)
    assert "no such object" in str(found[VICTIM])
    assert sum(isinstance(path, Path) for path in found.values()) == 4
    with pytest.raises(InputError, match="toy: .*none.* no such object"):
        store.fetch(["crop_raw/none"], dataset="toy")


def test_a_wrong_bucket_a_wrong_prefix_and_a_closed_one_are_told_apart(away, tmp_path):
    away.make_bucket("closed", public=False)
    away.put({"set/a": b"a"}, bucket="closed")

    def at(location):
        return open_store(location, SETTINGS | {"cache": str(tmp_path)})

    with pytest.raises(InputError, match="/nowhere.*: no such bucket"):
        at("s3://nowhere/set").listing()
    with pytest.raises(InputError, match="holds nothing below"):
        at(f"s3://{BUCKET}/other").listing()
    # The server keeps objects from strangers, but not the list of them.
    away.proxy.faults = [Fault("list-type", s3_server.answer(403))]
    with pytest.raises(InputError, match=r"s3://closed/set: .*/closed.* access denied \(403\)"):
        at("s3://closed/set").listing()
    with pytest.raises(InputError, match=r"access denied \(403\)"):
        at("s3://closed/set").fetch(["a"], dataset="toy")
    with pytest.raises(InputError, match="no such bucket"):
        at("s3://nowhere/set").fetch_each(["a"], dataset="toy", expected={"a": "etag:0"})


def test_without_a_network_the_job_ends_soon(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    store = open_store(LOCATION, SETTINGS | {"cache": str(tmp_path)})
    for ask in (store.listing, lambda: store.fetch(["a"], dataset="toy")):
        with pytest.raises(InputError, match="3 times in a row. Check the network"):
            ask()


@pytest.mark.parametrize("fault", [s3_server.drop, s3_server.answer(503), s3_server.truncate, s3_server.mute])
def test_a_listing_outlives_faults_too(fault, bucket, store):
    bucket.proxy.faults = [Fault("list-type", fault)]
    assert set(store.listing()["name"]) == set(BODIES)


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "", ".", "a\0b", None])
def test_names_that_climb_out_are_refused_before_any_request(name, bucket, store, tmp_path):
    folder = open_store(str(tmp_path), SETTINGS | {"cache": None})
    for place in (store, folder):
        with pytest.raises(InputError, match="leaves|names no file"):
            fetch(place, [VICTIM, name])
    assert bucket.proxy.asked == []


def test_a_full_disk_is_foreseen(bucket, store, monkeypatch):
    known = listed(store)
    usage = shutil.disk_usage("/")._replace(free=200_000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"toy: 0\.000 GB are needed in .*, 0\.000 GB are free"):
        fetch(store, **known)
    assert bucket.proxy.gets("/crop_raw/") == []


def test_space_is_checked_for_what_is_still_to_come(bucket, store, tmp_path, monkeypatch):
    table = store.listing()
    usage = shutil.disk_usage("/")._replace(free=200_000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="are needed"):
        store.check_space(table, dataset="toy")
    known = {"expected": table.set_index("name")["checksum"].to_dict()}
    for name in BODIES:
        fetch(store, [name], **known)
    store.check_space(table, dataset="toy")
    (tmp_path / "file").write_text("")
    blocked = open_store(LOCATION, SETTINGS | {"cache": str(tmp_path / "file/cache")})
    with pytest.raises(InputError, match=r"file/cache: cannot hold .* Set download\.cache"):
        fetch(blocked, [VICTIM], **known)


def test_a_disk_that_fills_on_the_way_keeps_what_came(bucket, store):
    known = listed(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(InputError, match=r"toy: .* could not be written \(File too large\)"):
            fetch(store, [VICTIM], **known)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert fetch(store, [VICTIM], **known)[VICTIM].read_bytes() == BODIES[VICTIM]
    assert bucket.proxy.gets(IN_URL)[-1].range == "bytes=20000-"


def test_a_killed_process_leaves_a_part_that_the_next_one_continues(bucket, store, tmp_path):
    known = listed(store)
    bucket.proxy.faults = [Fault(IN_URL, s3_server.stall)]
    code = f"""
from morphobench.remote import open_store
store = open_store({LOCATION!r}, {SETTINGS | {"cache": str(tmp_path / "cache"), "timeout_s": 60}!r})
store.fetch({[VICTIM]!r}, dataset="toy", expected={known["expected"]!r})
"""
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"})
    until = time.monotonic() + 20
    half = len(BODIES[VICTIM]) // 2
    # Bytes in Python's buffer die with the process; those in the file stay.
    while not any(p.stat().st_size for p in (tmp_path / "cache").rglob("*.part")):
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.wait()
    kept = sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*.part"))
    assert 0 < kept <= half
    assert fetch(store, [VICTIM], **known)[VICTIM].read_bytes() == BODIES[VICTIM]
    assert bucket.proxy.gets(IN_URL)[-1].range == f"bytes={kept}-"


def test_two_at_once_fetch_a_file_once(bucket, tmp_path):
    stores = [open_store(LOCATION, SETTINGS | {"cache": str(tmp_path / "cache")}) for _ in range(4)]
    known = listed(stores[0])
    bucket.proxy.faults = [Fault(IN_URL, s3_server.delay)]
    threads = [threading.Thread(target=fetch, args=(store, [VICTIM]), kwargs=known) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bucket.proxy.gets(IN_URL)) == 1
    assert [path.read_bytes() for path in finals(tmp_path).values()] == [BODIES[VICTIM]]
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_file_cut_short_in_the_cache_is_fetched_again(bucket, store):
    known = listed(store)
    path = fetch(store, [VICTIM], **known)[VICTIM]
    path.write_bytes(b"")
    assert fetch(store, [VICTIM], **known)[VICTIM].read_bytes() == BODIES[VICTIM]


def test_a_part_of_an_older_run_that_is_too_long_or_wrong_does_no_harm(bucket, store, tmp_path):
    known = listed(store)
    path = cache.cached_path(tmp_path / "cache", LOCATION, VICTIM, known["expected"][VICTIM])
    path.parent.mkdir(parents=True)
    for left in (b"x" * 60_000, b"x" * 1000):
        cache.part_path(path).write_bytes(left)
        assert fetch(store, [VICTIM], **known)[VICTIM].read_bytes() == BODIES[VICTIM]
        path.unlink()


def test_a_web_server_is_fetched_from_by_name(bucket, tmp_path):
    bucket.put({"set/a/b c.txt": b"text"})
    location = f"http://127.0.0.1:{bucket.proxy.port}/{BUCKET}/set/"
    web = open_store(location, SETTINGS | {"cache": str(tmp_path / "cache")})
    path = web.fetch(["a/b c.txt"], dataset="toy")["a/b c.txt"]
    assert path.read_bytes() == b"text"
    assert web.fetch(["./a/b c.txt"], dataset="toy")["./a/b c.txt"] == path
    assert len(bucket.proxy.gets("b%20c")) == 1
    with pytest.raises(InputError, match="cannot be listed"):
        web.listing()
    assert web.describe(["a/b c.txt"], dataset="toy").iloc[0].tolist() == ["a/b c.txt", -1, ""]


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_is_used_in_place(form, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(b"123")
    folder = open_store(form.format(tmp_path), SETTINGS | {"cache": None})
    assert folder.listing("a").iloc[0].tolist() == ["a/x", 3, ""]
    assert folder.fetch(["a/x"], dataset="toy") == {"a/x": tmp_path / "a/x"}
    assert folder.describe(["a/x", "a/y"], dataset="toy")["name"].tolist() == ["a/x"]
    with pytest.raises(InputError, match="toy: .*a/y: no such file"):
        folder.fetch(["a/y"], dataset="toy")


@pytest.mark.parametrize("location", ["ftp://host/path", "s3://", "quilt+s3://b#package=x", "gs://b/p"])
def test_a_location_of_another_form_is_refused(location):
    with pytest.raises(InputError, match="Write |Mend source.location"):
        open_store(location, SETTINGS | {"cache": None})
