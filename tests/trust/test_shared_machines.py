"""Strangers on the same machine: no file of one user is touched for another; a cache is shared."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from harness.raw_server import head, raw_server
from harness.s3_server import SETTINGS
from harness.users import ALICE, BOB, LAB, as_user, public

from morphobench.errors import InputError
from morphobench.jobs import gpus
from morphobench.remote import cache, open_store

__all__ = ["public"]


@pytest.fixture
def strange_tmp(tmp_path, monkeypatch):
    """A place for temporary files that everybody writes to, without a runtime folder of the user."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(folder))
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda self: not str(self).startswith("/run/") and is_dir(self))
    monkeypatch.setattr(gpus, "_HELD", [])
    return folder


def test_a_link_in_the_place_of_a_lock_is_not_followed(strange_tmp, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = gpus.runtime_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "0.lock").symlink_to(victim)
    with pytest.raises(InputError, match="is no lock of this user"):
        gpus.reserve(1, ["0"], folder)
    assert victim.read_text() == "precious"


def test_what_lies_in_a_lock_stays(strange_tmp):
    folder = gpus.runtime_folder()
    (folder / "0.lock").write_text("precious")
    assert gpus.reserve(1, ["0"], folder) == ["0"]
    assert (folder / "0.lock").read_text() == "precious"
    assert gpus._lock(1, ["0", "1"], folder).keys() == {"1"}


def test_a_pipe_in_the_place_of_a_lock_does_not_stop_the_job(strange_tmp):
    folder = gpus.runtime_folder()
    os.mkfifo(folder / "0.lock")
    start = time.monotonic()
    gpus._lock(1, ["0"], folder)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("make", ["link", "open"])
def test_a_folder_of_locks_that_others_can_change_is_refused(make, strange_tmp, tmp_path):
    folder = strange_tmp / f"morphobench-gpus-{os.getuid()}"
    if make == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(InputError, match="not a folder of this user alone .* XDG_RUNTIME_DIR"):
        gpus.runtime_folder()


def test_a_folder_of_locks_of_a_stranger_is_refused(public, strange_tmp, monkeypatch):
    """The attack: the stranger makes the folder before its user, with links in it to what to empty."""
    victim = public / "victim"
    victim.write_text("precious")
    public.chmod(0o1777)
    folder = public / f"morphobench-gpus-{os.getuid()}"

    def attack():
        folder.mkdir()
        folder.chmod(0o777)
        for name in "0123":
            (folder / f"{name}.lock").symlink_to(victim)
        return "made"

    assert as_user(BOB, attack) == "made"
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(public))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(InputError, match=rf"owner {BOB}"):
        gpus.claim(1, "auto")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    with pytest.raises(InputError, match=rf"owner {BOB}"):
        gpus.claim(1, "auto")
    assert victim.read_text() == "precious"


BODY, NAMES = os.urandom(200_000), ["a/one", "a/two"]


def serve(request):
    start = int(request.headers.get("range", "bytes=0-")[6:].split("-")[0])
    told = {"ETag": '"v"', "Content_Length": len(BODY) - start}
    if not start:
        return [head(**told), b"" if request.method == "HEAD" else BODY]
    return [
        head("206 Partial Content", Content_Range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}", **told),
        BODY[start:],
    ]


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with raw_server(serve) as server:
        yield server


def fetching(server, folder, names=NAMES):
    def fetch():
        store = open_store(server.url, SETTINGS | {"cache": str(folder)})
        return [path.read_bytes() == BODY for path in store.fetch(names, dataset="toy").values()]

    return fetch


def shared_cache(public):
    folder = public / "cells"
    folder.mkdir()
    os.chown(folder, ALICE, LAB)
    folder.chmod(0o2770)
    return folder


def test_users_of_one_group_share_a_cache_whatever_their_umask(public, place):
    folder, server = shared_cache(public), place
    own = {"groups": [LAB], "umask": 0o077}
    assert as_user(ALICE, fetching(server, folder, NAMES[:1]), **own) == [True]
    part = cache.part_path(cache.cached_path(folder, server.url, NAMES[1], 'version:"v"'))

    def begin():
        with cache.locked_part(part.with_name(part.name.removesuffix(".part"))) as file:
            file.write(BODY[:70_000])
        return "begun"

    assert as_user(ALICE, begin, **own) == "begun"
    before = len(server.asked)
    # The other one takes what is there, and continues what was begun.
    assert as_user(BOB, fetching(server, folder), **own) == [True, True]
    ranges = [one.headers.get("range") for one in server.asked[before:] if one.method == "GET"]
    assert ranges == ["bytes=70000-"]
    for path in folder.rglob("*"):
        found = path.stat()
        assert found.st_gid == LAB
        assert stat.S_IMODE(found.st_mode) == (0o2770 if path.is_dir() else 0o660), path


def test_a_closed_cache_says_whose_it_is_and_what_to_do(public, place):
    folder = public / "cells"
    folder.mkdir()
    os.chown(folder, ALICE, ALICE)
    folder.chmod(0o700)
    assert as_user(ALICE, fetching(place, folder), umask=0o077) == [True, True]
    error = as_user(BOB, fetching(place, folder))
    assert isinstance(error, InputError), error
    assert f"belongs to user {ALICE}, drwx------" in str(error)
    assert "chmod -R g+rwX" in str(error)


def test_a_cache_whose_folders_alone_are_closed_says_so_too(public, place):
    folder = shared_cache(public)
    assert as_user(ALICE, fetching(place, folder), groups=[LAB]) == [True, True]
    inner = next(folder.iterdir())
    inner.chmod(0o700)
    error = as_user(BOB, fetching(place, folder), groups=[LAB])
    assert isinstance(error, InputError), error
    assert str(error).startswith(f"{inner}: is closed to this user (it belongs to user {ALICE}")


@pytest.mark.parametrize("kind", ["soft", "hard", "pipe"])
def test_a_part_that_is_a_link_is_refused(kind, public, place):
    """The attack: in the shared cache, another user puts a link to a file of the one who will fetch."""
    folder, victim = shared_cache(public), public / "victim"
    victim.write_bytes(b"precious")
    path = cache.cached_path(folder, place.url, NAMES[0], 'version:"v"')

    def attack():
        path.parent.mkdir(parents=True)
        if kind == "soft":
            cache.part_path(path).symlink_to(victim)
        elif kind == "pipe":
            os.mkfifo(cache.part_path(path))
        return "made"

    assert as_user(BOB, attack, groups=[LAB]) == "made"
    if kind == "hard":
        # Linux denies it to strangers; a file system may not.
        os.link(victim, cache.part_path(path))
    with pytest.raises(InputError, match="could not be written"):
        fetching(place, folder, NAMES[:1])()
    assert victim.read_bytes() == b"precious"
    assert subprocess.run(["test", "-f", path]).returncode == 1
