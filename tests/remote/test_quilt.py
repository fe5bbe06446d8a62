"""Quilt packages in a real registry: browsed, listed, fetched by name, verified by their own hashes."""

from __future__ import annotations

import importlib.util
import os

import pytest
from harness import quilt, s3_server
from harness.s3_server import BUCKET, SETTINGS, Fault, away, server

from morphobench.errors import InputError
from morphobench.remote import checksums, open_store
from morphobench.remote.connections import FileError

__all__ = ["away", "server"]

# Not imported here: it reads its settings when it is.
pytestmark = pytest.mark.skipif(importlib.util.find_spec("quilt3") is None, reason="quilt3 is not installed")
NAME = "aics/toy"
BODIES = {f"crops/cell {i}.tif": os.urandom(30_000 + i) for i in range(4)} | {"metadata.csv": b"CellId\n1\n"}


@pytest.fixture
def push(away, tmp_path):
    """Push a package of these bodies by their names; return the hash of the version."""

    def do(bodies):
        places = {name: tmp_path / "package" / name for name in bodies}
        for name, body in bodies.items():
            places[name].parent.mkdir(parents=True, exist_ok=True)
            places[name].write_bytes(body)
        return quilt.push(away, NAME, places, tmp_path / "home")

    return do


def at(tmp_path, version=""):
    location = f"quilt+s3://{BUCKET}#package={NAME}{version}"
    return open_store(location, SETTINGS | {"cache": str(tmp_path / "cache")})


def test_a_package_is_browsed_filtered_fetched_and_verified(push, away, tmp_path):
    push(BODIES)
    store = at(tmp_path)
    table = store.listing("crops/")
    assert table["name"].tolist() == sorted(name for name in BODIES if name != "metadata.csv")
    assert table["size"].tolist() == [30_000, 30_001, 30_002, 30_003]
    assert table["checksum"].str.startswith("sha2-256-chunked:").all()
    before = len(away.proxy.asked)
    wanted = ["crops/cell 1.tif", "crops/cell 3.tif"]
    paths = store.fetch(
        wanted, dataset="toy", expected=dict(zip(table["name"], table["checksum"], strict=True))
    )
    assert {name: path.read_bytes() for name, path in paths.items()} == {
        name: BODIES[name] for name in wanted
    }
    assert [one.method for one in away.proxy.asked[before:]] == ["GET", "GET"]
    with pytest.raises(FileError, match=r"has no file none.*at its top are metadata\.csv"):
        store.fetch(["none"], dataset="toy")

    away.proxy.faults = [Fault("cell%202", s3_server.corrupt)]
    assert (
        store.fetch(["crops/cell 2.tif"], dataset="toy")["crops/cell 2.tif"].read_bytes()
        == BODIES["crops/cell 2.tif"]
    )
    away.proxy.faults = [Fault("cell%200", s3_server.corrupt, times=99)]
    with pytest.raises(FileError, match="do not have the checksum sha2-256-chunked"):
        store.fetch(["crops/cell 0.tif"], dataset="toy")


@pytest.mark.long
def test_a_version_is_kept_to_and_another_one_is_reported(push, away, tmp_path):
    name, new = "crops/cell 0.tif", os.urandom(100)
    first = push(BODIES)
    known = dict(at(tmp_path).listing()[["name", "checksum"]].itertuples(index=False))
    assert push({name: new}) != first
    with pytest.raises(InputError, match=r"toy: crops/cell 0.tif changed in quilt.*manifest\.parquet"):
        at(tmp_path).fetch([name], dataset="toy", expected=known)
    assert at(tmp_path).fetch([name], dataset="toy")[name].read_bytes() == new
    before = len(away.proxy.asked)
    kept = at(tmp_path, f"@{first}").fetch([name], dataset="toy", expected=known)
    assert kept[name].read_bytes() == BODIES[name]
    # The list of a version that is named by its hash is in the cache.
    assert [one.method for one in away.proxy.asked[before:]] == ["GET"]


def test_a_package_that_is_not_there_is_named(away, tmp_path):
    with pytest.raises(InputError, match=rf"package={NAME}: the package cannot be read .*Check bucket"):
        at(tmp_path).listing()


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20 - 1, 8 * 2**20, 20 * 2**20 + 1])
@pytest.mark.parametrize("kind", ["sha2-256-chunked", "CRC64NVME"])
def test_checksums_are_those_of_quilt(kind, size, tmp_path):
    from quilt3.checksums import calculate_multipart_checksum_bytes

    path = tmp_path / "a"
    path.write_bytes(body := os.urandom(size))
    told = {"type": kind, "value": calculate_multipart_checksum_bytes(body, checksum_type=kind)}
    assert checksums.verified(path, checksums.from_quilt(told)) == checksums.CHECKSUM
    path.write_bytes(body + b"x")
    assert checksums.verified(path, checksums.from_quilt(told)) == ""


def test_checksums_of_objects_uploaded_in_pieces(away, tmp_path):
    body = os.urandom(11 * 2**20)
    for piece in (5, 8):
        path = tmp_path / "a"
        path.write_bytes(body)
        from boto3.s3.transfer import TransferConfig

        size = piece * 2**20
        settings = TransferConfig(multipart_threshold=size, multipart_chunksize=size)
        away.owner.upload_file(str(path), BUCKET, "big", Config=settings)
        etag = away.owner.head_object(Bucket=BUCKET, Key="big")["ETag"]
        assert etag.strip('"').partition("-")[2] == str(-(-11 // piece))
        assert checksums.verified(path, checksums.from_etag(etag)).startswith("size and parts of ")
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        assert checksums.verified(path, checksums.from_etag(etag)).startswith("size alone")


def test_what_a_checksum_does_not_tell(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a")
    for told in ("", "version:today", "etag:opaque"):
        assert checksums.verified(path, told) == "size alone"
    assert checksums.verified(path, "etag:" + "0" * 32) == ""
    assert checksums.verified(path, "etag:" + "0" * 32, is_md5=False) == "size alone"
