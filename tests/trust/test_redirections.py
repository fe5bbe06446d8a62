"""A public place cannot send its readers to addresses of their own machine; a place that is there can."""

from __future__ import annotations

import pytest
from harness.raw_server import head, raw_server
from harness.s3_server import SETTINGS

from morphobench.errors import InputError
from morphobench.remote import open_store
from morphobench.remote.connections import FileError

BODY = b"secret of this machine"
NEAR = ["127.0.0.1", "localhost", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433"]
LINK_LOCAL = ["169.254.169.254", "[fe80::1]"]


@pytest.fixture
def inside():
    """What listens on loopback, as a notebook or a database would."""
    whole = head(ETag='"v"', Content_Length=len(BODY))
    with raw_server(lambda request: [whole, b"" if request.method == "HEAD" else BODY]) as server:
        yield server


def fetch(location, tmp_path):
    store = open_store(location, SETTINGS | {"cache": str(tmp_path / "cache")})
    return store.fetch_each(["a"], dataset="toy")["a"]


def sending_to(target):
    return lambda _: [head("302 Found", Location=target, Content_Length=0)]


@pytest.mark.parametrize("host", NEAR + LINK_LOCAL)
def test_a_public_place_does_not_lead_to_this_machine(host, inside, tmp_path, monkeypatch):
    target = f"http://{host}:{inside.port}/a"
    # The proxy stands for the way into the world; the name behind it is not known here.
    with raw_server(sending_to(target)) as world:
        monkeypatch.setenv("http_proxy", world.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        found = fetch("http://cells.invalid/set", tmp_path)
    assert isinstance(found, FileError)
    assert "an address of this machine; that is not followed" in str(found)
    assert inside.asked == []
    assert not list((tmp_path / "cache").rglob("*a"))


def test_not_even_by_way_of_another_public_place(inside, tmp_path, monkeypatch):
    def answer(request):
        near = f"http://127.0.0.1:{inside.port}/a"
        return sending_to(near if "other" in request.path else "http://other.invalid/a")(request)

    with raw_server(answer) as world:
        monkeypatch.setenv("http_proxy", world.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert "not followed" in str(fetch("http://cells.invalid/set", tmp_path))
    assert len(world.asked) == 2
    assert inside.asked == []


def test_a_place_on_this_machine_may_lead_to_another_there(inside, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with raw_server(sending_to(f"{inside.url}/a")) as place:
        assert fetch(place.url, tmp_path).read_bytes() == BODY


def test_a_circle_of_redirections_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with raw_server(sending_to("/again")) as place, pytest.raises(InputError, match="redirected more than 5"):
        fetch(place.url, tmp_path)
    assert len(place.asked) == 6 * (SETTINGS["retries"] + 1)


@pytest.mark.parametrize("target", ["ftp://host/a", "file:///etc/passwd", "http://[", "//", ""])
def test_a_target_that_is_no_web_address_is_a_reason(target, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with raw_server(sending_to(target)) as place:
        try:
            found = fetch(place.url, tmp_path)
        except InputError as error:
            found = error
    assert str(found).startswith("toy: ")
