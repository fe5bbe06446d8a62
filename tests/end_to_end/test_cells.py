"""A real field of view through the workflow: every nucleus accounted for, whatever the number of shards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from harness.cells_clone import CELL_MODEL, CONFIG, arrays, contact_sheet, embedding, manifest, run
from harness.clone import job_counts, make_clone, snakemake

pytestmark = [pytest.mark.end_to_end, pytest.mark.long]

NAME = "hipsc_nuclei"
SHEET, MANIFEST = contact_sheet(NAME), manifest(NAME)
EMBEDDING = embedding(NAME, CELL_MODEL, "uniform")
WHOLE = 10
LABELS = 20


def test_every_label_is_in_the_manifest_and_whole_nuclei_are_sampled(cells):
    table = pd.read_parquet(cells / MANIFEST)
    assert len(table) == LABELS
    assert table["success"].sum() == WHOLE
    assert (table["excluded"] == ~table["success"]).all()
    assert table.loc[table["excluded"], "error"].str.contains("touches the border").all()
    assert table.loc[table["success"], "error"].eq("").all()


def test_clouds_are_micrometres_within_their_nucleus_and_intensities_camera_counts(cells):
    for cell, points_um in arrays(cells, NAME, "points_um").items():
        assert points_um.shape == (2048, 3), cell
        assert 4 < np.abs(points_um).max() < 14, cell
        assert len(np.unique(points_um, axis=0)) == len(points_um)
    counts = np.stack(list(arrays(cells, NAME, "intensity").values()))
    assert counts.min() > 0
    assert counts.max() < 65536


def test_the_sheet_is_there_and_the_embedding_ignores_rotations(cells):
    assert (cells / SHEET).stat().st_size > 100_000
    table = pd.read_parquet(cells / EMBEDDING)
    mu = table.filter(like="mu_").to_numpy()
    for _, rows in table.groupby("CellId"):
        one = mu[rows.index]
        # Float32; embeddings are short after so few epochs, and so are the sums that they are made of.
        assert np.linalg.norm(one - one[0], axis=1).max() < 1e-4 * np.linalg.norm(one[0])


def test_points_do_not_depend_on_the_number_of_shards(cells, tmp_path):
    assert len(list((cells / "results/sample" / NAME).glob("shard-*"))) == 2
    other = make_clone(tmp_path / "morphobench")
    one = "datasets={hipsc_nuclei: {n_shards: 1}}"
    snakemake(other, "--cores", "2", "--config", "scale=demo", one, "--", MANIFEST)
    for name in ("points_um", "intensity", "cube"):
        expected, found = arrays(cells, NAME, name), arrays(other, NAME, name)
        assert expected.keys() == found.keys()
        for cell, array in expected.items():
            np.testing.assert_array_equal(found[cell], array)


def test_nothing_is_left_to_do_and_another_mask_changes_no_crop(cells):
    again = run(cells, SHEET, EMBEDDING)
    assert "Nothing to be done" in again.stdout + again.stderr
    changed = "datasets={hipsc_nuclei: {mask: {dilation_voxel: 2}}}"
    plan = snakemake(cells, "-n", *CONFIG, changed, "--", MANIFEST)
    counts = job_counts(plan.stdout)
    assert counts["mask"] == counts["sample"] == 2
    assert counts["mask_box"] == counts["sample_manifest"] == 1
    assert not {"download", "align"} & counts.keys()
