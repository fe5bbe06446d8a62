"""Cells of a user's own enter by one file, a filled-in copy of the template: no other file is touched."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
import yaml
from fabricate.own_cells import FIELD, N_CELLS, N_FIELD, SINGLE, SPACING, TEMPLATE, filled
from harness.cells_clone import CONFIG, OWN_MODEL, contact_sheet, embedding, manifest
from harness.clone import ROOT, job_counts, make_clone, snakemake

from morphobench import config
from morphobench.errors import InputError


def test_the_template_is_no_dataset_and_its_blanks_are_named(tmp_path):
    known = config.resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)["datasets"]
    assert "template" not in known
    clone = make_clone(tmp_path / "clone")
    (clone / "config/datasets/mine.yaml").write_text(TEMPLATE)
    with pytest.raises(InputError, match=r"mine\.yaml: key 'source' stands twice.* delete the blocks"):
        config.resolve(yaml.safe_load((clone / "config/config.yaml").read_text()), clone)


@pytest.mark.parametrize(
    ("keep", "values"),
    [("AC", SINGLE), ("BC", FIELD), ("BD", FIELD), ("AD", SINGLE | {"cell_mask": "nucleus"})],
)
def test_every_pair_of_blocks_is_a_valid_dataset(tmp_path, keep, values):
    clone = make_clone(tmp_path / "clone")
    (clone / "config/datasets/mine.yaml").write_text(filled(tuple(keep), values))
    mine = config.resolve(yaml.safe_load((clone / "config/config.yaml").read_text()), clone)["datasets"][
        "mine"
    ]
    assert mine["kind"] == {"C": "punctate", "D": "polymorphic"}[keep[1]]
    assert (mine["source"].get("spacing_um_zyx") or mine["source"]["fov"]["spacing_um_zyx"]) == SPACING


def sampled(folder, name):
    """Return the manifest, after a look at what was made of its cells."""
    assert (folder / contact_sheet(name)).stat().st_size > 50_000
    embedded = pd.read_parquet(folder / embedding(name, OWN_MODEL))
    assert np.isfinite(embedded.filter(regex=r"^mu_\d+$").to_numpy()).all()
    table = pd.read_parquet(folder / manifest(name)).set_index("CellId")
    assert set(embedded["CellId"]) == set(table.index[table["success"]])
    return table


@pytest.mark.end_to_end
@pytest.mark.long
def test_a_folder_of_single_cells_and_a_table(cells):
    table = sampled(cells, "mine_cells")
    assert len(table) == N_CELLS
    assert table.index[~table["success"]].tolist() == ["n3"]
    assert "3.tif: no such file" in table.loc["n3", "error"]
    assert set(table["treatment"]) == {"none", "drug"}
    assert (table["spacing_um"].dropna() == 0.4).all()


@pytest.mark.end_to_end
@pytest.mark.long
def test_a_field_of_view_with_labels(cells):
    table = sampled(cells, "mine")
    assert len(table) == N_FIELD[0] * N_FIELD[1]
    assert table.loc[table["excluded"], "error"].str.contains("touches the border").all()
    assert table["success"].sum() == (N_FIELD[1] - 1) * N_FIELD[0]
    assert (table["microscope"] == "mine").all()


@pytest.mark.end_to_end
@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "image"), [("mine_cells", "mine_cells/0_mask.tif"), ("mine", "mine_field/nuclei.tif")]
)
def test_what_the_table_names_is_read_anew_and_nothing_else(cells, name, image):
    def planned():
        return job_counts(snakemake(cells, "-n", *CONFIG, "--", manifest(name)).stdout)

    image = cells / image
    beside = image.with_name("notes.csv")
    beside.write_text("not,the,table\n")
    assert planned() == {}
    before = image.stat()
    os.utime(image)
    assert {"download", "sample_manifest"} <= set(planned())
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert planned() == {}
    beside.unlink()
