"""Checksums of files as text, from what a source says of an object, and their verification.

===========================  ============================================================================
``sha256:<hex>``             of the whole file (quilt, older packages)
``sha2-256-chunked:<b64>``   SHA-256 of the SHA-256 of chunks (quilt)
``crc64nvme:<b64>``          CRC-64/NVME (quilt)
``etag:<32 hex>``            S3, uploaded in one piece: the file's MD5
``etag:<32 hex>-<n>``        S3, uploaded in n parts: MD5 of the MD5 of each
``version:<text>``           web servers: names a version and says nothing of its bytes
===========================  ============================================================================
"""

import base64
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path

_MIB = 2**20
# What `verified` returns for a checksum of the whole file.
CHECKSUM = "checksum"
# Sizes of parts that S3 clients use; the AWS tools and quilt take the first.
_PARTS = tuple(_MIB * size for size in (8, 5, 16, 15, 10, 32, 64, 100, 128, 256, 512))
_QUILT_CHUNK, _QUILT_MAX_CHUNKS = 8 * _MIB, 10_000


def from_etag(etag: str) -> str:
    """Return the checksum in an ETag of S3; empty when there is none."""
    etag = etag.strip('"')
    return f"etag:{etag}" if etag else ""


def from_quilt(entry: Mapping[str, str] | None) -> str:
    """Return the checksum in a quilt entry's hash, {type, value}; empty when there is none."""
    return f"{entry['type'].lower()}:{entry['value']}" if entry else ""


def from_web(headers: Mapping[str, str]) -> str:
    """Return the version in the headers of a web server; empty when there is none."""
    version = headers.get("ETag") or headers.get("Last-Modified")
    return f"version:{version}" if version else ""


def verified(path: Path, checksum: str, *, is_md5: bool = True) -> str:
    """Return what proves a file of the right size against its checksum; empty when its bytes are wrong.

    `is_md5` says whether ETags of S3 are made of MD5 sums; those of objects under KMS keys are not.
    """
    kind, _, value = checksum.partition(":")
    if kind == "etag" and is_md5 and (parts := re.fullmatch(r"([0-9a-f]{32})-(\d{1,5})", value)):
        return _by_parts(path, parts[1], int(parts[2]))
    if kind == "sha256":
        is_right = _whole(path, "sha256").hex() == value
    elif kind in ("sha2-256-chunked", "crc64nvme"):
        digest = _crc64nvme(path) if kind == "crc64nvme" else _sha256_chunked(path)
        is_right = base64.b64encode(digest).decode() == value
    elif kind == "etag" and is_md5 and re.fullmatch(r"[0-9a-f]{32}", value):
        is_right = _whole(path, "md5").hex() == value
    else:
        return "size alone"
    return CHECKSUM if is_right else ""


def _by_parts(path: Path, md5: str, count: int) -> str:
    # The size of the parts is unknown: a usual one that gives the sum proves the file, none proves nothing.
    size = path.stat().st_size
    for part in (part for part in _PARTS if math.ceil(size / part) == count):
        if _in_pieces(path, part, "md5").hex() == md5:
            return f"size and parts of {part // _MIB} MiB"
    return "size alone, for its parts have no usual size"


def is_strong(checksum: str) -> bool:
    """Return whether a checksum stands for the same bytes wherever it is met: parts of such a file fit."""
    return bool(checksum) and not checksum.startswith(("version:W/", "etag:W/"))


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(size):
            yield block


def _whole(path: Path, name: str) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).digest()


def _in_pieces(path: Path, piece: int, name: str) -> bytes:
    sums = [hashlib.new(name, block, usedforsecurity=False).digest() for block in _blocks(path, piece)]
    return hashlib.new(name, b"".join(sums), usedforsecurity=False).digest()


def _sha256_chunked(path: Path) -> bytes:
    chunk = _QUILT_CHUNK
    while path.stat().st_size > chunk * _QUILT_MAX_CHUNKS:
        chunk *= 2
    return _in_pieces(path, chunk, "sha256")


def _crc64nvme(path: Path) -> bytes:
    from awscrt.checksums import crc64nvme

    return reduce(lambda crc, block: crc64nvme(block, crc), _blocks(path, _MIB), 0).to_bytes(8, "big")
