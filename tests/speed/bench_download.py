"""How fast files are fetched and manifests indexed, and in how much memory; prints tables, tests nothing.

Objects come from servers on loopback: moto, a real S3 server but a slow one, whose process is the limit; and
`quick_s3`, a faster stand-in, without and with a wait before each answer, as over a distance. boto3 fetches
them one after another in the same run, from the same server. Every measurement has a fresh process.

Run from anywhere: python tests/speed/bench_download.py
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from quick_s3 import BUCKET, key

HERE = Path(__file__).parent
N_FILES, FILE_BYTES = 2000, 1_000_000
LATENCY_MS = 20
N_MANY, MANY_BYTES = 20_000, 1000
SETTINGS = {"connections": 16, "retries": 3, "timeout_s": 60, "backoff_s": 0.1}
N_ROWS, N_COLUMNS = 215_081, 40
N_WIDE_ROWS, N_WIDE_COLUMNS = 20_000, 4447
LOCATION = f"s3://{BUCKET}/set"


def peak_mb() -> float:
    """Return the largest memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def with_boto3(how: str, n: int) -> dict:
    """Fetch objects one after another."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    client = boto3.client("s3", config=Config(signature_version=UNSIGNED), region_name="us-east-1")
    with tempfile.TemporaryDirectory() as folder:
        start, busy = time.perf_counter(), time.process_time()
        for number in range(n):
            path = f"{folder}/{number}"
            if how == "download_file":
                client.download_file(BUCKET, key(number), path)
            else:
                Path(path).write_bytes(client.get_object(Bucket=BUCKET, Key=key(number))["Body"].read())
        cpu_s = time.process_time() - busy
        return {"seconds": time.perf_counter() - start, "cpu_s": cpu_s, "peak_mb": peak_mb()}


def with_ours(n: int) -> dict:
    """List the prefix, and fetch and verify all of it."""
    from morphobench.remote import open_store

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(LOCATION, SETTINGS | {"cache": folder})
        start = time.perf_counter()
        table = store.listing()
        listed_s, start, busy = time.perf_counter() - start, time.perf_counter(), time.process_time()
        assert len(table) == n
        paths = store.fetch_each(
            list(table["name"]),
            dataset="bench",
            expected=dict(zip(table["name"], table["checksum"], strict=True)),
            sizes=dict(zip(table["name"], table["size"].tolist(), strict=True)),
        )
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - busy
        assert all(isinstance(path, Path) for path in paths.values())
        return {"seconds": seconds, "cpu_s": cpu_s, "listed_s": listed_s, "peak_mb": peak_mb()}


def index_cells(table: str, location: str) -> dict:
    """Index a manifest: read the rows and columns that are needed, find the crops in the bucket's list."""
    import pandas as pd

    from morphobench.download import crops, index
    from morphobench.remote import open_store

    source = {"cells": table, "location": location}
    start = time.perf_counter()
    dataset = {"name": "bench", "kind": "punctate", "source": source, "needs": {"dna_volume": "stratum"}}
    selected = crops.select(Path(table), dataset, optional=["dna_volume"])
    read_s = time.perf_counter() - start
    start = time.perf_counter()
    if location:
        store = open_store(location, SETTINGS | {"cache": str(Path(table).parent / "cache")})
        store.fetch = lambda names, dataset: {name: Path(name) for name in names}
        cells, found = index.index_cells(store, dataset)
        assert len(found) == 2 * len(cells)
        assert isinstance(cells, pd.DataFrame)
    whole_s = time.perf_counter() - start
    return {"rows": len(selected), "read_s": read_s, "indexed_s": whole_s, "peak_mb": peak_mb()}


def fresh(port: int, *arguments: object) -> dict:
    """Measure in a process of its own, against the server at a port."""
    proxies = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    there = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), *map(str, arguments)]
    done = subprocess.run(
        command, env=os.environ | proxies | there, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


@contextlib.contextmanager
def quick_server(n: int, n_bytes: int, latency_ms: int) -> Iterator[int]:
    """Run the stand-in; yield its port."""
    command = [sys.executable, str(HERE / "quick_s3.py"), str(n), str(n_bytes), str(latency_ms)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()


@contextlib.contextmanager
def moto_server(n: int, n_bytes: int) -> Iterator[int]:
    """Run moto with objects in it; yield its port."""
    import boto3

    sys.path.insert(0, str(HERE.parent))
    from harness.s3_server import s3_server

    with s3_server(max_keys=1000) as port:
        url = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "owner", "aws_secret_access_key": "owner", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=url, **keys)
        client.create_bucket(Bucket=BUCKET, ACL="public-read-write")
        body = os.urandom(n_bytes)
        for number in range(n):
            client.put_object(Bucket=BUCKET, Key=key(number), Body=body, ACL="public-read")
        yield port


def compare(title: str, port: int, n: int) -> None:
    """Print how fast each way is from one server, and what the client computes for a file."""
    print(f"\n{title}; load {os.getloadavg()[0]:.1f}")
    ways = {
        "ours, 16 at a time, verified": "ours",
        "boto3 download_file, one after another": "download_file",
        "boto3 get_object, one after another": "get_object",
    }
    told = {name: fresh(port, way, n) for name, way in ways.items()}
    ours_s = told["ours, 16 at a time, verified"]["seconds"]
    for name, one in told.items():
        rate, cpu_ms = n / one["seconds"], one["cpu_s"] / n * 1e3
        line = f"{rate:8.1f} files/s {cpu_ms:6.1f} ms of CPU a file {one['peak_mb']:6.0f} MB"
        print(f"  {name:40}{line}   ours is {one['seconds'] / ours_s:.1f} times as fast", flush=True)


def parts(port: int, n: int) -> None:
    """Print where the CPU seconds of a file go: what no client with checksums can do without."""
    import urllib3

    body, pool = os.urandom(FILE_BYTES), urllib3.PoolManager()

    def receive(number: int) -> None:
        url = f"http://127.0.0.1:{port}/{BUCKET}/{key(number)}"
        with pool.request("GET", url, preload_content=False) as response:
            while response.read(2**17):
                pass

    with tempfile.TemporaryDirectory() as folder:
        known = {
            "MD5 sum": lambda number: hashlib.md5(body),
            "receive": receive,
            "write": lambda number: Path(folder, str(number)).write_bytes(body),
        }
        for name, work in known.items():
            busy = time.process_time()
            for number in range(n):
                work(number)
            print(f"  {name:40}{(time.process_time() - busy) / n * 1e3:25.2f} ms of CPU a file", flush=True)


def write_manifest(path: Path, n_rows: int, n_columns: int) -> None:
    """Write a manifest whose crops are the objects of the stand-in."""
    others = [f"feature_{i}" for i in range(n_columns - 6)]
    fill = [f"{i * 0.123456:.6f}" for i in range(len(others))]
    names = str({"crop_raw": ["dna", "membrane", "structure"], "crop_seg": ["dna_segmentation"]})
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["CellId", "structure_name", *others, "crop_raw", "crop_seg", "name_dict", "dna_volume"]
        )
        for row in range(n_rows):
            crops = (key(2 * row + part).removeprefix("set/") for part in (0, 1))
            writer.writerow([row, "SON", *fill, *crops, names, row / 7])


def indexing(folder: Path) -> None:
    """Print how long manifests take and how much memory."""
    print("\nIndexing a manifest, needed columns only")
    for n_rows, n_columns in ((N_ROWS, N_COLUMNS), (N_WIDE_ROWS, N_WIDE_COLUMNS)):
        table = folder / f"{n_columns}.csv"
        write_manifest(table, n_rows, n_columns)
        size = f"{n_rows} rows x {n_columns} columns, {table.stat().st_size / 1e6:.0f} MB"
        told = fresh(0, "index", table, "")
        print(f"  {size:48}{told['read_s']:7.2f} s {told['peak_mb']:6.0f} MB")
        with quick_server(2 * n_rows, 1, 0) as port:
            told = fresh(port, "index", table, LOCATION)
        more = f"  with a list of {2 * n_rows} objects"
        print(f"  {more:48}{told['indexed_s']:7.2f} s {told['peak_mb']:6.0f} MB")
        table.unlink()


def main() -> None:
    """Print the tables."""
    print(f"{os.cpu_count()} cores for client and server; load before: {os.getloadavg()[0]:.1f}")
    size = f"{N_FILES} files of {FILE_BYTES / 1e6:g} MB"
    with moto_server(N_FILES, FILE_BYTES) as port:
        compare(f"{size}, from moto", port, N_FILES)
    for latency_ms in (0, LATENCY_MS):
        with quick_server(N_FILES, FILE_BYTES, latency_ms) as port:
            compare(f"{size}, from the stand-in, {latency_ms} ms before each answer", port, N_FILES)
            if not latency_ms:
                parts(port, N_FILES // 10)
    with quick_server(N_MANY, MANY_BYTES, 0) as port:
        told = fresh(port, "ours", N_MANY)
    rate = N_MANY / told["seconds"]
    print(f"\n{N_MANY} files of {MANY_BYTES / 1e3:g} kB, ours: {rate:.0f} files/s, {told['peak_mb']:.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        indexing(Path(folder))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "index":
        print(json.dumps(index_cells(*sys.argv[2:])))
    else:
        n_asked = int(sys.argv[2])
        print(json.dumps(with_ours(n_asked) if sys.argv[1] == "ours" else with_boto3(sys.argv[1], n_asked)))
