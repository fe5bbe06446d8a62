"""What is on the disk is what a run left there: locks, files in place, checkpoints, parts, full disks."""

from __future__ import annotations

import multiprocessing
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.malice import Malice
from fabricate.sampled import write_sampled
from fabricate.trained import run_training, small_config, write_untrained
from harness.raw_server import head, raw_server
from harness.s3_server import SETTINGS
from harness.users import ALICE, as_user, public
from paths import ROOT

from morphobench import files, models
from morphobench.errors import InputError
from morphobench.files import file_rows
from morphobench.files.shards import create
from morphobench.files.volumes import Layout
from morphobench.plot import style
from morphobench.remote import open_store
from morphobench.train import checkpoints
from morphobench.train.checkpoints import BEST, LAST, checkpoint_to_resume, epoch_rows
from morphobench.train.module import AutoencoderModule

__all__ = ["public"]


@pytest.fixture
def locked(tmp_path):
    """A clone with the lock of a run, and a link to it."""
    clone = tmp_path / "clone"
    (clone / "workflow").mkdir(parents=True)
    (clone / ".snakemake/locks").mkdir(parents=True)
    (clone / ".snakemake/log").mkdir()
    shutil.copy(ROOT / "workflow/unlock.sh", clone / "workflow")
    (clone / ".snakemake/locks/0.input.lock").write_text("a")
    (tmp_path / "link").symlink_to(clone)
    return clone


def snakemake_in(folder):
    """Start a process that is called snakemake and works in a folder, through the link that led there."""
    command = ["bash", "-c", "exec -a snakemake sleep 60"]
    return subprocess.Popen(command, cwd=folder)


def unlock(clone):
    script = ["bash", str(clone / "workflow/unlock.sh")]
    return subprocess.run(
        script, cwd=clone, capture_output=True, text=True, env=os.environ | {"PWD": str(clone)}
    )


@pytest.mark.parametrize("asked", ["clone", "link"])
@pytest.mark.parametrize("works", ["clone", "link"])
def test_a_living_run_keeps_its_lock_whatever_links_lead_there(asked, works, locked):
    run = snakemake_in(locked.parent / works)
    try:
        time.sleep(0.2)
        done = unlock(locked.parent / asked)
    finally:
        run.kill()
        run.wait()
    assert done.returncode == 1
    assert f"process {run.pid} of user " in done.stderr
    assert list((locked / ".snakemake/locks").iterdir())
    assert unlock(locked.parent / asked).returncode == 0
    assert not list((locked / ".snakemake/locks").iterdir())


def test_a_script_reached_by_a_link_means_its_own_folder(locked, tmp_path):
    link = tmp_path / "unlock"
    link.symlink_to(locked / "workflow/unlock.sh")
    assert subprocess.run(["bash", str(link)], capture_output=True).returncode == 0
    assert not list((locked / ".snakemake/locks").iterdir())


def test_a_run_of_another_host_is_named(locked):
    (locked / ".snakemake/log/2026.snakemake.log").write_text("SNAKEMAKE\n  Host: node7\nBuilding\n")
    done = unlock(locked)
    assert done.returncode == 1
    assert "began on node7" in done.stderr
    assert list((locked / ".snakemake/locks").iterdir())
    (locked / ".snakemake/log/2026.snakemake.log").write_text(f"host: {platform.node()}\n")
    assert unlock(locked).returncode == 0


def test_a_run_of_another_user_is_named(public):
    """Its folder cannot be seen by the one who asks; its lock can."""
    clone = public / "clone"
    for folder in ("workflow", ".snakemake/locks"):
        (clone / folder).mkdir(parents=True)
    shutil.copy(ROOT / "workflow/unlock.sh", clone / "workflow")
    (clone / ".snakemake/locks/0.lock").write_text("root's")
    run = snakemake_in(clone)
    try:
        time.sleep(0.2)
        done = as_user(ALICE, lambda: unlock(clone))
    finally:
        run.kill()
        run.wait()
    assert done.returncode == 1
    assert f"process {run.pid} of user root" in done.stderr


def indexed(tmp_path, size=40):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((size,) * 3, np.uint8))
    file_rows.write_listing(tmp_path, "cube", [(path, "npy")])
    return path, file_rows.FileRows(tmp_path / f"cube{file_rows.SUFFIX}")


def test_a_file_in_place_that_changed_at_the_same_size_is_refused(tmp_path):
    path, rows = indexed(tmp_path)
    assert rows[0].sum() == 40**3
    np.save(path, np.full((40,) * 3, 2, np.uint8))
    with pytest.raises(InputError, match=r"has mtime_ns .* changed since it was indexed"):
        rows[0]


@pytest.mark.parametrize("at", [0.9, 0.1])
def test_even_at_the_same_time(at, tmp_path):
    path, rows = indexed(tmp_path, size=20)
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="has checksum"):
        rows[0]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"))


POINTS = small_config("classical_pointcloud", max_epochs=3, batch_size=2)


@pytest.fixture(scope="module")
def complete(case, tmp_path_factory):
    return run_training(case, tmp_path_factory.mktemp("complete"), POINTS)


def same(one, other):
    a, b = (models.load(folder / "model.pt")[0].state_dict() for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def foreign(kind, path, complete):
    own = next((complete / "checkpoints").iterdir()) / LAST
    if kind == "another training":
        state = torch.load(own, weights_only=True)
        state["state_dict"] = {"model.a": torch.zeros(3)}
        torch.save(state, path)
    elif kind == "weights":
        torch.save({"state_dict": {"a": torch.zeros(3)}}, path)
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "callbacks":
        torch.save(dict.fromkeys(torch.load(own, weights_only=True), {}), path)
    elif kind == "pickle":
        torch.save({"state_dict": Malice(path.with_name("mark"))}, path)
    else:
        path.write_bytes(own.read_bytes()[:1000])


@pytest.mark.parametrize("kind", ["another training", "weights", "tensor", "callbacks", "pickle", "half"])
def test_a_foreign_checkpoint_is_set_aside_once(kind, case, complete, tmp_path, caplog):
    name = next((complete / "checkpoints").iterdir()).name
    folder = tmp_path / "checkpoints" / name
    folder.mkdir(parents=True)
    foreign(kind, folder / LAST, complete)
    run_training(case, tmp_path, POINTS)
    assert same(tmp_path, complete)
    assert caplog.text.count("set aside") == 1
    assert (folder / f"{LAST}.unusable").exists()
    assert not (folder / "mark").exists()
    caplog.clear()
    weights = torch.load(folder / LAST, weights_only=True)["state_dict"]
    assert checkpoint_to_resume(folder, weights) == folder / LAST
    assert "set aside" not in caplog.text
    assert len(epoch_rows(folder / BEST)) >= 1


@pytest.mark.long
def test_seven_kills_of_a_training_with_a_checkpoint_per_batch_change_no_bit(case, complete, tmp_path):
    rng = random.Random(7)

    def train(kill_at):
        """Train on from the checkpoint of the last batch; die in the n-th step or write of a checkpoint."""
        left = [kill_at]

        def dying(function):
            def call(*arguments, **more):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **more)

            return call

        AutoencoderModule.training_step = dying(AutoencoderModule.training_step)
        checkpoints.torch.save = dying(torch.save)
        os.replace = dying(os.replace)
        run_training(case, tmp_path, POINTS, checkpoint_minutes=1e-9)

    kills = 0
    for _ in range(7):
        process = multiprocessing.get_context("fork").Process(target=train, args=(rng.randint(3, 9),))
        process.start()
        process.join(60)
        kills += process.exitcode == -signal.SIGKILL
    assert kills == 7
    run_training(case, tmp_path, POINTS)
    assert same(tmp_path, complete)
    assert not list(tmp_path.rglob(".*.part"))


def die_in(write):
    def run():
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        write()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def write_folder(path):
    with files.atomic_folder(path) as part:
        (part / "x").write_text("x")


WRITERS = {
    "table.csv": lambda path: files.write_table(pd.DataFrame({"a": [1]}), path),
    "a[b]*.json": lambda path: files.write_json({"a": 1}, path),
    "folder": write_folder,
}


@pytest.mark.parametrize("name", WRITERS)
def test_parts_of_killed_writes_are_swept_and_others_stay(name, tmp_path):
    path, write = tmp_path / name, WRITERS[name]
    die_in(lambda: write(path))
    assert len(list(tmp_path.glob(".*.part"))) == 1
    # Of a process that lives, and of another machine.
    host = platform.node()[:40]
    others = [tmp_path / f".{name}.{host}-{os.getppid()}.part", tmp_path / f".{name}.node7-12.part"]
    for other in others:
        other.write_text("being written")
    write(path)
    assert sorted(tmp_path.glob(".*.part")) == sorted(others)
    os.utime(others[1], (0, 0))
    write(path)
    assert list(tmp_path.glob(".*.part")) == others[:1]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 kB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a disk that is full needs tests that may mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill_shard(path):
    cells = pd.DataFrame({"CellId": ["a"], "success": True, "error": ""})
    layout = {"x": Layout(np.float32, (10**6,))}
    with create(path, "toy", 0.0) as shard:
        shard.fill(cells, lambda _: ({}, {"x": np.ones(10**6)}), layout)


def fetch_into(path):
    body = os.urandom(10**6)
    answer = lambda request: [head(ETag='"v"'), b"" if request.method == "HEAD" else body]  # noqa: E731
    with raw_server(answer) as server:
        open_store(server.url, SETTINGS | {"cache": str(path)}).fetch(["a"], dataset="toy")


def save_checkpoint(path):
    with files.atomic_file(path) as part:
        checkpoints.CheckpointsBeside().save_checkpoint({"a": torch.zeros(10**6)}, part)


def save_model(path):
    model, chosen = models.load(write_untrained(path.parent.parent / "model.pt", "classical_pointcloud"))
    model.register_buffer("large", torch.zeros(10**6))
    models.save(model, chosen, path)


def save_figure(path):
    figure = plt.figure(figsize=(9, 9))
    figure.figimage(np.random.default_rng(1).random((900, 900, 3)))
    style.save(figure, path.with_suffix(".png"))


NUMBERS = pd.DataFrame(np.random.default_rng(1).random((10**5, 4)), columns=list("abcd"))
ON_A_FULL_DISK = {
    "table": lambda path: files.write_table(NUMBERS, path.with_suffix(".parquet")),
    "csv": lambda path: files.write_table(NUMBERS, path.with_suffix(".csv")),
    "json": lambda path: files.write_json({"a": "x" * 10**6}, path),
    "shard": fill_shard,
    "fetched file": fetch_into,
    "checkpoint": save_checkpoint,
    "model": save_model,
    "figure": save_figure,
}


@pytest.mark.parametrize("writer", ON_A_FULL_DISK)
def test_a_full_disk_is_told_and_nothing_half_written_stays(writer, small_disk, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InputError, match=r"could not be written.*(No space left|space)"):
        ON_A_FULL_DISK[writer](small_disk / "out")
    left = [path for path in small_disk.rglob("*") if path.is_file()]
    # A file that is fetched is continued.
    assert all(path.name.endswith("-a.part") for path in left) if writer == "fetched file" else not left


def fill(disk):
    with pytest.raises(OSError, match="No space"):
        (disk / "filler").write_bytes(bytes(10**6))


def test_checkpoints_need_no_room_in_tmpdir(small_disk, case, complete, tmp_path, monkeypatch):
    fill(small_disk)
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    run_training(case, tmp_path, POINTS)
    assert same(tmp_path, complete)


def test_a_full_tmpdir_is_told_as_that(small_disk, tmp_path, monkeypatch):
    fill(small_disk)
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    words = rf"{small_disk}, the folder of temporary files, is full.*TMPDIR"
    with pytest.raises(InputError, match=words), files.atomic_file(tmp_path / "figure.pdf"):
        (small_disk / "picture").write_bytes(bytes(10**6))


def test_a_job_tells_a_full_tmpdir_too(small_disk, tmp_path):
    fill(small_disk)
    code = f"""
import tempfile
from pathlib import Path
from morphobench.log import job
with job({str(tmp_path / "log")!r}):
    tempfile.tempdir = {str(small_disk)!r}
    (Path(tempfile.mkdtemp()) / "x").write_bytes(bytes(10**6))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr
    assert "TMPDIR" in done.stderr
