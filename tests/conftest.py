"""What several test files share and what takes minutes to make."""

import signal
import sys
import time
from pathlib import Path

import pytest
from harness.clone import make_clone
from harness.demo import engines, make_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A clone in which `make demo` was killed while it trained, then run to its end."""
    if not list(Path(sys.prefix).glob(".ready-*")):
        pytest.skip("needs the environment that `make setup` makes: run `make test`")
    folder = make_clone(tmp_path_factory.mktemp("demo") / "morphobench")
    (folder / ".venv").symlink_to(sys.prefix)
    first = make_demo(folder)
    deadline = time.monotonic() + 300
    while not list(folder.glob("results/train/*/*/seed-*/checkpoints/*/last.ckpt")):
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline, "no training checkpoint appeared"
        time.sleep(0.5)
    for process in engines(folder):
        process.send_signal(signal.SIGKILL)
    first.communicate()
    assert first.returncode != 0
    assert not (folder / "figures/fig2.pdf").exists()
    second = make_demo(folder)
    text, _ = second.communicate(timeout=1200)
    assert second.returncode == 0, text
    assert "going on where it stopped" in text
    return folder
