"""Cells are added to a frozen data set: what was there stays as it is."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from fabricate import own_cells
from harness.cells_clone import OWN_MODEL, embedding, manifest
from harness.clone import make_clone, snakemake

MODEL = {"models": [OWN_MODEL], "benchmark": [OWN_MODEL], "analysis_model": OWN_MODEL}
OVERLAY = {
    "max_failed_fraction": 0.4,
    "datasets": {"mine": {**MODEL, "n_shards": 1, "subsample": {"n_points": 256}}},
    "models": {OWN_MODEL: {"training": {"max_epochs": 1}}},
}
CONFIG = ("--configfile", "overlay.yaml", "--config", "scale=demo", "--")
N_BEFORE = 7
FILES = {
    "split": manifest("mine"),
    "embedding": embedding("mine", OWN_MODEL),
    "weights": f"results/train/mine/{OWN_MODEL}/seed-42/model.pt",
    "box": "results/mask/mine/box.json",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Freeze a data set of seven cells in a clone."""
    folder = make_clone(tmp_path_factory.mktemp("freeze") / "clone")
    own_cells.write_single_cells(folder / "mine_cells")
    table = folder / "mine_cells/cells.csv"
    cells = pd.read_csv(table)
    cells.to_csv(table.with_name("all.csv"), index=False)
    cells.head(N_BEFORE).to_csv(table, index=False)
    yaml_file = folder / "config/datasets/mine.yaml"
    yaml_file.write_text(own_cells.filled(("A", "C"), own_cells.SINGLE))
    (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    snakemake(folder, "--cores", "2", *CONFIG, "results/frozen/mine")
    with yaml_file.open("a") as file:
        file.write("freeze: true\n")
    return folder


def table_of(folder, name):
    return pd.read_parquet(folder / FILES[name]).set_index("CellId")


@pytest.mark.end_to_end
@pytest.mark.long
def test_cells_that_are_added_leave_the_others_as_they_are(clone):
    before = {name: table_of(clone, name) for name in ("split", "embedding")}
    weights, box = ((clone / FILES[name]).read_bytes() for name in ("weights", "box"))
    (clone / "mine_cells/all.csv").rename(clone / "mine_cells/cells.csv")
    done = snakemake(clone, "--cores", "2", *CONFIG, FILES["embedding"])
    assert "\ntrain " not in done.stderr
    split, embedded = (table_of(clone, name) for name in ("split", "embedding"))
    assert len(split) == own_cells.N_CELLS
    assert split.loc[before["split"].index, "split"].equals(before["split"]["split"])
    old = before["embedding"]
    pd.testing.assert_frame_equal(embedded.loc[old.index], old)
    assert len(embedded) == len(old) + own_cells.N_CELLS - N_BEFORE
    assert (clone / FILES["weights"]).read_bytes() == weights
    sizes = [yaml.safe_load(text) for text in (box, (clone / FILES["box"]).read_bytes())]
    assert [sizes[0][axis] for axis in "zyx"] == [sizes[1][axis] for axis in "zyx"]
    log = next((clone / "logs/embed/mine").rglob("seed-42.log")).read_text()
    assert f"{len(old)} cells keep their embeddings, {own_cells.N_CELLS - N_BEFORE} are new" in log
