"""Several processes fetch into one cache and are killed at random: every file is whole in the end."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import time

from harness.raw_server import head, raw_server
from harness.s3_server import SETTINGS

from morphobench.remote import open_store

BODIES = {f"a/{number}": random.Random(number).randbytes(60_000 + number) for number in range(12)}


def slowly(request):
    """Send a body in small pieces, from where it is asked for."""
    body = BODIES[request.path.removeprefix("/")]
    start = int(request.headers.get("range", "bytes=0-")[6:].split("-")[0])
    told = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', "Content_Length": len(body) - start}
    if start:
        yield head("206 Partial Content", Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", **told)
    else:
        yield head(**told)
    for offset in range(start, len(body) if request.method == "GET" else 0, 6000):
        yield body[offset : offset + 6000]
        time.sleep(0.004)


def test_three_processes_on_one_cache_with_random_kills(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    rng, context = random.Random(3), multiprocessing.get_context("fork")
    with raw_server(slowly) as server:

        def fetch():
            store = open_store(server.url, SETTINGS | {"cache": str(tmp_path / "cache"), "timeout_s": 20})
            return store.fetch(list(BODIES), dataset="toy")

        def start():
            process = context.Process(target=fetch)
            process.start()
            return process

        running, kills = [start() for _ in range(3)], 0
        until = time.monotonic() + 20
        while kills < 6 and time.monotonic() < until:
            time.sleep(rng.uniform(0.02, 0.1))
            victim = rng.randrange(3)
            running[victim].kill()
            running[victim].join()
            kills += running[victim].exitcode == -9
            running[victim] = start()
        for process in running:
            process.join(30)
        assert [process.exitcode for process in running] == [0, 0, 0]
        before = len(server.asked)
        paths = fetch()
        # Their versions are asked for; no byte is.
        assert {one.method for one in server.asked[before:]} == {"HEAD"}
    assert kills
    assert {name: path.read_bytes() for name, path in paths.items()} == BODIES
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(left) == sorted(paths.values())
    whole = [one for one in server.asked if one.method == "GET" and "range" not in one.headers]
    assert len(whole) <= len(BODIES) + 3 * 4 * (kills + 1)
    assert os.listdir(tmp_path) == ["cache"]
