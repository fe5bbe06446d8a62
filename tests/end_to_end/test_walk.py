"""The walk-through of the README, "Your own cells", as it is written: from files to figure, h5ad and CSV."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from fabricate import own_cells
from harness.clone import make_clone
from paths import ROOT

from morphobench import config as configuration
from morphobench.config import figures, schema
from morphobench.new import write

SECTION = (ROOT / "README.md").read_text().split("\n## Your own cells")[1].split("\n## ")[0]
COMMANDS = re.findall(r"`((?:make new|snakemake) [^`]+)`", SECTION)
PYTHON = re.search(r"`scanpy\.pl\.embedding\((anndata\.read_h5ad\([^)]*\)), \"(\w+)\"", SECTION)
FIELD = ROOT / "workflow/resources/hipsc_nuclei_fov"
# Eight minutes of two cores, whatever else this machine does.
MOST_CPU_S = 2 * 8 * 60


def crops(folder: Path) -> Path:
    """A folder of single cells and a table with their treatment."""
    own_cells.write_single_cells(folder)
    table = pd.read_csv(folder / "cells.csv")
    known = [(folder / name).exists() for name in table["picture"]]
    table[known].to_csv(folder / "cells.csv", index=False)
    for mask, is_known in zip(table["outline"], known, strict=True):
        if not is_known:
            (folder / mask).unlink()
    return folder


def answered(path: Path) -> None:
    """Answer what the yaml of a new data set asks: the size of a voxel."""
    text = re.sub(r"\[FILL, FILL, FILL\]", str(own_cells.SPACING), path.read_text())
    path.write_text(text.replace("spacing_um_zyx: FILL", f"spacing_um_zyx: {own_cells.SPACING}"))


def test_the_walk_through_has_its_steps():
    assert [command.split()[0] for command in COMMANDS] == ["make", "snakemake", "snakemake"]
    for target in ("figures/mine.pdf", "results/plot/shapes/mine.html", "results/publish/mine.h5ad"):
        assert target in COMMANDS[-1]


def test_a_new_data_set_of_crops_with_a_treatment_has_a_figure(tmp_path, monkeypatch):
    clone = make_clone(tmp_path / "clone")
    monkeypatch.chdir(clone)
    write.run("mine", crops(tmp_path / "crops"), clone)
    answered(clone / "config/datasets/mine.yaml")
    settings = schema.read_yaml(clone / "config/config.yaml")
    demo = schema.merge(settings, schema.read_yaml(clone / "config/demo.yaml"))
    config = configuration.resolve(demo, clone)
    assert config["datasets"]["mine"]["stratum"] == "treatment"
    described = figures.figure_of(config, "mine")
    kinds = [panel["kind"] for panel in figures.list_panels(described)]
    assert {"scores", "scatter", "shapes"} <= set(kinds)
    assert "treatment" in next(
        panel["options"]["colors"] for panel in figures.list_panels(described) if panel["kind"] == "scatter"
    )
    # Demo scale cuts what the generator chose.
    limits = config["limits"]["punctate"]
    assert config["datasets"]["mine"]["subsample"]["n_points"] <= limits["subsample"]["n_points"]
    assert config["datasets"]["mine"]["sample"]["cube"]["size"] <= limits["sample"]["cube"]["size"]


@pytest.mark.walk
@pytest.mark.parametrize(
    "place", [lambda folder: FIELD, lambda folder: crops(folder / "crops")], ids=["field", "crops"]
)
def test_from_files_to_figure_and_tables(tmp_path, place):
    if not list(Path(sys.prefix).glob(".ready-*")):
        pytest.skip("needs the environment that `make setup` makes")
    clone = make_clone(tmp_path / "clone")
    (clone / ".venv").symlink_to(sys.prefix)
    source, before = place(tmp_path), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PATH": f"{clone}/.venv/bin:{os.environ['PATH']}"}
    for command in COMMANDS:
        words = shlex.split(command.replace("path/to/folder_or_table", str(source)))
        if words[0] == "snakemake":
            answered(clone / "config/datasets/mine.yaml")
        done = subprocess.run(words, cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
    assert used < MOST_CPU_S
    assert (clone / "figures/mine.pdf").stat().st_size > 20_000
    table = pd.read_parquet(clone / "results/sample/mine/manifest.parquet").query("success")
    cells = pd.read_csv(clone / "results/publish/mine.csv")
    found = anndata.read_h5ad(clone / "results/publish/mine.h5ad")
    assert set(found.obs_names) == set(cells["CellId"].astype(str)) == set(table["CellId"])
    assert np.isfinite(found.obsm["X_pca"]).all()
    assert f"X_{PYTHON[2]}" in found.obsm
    models = yaml.safe_load((clone / "config/datasets/mine.yaml").read_text())["benchmark"]
    assert set(models) <= {found.uns["morphobench"]["model"], *found.obsm}
