"""Two clones that the tests of the workflow share: the finished demo, and one with other data sets."""

import signal
import sys
import time
from pathlib import Path

import pytest
from harness import cells_clone
from harness.clone import make_clone
from harness.demo import engines, make_demo
from xdist.scheduler import LoadScopeScheduling


class OneProcessPerClone(LoadScopeScheduling):
    """Tests of the demo in one process, all others in another."""

    def _split_scope(self, nodeid):
        return "demo" if any(name in nodeid for name in ("test_demo", "test_entry_points")) else "others"


def pytest_xdist_make_scheduler(config, log):
    return OneProcessPerClone(config, log)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A clone in which `make demo` was killed while it trained, then run to its end."""
    if not list(Path(sys.prefix).glob(".ready-*")):
        pytest.skip("needs the environment that `make setup` makes: run `make test`")
    folder = make_clone(tmp_path_factory.mktemp("demo") / "morphobench")
    (folder / ".venv").symlink_to(sys.prefix)
    first = make_demo(folder)
    deadline = time.monotonic() + 600
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


@pytest.fixture(scope="session")
def cells(tmp_path_factory):
    """A clone with the data sets of `cells_clone`, run as far as the tests look at them by one Snakemake."""
    folder = make_clone(tmp_path_factory.mktemp("cells") / "morphobench")
    cells_clone.add_datasets(folder)
    cells_clone.run(folder, *cells_clone.targets(folder))
    return folder
