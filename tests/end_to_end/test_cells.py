"""A real field of view through the workflow: every nucleus accounted for, whatever the number of shards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from harness.clone import job_counts, make_clone, snakemake

pytestmark = pytest.mark.end_to_end

MODEL = "rotation_invariant_pointcloud_intensity"
SHEET = "results/plot/cells/hipsc_nuclei.png"
CODES = f"results/embed/hipsc_nuclei/{MODEL}/seed-42/uniform.parquet"
MANIFEST = "results/sample/hipsc_nuclei/manifest.parquet"
WHOLE = 10
LABELS = 20


def run(folder, *targets, n_shards=2):
    changed = f"datasets={{hipsc_nuclei: {{n_shards: {n_shards}}}}}"
    few = f"models={{{MODEL}: {{training: {{max_epochs: 3}}}}}}"
    options = ("--config", "scale=demo", changed, few)
    return snakemake(folder, "--cores", "2", *options, "--", *targets)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = make_clone(tmp_path_factory.mktemp("cells") / "morphobench")
    run(folder, SHEET, CODES)
    return folder


def arrays(folder, name):
    """The arrays of every sampled cell by CellId."""
    table = pd.read_parquet(folder / MANIFEST)
    table = table[table["success"]]
    shards = {
        shard: np.load(folder / f"results/sample/hipsc_nuclei/shard-{shard}/{name}.npy")
        for shard in table["shard"].unique()
    }
    return {row["CellId"]: shards[row["shard"]][row["index"]] for row in table.to_dict("records")}


def test_every_label_is_in_the_manifest_and_whole_nuclei_are_sampled(clone):
    table = pd.read_parquet(clone / MANIFEST)
    assert len(table) == LABELS
    assert table["success"].sum() == WHOLE
    assert (table["excluded"] == ~table["success"]).all()
    assert table.loc[table["excluded"], "error"].str.contains("touches the border").all()
    assert table.loc[table["success"], "error"].eq("").all()


def test_clouds_are_micrometres_within_their_nucleus_and_intensities_camera_counts(clone):
    for cell, points_um in arrays(clone, "points_um").items():
        assert points_um.shape == (20480, 3), cell
        assert 4 < np.abs(points_um).max() < 14, cell
        assert len(np.unique(points_um, axis=0)) == len(points_um)
    counts = np.stack(list(arrays(clone, "intensity").values()))
    assert counts.min() > 0
    assert counts.max() < 65536


def test_the_sheet_is_there_and_the_code_ignores_rotations(clone):
    assert (clone / SHEET).stat().st_size > 100_000
    codes = pd.read_parquet(clone / CODES)
    mu = codes.filter(like="mu_").to_numpy()
    for _, rows in codes.groupby("CellId"):
        one = mu[rows.index]
        assert np.linalg.norm(one - one[0], axis=1).max() < 1e-5 * np.linalg.norm(one[0])


def test_points_do_not_depend_on_the_number_of_shards(clone, tmp_path_factory):
    other = make_clone(tmp_path_factory.mktemp("other") / "morphobench")
    run(other, MANIFEST, n_shards=5)
    for name in ("points_um", "intensity", "cube"):
        expected, found = arrays(clone, name), arrays(other, name)
        assert expected.keys() == found.keys()
        for cell, array in expected.items():
            np.testing.assert_array_equal(found[cell], array)


def test_nothing_is_left_to_do_and_another_mask_changes_no_crop(clone):
    assert "Nothing to be done" in run(clone, SHEET, CODES).stdout + run(clone, SHEET, CODES).stderr
    changed = "datasets={hipsc_nuclei: {mask: {dilation_voxel: 2}}}"
    plan = snakemake(clone, "-n", "--config", "scale=demo", changed, "--", MANIFEST)
    counts = job_counts(plan.stdout)
    assert counts["mask"] == counts["sample"] == 2
    assert counts["mask_box"] == counts["sample_manifest"] == 1
    assert not {"download", "align"} & counts.keys()
