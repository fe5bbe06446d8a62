"""What surrounds a job costs it nothing: processes that it may not see, tables as wide as they come."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import psutil
import pytest

from morphobench import log
from morphobench.download import crops
from morphobench.files import manifests, npz

ERRORS = [
    psutil.AccessDenied(1),
    psutil.NoSuchProcess(1),
    psutil.ZombieProcess(1),
    PermissionError(13, "hidden"),
]


def failing(error):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["parents", "cmdline", "is_running", "status"])
def test_hidden_processes_cost_no_job(name, error, tmp_path, monkeypatch):
    monkeypatch.setattr(psutil.Process, name, failing(error))
    with log.job(tmp_path / "log"):
        log.logger.info("worked")
    assert "worked" in (tmp_path / "log").read_text()
    assert log._engine() is None or name in ("is_running", "status")
    assert log._is_alive(psutil.Process()) is (name not in ("is_running", "status") or not gone(error))


def gone(error):
    return isinstance(error, psutil.NoSuchProcess)


def test_hidden_memory_costs_no_archive(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", a=np.ones(3))
    monkeypatch.setattr(psutil, "virtual_memory", failing(PermissionError(13, "hidden")))
    npz.check_sizes(tmp_path / "a.npz")


def test_a_table_of_many_columns_reads_in_seconds(tmp_path):
    """CellProfiler writes thousands; what is not asked for is not looked at, column by column."""
    names = [f"feature {number}" for number in range(100_000)]
    lines = [",".join(["CellId", "crop_raw", "crop_seg", *names])]
    lines += [",".join([f"c{row}", "a", "b", *["0.5"] * len(names)]) for row in range(3)]
    path = tmp_path / "cells.csv"
    path.write_text("\n".join(lines))
    start = time.process_time()
    table = manifests.read(path, ["crop_raw"], ["CellId"], optional=[])
    assert list(table) == ["CellId", "crop_raw"]
    assert time.process_time() - start < 5
    source = {"cells": str(path), "metadata": ["feature 7"]}
    cells = crops.list_cells({"name": "toy", "source": source}, lambda ids: np.ones(len(ids), bool))
    assert cells["feature 7"].tolist() == ["0.5"] * 3
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n1,2,3\n",
        "\ufeffa,b\n1,2\n",
        '"a,x",b\n1,2\n',
        "a,a,b\n1,2,3\n",
        "a,,b\n1,2,3\n",
        "\n\na,b\n1,2\n",
        "a\n",
    ],
)
def test_names_of_columns_are_those_of_pandas(text, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    assert manifests.columns_of(path) == list(pd.read_csv(path, nrows=0))
