"""Patience and progress, without any server."""

from __future__ import annotations

import logging
import threading

import pytest

from morphobench.errors import InputError
from morphobench.remote import transfer as module
from morphobench.remote.connections import Transient
from morphobench.remote.transfer import Progress, Stopped, Transfer

SETTINGS = {"connections": 3, "retries": 4, "timeout_s": 1, "backoff_s": 1.0}


@pytest.fixture
def patient(monkeypatch):
    """A transfer whose waits are written down instead of waited."""
    transfer, waits = Transfer(SETTINGS, "toy"), []
    monkeypatch.setattr(transfer._stop, "wait", lambda seconds: waits.append(seconds))
    return transfer, waits


def failing(n, **more):
    left = [n]

    def work():
        left[0] -= 1
        if left[0] >= 0:
            raise Transient("no answer", **more)
        return "done"

    return work


def test_each_wait_is_twice_as_long_and_none_is_like_another(patient):
    transfer, waits = patient
    assert transfer.retry("url", failing(4)) == "done"
    for number, wait in enumerate(waits):
        assert 2**number / 2 <= wait <= 2**number
    assert transfer.retry("url", failing(4)) == "done"
    assert len(set(waits)) == 8


def test_after_too_many_failures_the_reason_is_told(patient):
    transfer, waits = patient
    with pytest.raises(InputError, match="toy: url: no answer, 5 times in a row"):
        transfer.retry("url", failing(5))
    assert len(waits) == 4


def test_a_server_may_ask_for_a_longer_wait_but_not_for_an_endless_one(patient):
    transfer, waits = patient
    transfer.retry("url", failing(1, retry_after_s=7.0))
    transfer.retry("url", failing(1, retry_after_s=1e6))
    assert waits == [7.0, 60.0]


def test_no_more_is_done_at_once_than_there_are_connections():
    transfer, lock, now, most, done = Transfer(SETTINGS, "toy"), threading.Lock(), [0], [0], []

    def work(item):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.01)
        with lock:
            now[0] -= 1
            done.append(item)

    transfer.each(work, range(20))
    assert sorted(done) == list(range(20))
    assert most[0] == 3


def test_the_first_failure_ends_all_and_the_rest_is_not_begun():
    transfer, begun = Transfer(SETTINGS, "toy"), []

    def work(item):
        begun.append(item)
        if item == 5:
            raise InputError("five")
        transfer._wait("url", 1, Transient("no answer"))

    with pytest.raises(InputError, match="five"):
        transfer.each(lambda item: work(item) if item > 2 else None, range(1000))
    assert len(begun) < 10
    with pytest.raises(Stopped):
        transfer._wait("url", 1, Transient("no answer"))


def test_progress_tells_files_bytes_rate_and_time_left(caplog, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    with caplog.at_level(logging.INFO, "morphobench"):
        told = Progress("toy", 4, 4_000_000_000)
        for _ in range(4):
            clock[0] += 4
            told.add(1_000_000_000, files=1)
    first, last = caplog.messages
    assert first.endswith("2 of 4 files, 2.000 of 4.000 GB, 250.0 MB/s, 8 s left")
    assert "[##########..........]" in first
    assert last.endswith("4 of 4 files, 4.000 of 4.000 GB, 250.0 MB/s, 0 s left")
