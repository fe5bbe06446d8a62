"""A shard whose job is killed leaves nothing under its name, and the next run makes it whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fabricate.cells import ellipsoid_mask, spots, write_cells
from paths import ROOT

from morphobench import files
from morphobench.align import punctate as align
from morphobench.download import punctate as download

JOB = """
import sys
sys.path[:0] = {paths!r}
from morphobench.align import punctate
punctate.run({shard!r}, {out!r}, dataset={dataset!r}, max_failed_fraction=0.0)
"""


@pytest.fixture
def shard(tmp_path):
    mask = ellipsoid_mask((30, 120, 140), (10, 40, 60), 25)
    rng = np.random.default_rng(0)
    cells = {f"c{i}": (spots(mask, rng), mask) for i in range(12)}
    align_settings = {"mask": "nucleus_mask", "unique": False, "margin_voxel": 4, "enabled": True}
    dataset = {
        "name": "toy",
        "source": {"cells": str(write_cells(tmp_path / "source", cells))},
        "channels": {"structure": "structure", "nucleus_mask": "dna_segmentation"},
        "align": align_settings
        | {"interpolation": "linear", "least_elongation": 1.05, "stray_share": 0.05, "saturated_share": 0.01},
        "mask": {"role": "nucleus_mask"},
        "voxel_um": 0.108,
    }
    arguments = {"shard": 0, "n_shards": 1, "seed": 1, "max_failed_fraction": 0.0}
    download.run(tmp_path / "download", dataset=dataset, **arguments)
    return tmp_path / "download", dataset


def test_a_killed_shard_leaves_nothing_and_is_made_whole(shard, tmp_path):
    folder, dataset = shard
    out = tmp_path / "align"
    paths = [str(ROOT / "src")]
    script = JOB.format(paths=paths, shard=str(folder), out=str(out), dataset=dataset)
    job = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".align.*.part/structure.npy")):
        assert job.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not out.exists()
    assert list(tmp_path.glob(".align.*.part")), "nothing was left behind to begin with"
    align.run(folder, out, dataset=dataset, max_failed_fraction=0.0)
    assert files.read_cells(out)["success"].all()
    assert len(files.read_cells(out)) == 12
    assert not list(tmp_path.glob(".align.*.part"))
