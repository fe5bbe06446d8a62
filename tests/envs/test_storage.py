"""Results in a bucket, or on another file system: no rule assumes a path that jobs share beside the clone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from harness.clone import job_counts, make_clone

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
CELLS = "datasets={adrenal: {n_shards: 1, source: {max_cells: 4}}}"
MANIFEST = "results/sample/adrenal/manifest.parquet"
NOT_SHARED = ["--shared-fs-usage", "persistence", "software-deployment", "sources", "source-cache"]
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
pytestmark = pytest.mark.envs


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """The storage plugins, in a folder of their own: each start of Snakemake would import them."""
    folder = tmp_path_factory.mktemp("plugins")
    environment = dict(os.environ)
    if "PIP_CERT" in environment:
        environment.setdefault("SSL_CERT_FILE", environment["PIP_CERT"])
    command = [PROGRAMS / "uv", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run(
        [*command, "--requirement", HERE / "storage_requirements.txt"], check=True, env=environment
    )
    return folder


@pytest.fixture(scope="module")
def bucket():
    """A bucket on this machine: its address, and what is in it."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("needs moto, which requirements.lock.txt pins")
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([PROGRAMS / "moto_server", "-H", "127.0.0.1", "-p", str(port)])
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        names = dict(
            zip(("aws_access_key_id", "aws_secret_access_key", "region_name"), KEYS.values(), strict=True)
        )
        client = boto3.client("s3", endpoint_url=address, **names)
        client.create_bucket(Bucket="lab")
        yield (
            address,
            lambda: [item["Key"] for item in client.list_objects_v2(Bucket="lab").get("Contents", [])],
        )
    finally:
        server.terminate()
        server.wait()


def run(clone, plugins, *arguments, check=True):
    environment = {**os.environ, **KEYS, "PYTHONPATH": str(plugins)}
    command = [PROGRAMS / "snakemake", "--cores", "1", "--config", "scale=demo", CELLS, *arguments]
    done = subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert not check or done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def assert_only_the_scale_is_here(clone):
    assert [path.name for path in (clone / "results").rglob("*") if path.is_file()] == [".scale"]


def test_results_on_another_file_system(plugins, tmp_path):
    if shutil.which("rsync") is None:
        pytest.skip("the storage plugin fs needs rsync")
    clone = make_clone(tmp_path / "clone")
    (clone / "results/.gitkeep").unlink()
    store = tmp_path / "store"
    store.mkdir()
    options = ["--default-storage-provider", "fs", "--default-storage-prefix", str(store), *NOT_SHARED]
    assert job_counts(run(clone, plugins, "-n", *options, "--", "figures/fig2.pdf"))["plot_figure"] == 1
    run(clone, plugins, *options, "--", MANIFEST)
    assert len(pd.read_parquet(store / MANIFEST)) == 4
    assert_only_the_scale_is_here(clone)
    # What is in the store counts as made.
    assert job_counts(run(clone, plugins, "-n", *options, "--", MANIFEST)) == {}


def test_results_in_a_bucket(plugins, bucket, tmp_path):
    address, listing = bucket
    clone = make_clone(tmp_path / "clone")
    (clone / "results/.gitkeep").unlink()
    options = ["--default-storage-provider", "s3", "--default-storage-prefix", "s3://lab/run-1"]
    options += ["--storage-s3-endpoint-url", address, *NOT_SHARED]
    assert job_counts(run(clone, plugins, "-n", *options, "--", "figures/fig2.pdf"))["plot_figure"] == 1
    assert listing() == []
    run(clone, plugins, *options, "--", MANIFEST)
    assert f"run-1/{MANIFEST}" in listing()
    assert "run-1/results/mask/adrenal/shard-0/cells.parquet" in listing()
    assert_only_the_scale_is_here(clone)
    assert job_counts(run(clone, plugins, "-n", *options, "--", MANIFEST)) == {}
